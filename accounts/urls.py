"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import languages, overview, sign_in

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
    path("language", languages.choose, name="language"),
]
