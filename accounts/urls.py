"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import identity, overview, sign_in

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
    # Identity check
    path("account/identity", identity.show, name="identity"),
    path("account/identity/data", identity.describe, name="identity_data"),
    path("account/identity/document", identity.document, name="identity_document"),
    path("account/identity/address", identity.address, name="identity_address"),
    path("account/identity/send", identity.send, name="identity_send"),
]
