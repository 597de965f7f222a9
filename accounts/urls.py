"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import factors, overview, prove, second_step, sign_in

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
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
]
