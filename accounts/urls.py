"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import (
    closing,
    exports,
    notices,
    overview,
    profile,
    sessions,
    sign_in,
)

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
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
