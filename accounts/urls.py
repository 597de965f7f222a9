"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import keys, languages, overview, sign_in, tickets

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
]
