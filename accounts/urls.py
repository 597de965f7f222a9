"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import (
    closing,
    exports,
    factors,
    identity,
    keys,
    languages,
    notices,
    overview,
    profile,
    prove,
    second_step,
    sessions,
    sign_in,
    tickets,
)

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
    # Keys.
    path("account/keys", keys.show, name="keys"),
    path("account/keys/new", keys.create, name="create_key"),
    path("account/keys/<int:key_id>", keys.change, name="change_key"),
    path("account/keys/<int:key_id>/revoke", keys.revoke, name="revoke_key"),
    # Tickets.
    path("account/tickets", tickets.show_all, name="tickets"),
    path("account/tickets/new", tickets.ask, name="ticket_new"),
    path("account/tickets/<str:number>", tickets.show, name="ticket"),
    path("account/tickets/<str:number>/close", tickets.close, name="ticket_close"),
    path("account/tickets/<str:number>/reopen", tickets.reopen, name="ticket_reopen"),
    path(
        "account/tickets/<str:number>/files/<int:attachment_id>",
        tickets.download,
        name="ticket_file",
    ),
    path("language", languages.choose, name="language"),
    # Second factors.
    path("signin/verify", second_step.verify, name="verify"),
    path("signin/verify/sms", second_step.send_sms, name="verify_sms"),
    path("signin/lost", second_step.report_loss, name="factors_lost"),
    path(
        "signin/lost/cancel/<str:token>",
        second_step.cancel_loss,
        name="cancel_factor_loss",
    ),
    path("prove", prove.ask, name="prove"),
    path("prove/sms", prove.send_sms, name="prove_sms"),
    path("account/security", factors.show, name="security"),
    path("account/security/totp", factors.add_totp, name="totp"),
    path("account/security/phone", factors.add_phone, name="phone"),
    path("account/security/phone/code", factors.confirm_phone, name="phone_code"),
    path("account/security/passkeys", factors.add_passkey, name="passkeys"),
    path("account/security/passkeys/<int:pk>", factors.rename_passkey, name="passkey"),
    path("account/security/recovery", factors.make_recovery, name="recovery"),
    path("account/security/loss", factors.cancel_loss, name="my_factor_loss"),
    path("account/security/remove/<str:kind>", factors.remove, name="remove_factor"),
    path(
        "account/security/remove/passkey/<int:pk>",
        factors.remove_passkey,
        name="remove_passkey",
    ),
    # Identity check.
    path("account/identity", identity.show, name="identity"),
    path("account/identity/data", identity.describe, name="identity_data"),
    path("account/identity/document", identity.document, name="identity_document"),
    path("account/identity/address", identity.address, name="identity_address"),
    path("account/identity/send", identity.send, name="identity_send"),
    path("account/sessions", sessions.show, name="sessions"),
    path("account/sessions/end", sessions.end, name="end_session"),
    path("account/sessions/end-others", sessions.end_others, name="end_other_sessions"),
    path("account/profile", profile.edit, name="profile"),
    path("account/profile/phrase", profile.edit_mail_phrase, name="mail_phrase"),
    path("account/theme", profile.keep_theme, name="keep_theme"),
    path("account/notices", notices.choose, name="notices"),
    path("account/export", exports.show, name="export"),
    path("account/export/<int:export_id>", exports.download, name="download_export"),
    path("account/close", closing.close, name="close_account"),
]
