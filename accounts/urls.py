"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import keys, overview, sign_in

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
    # Keys.
    path("account/keys", keys.show, name="keys"),
    path("account/keys/new", keys.create, name="create_key"),
    path("account/keys/<int:key_id>", keys.change, name="change_key"),
    path("account/keys/<int:key_id>/revoke", keys.revoke, name="revoke_key"),
]
