"""Routes of the account pages."""

from __future__ import annotations

from django.urls import path

from accounts.views import (
    joining,
    mailbox,
    mailed_links,
    overview,
    passwords,
    sign_in,
)

urlpatterns = [
    path("signin", sign_in.enter, name="sign_in"),
    path("signout", sign_in.leave, name="sign_out"),
    path("account", overview.show, name="account"),
    # Joining and passwords
    path("signup", joining.sign_up, name="sign_up"),
    path("signup/sent", joining.sent, name="sign_up_sent"),
    path("activate/<str:link>", joining.activate, name="activate"),
    path("account/confirm", joining.resend, name="resend_activation"),
    path("forgot", passwords.forgotten, name="password_forgotten"),
    path("forgot/sent", passwords.sent, name="password_reset_sent"),
    path("reset/<str:link>", passwords.reset, name="password_reset"),
    path("account/password", passwords.change, name="password_change"),
    path("unlock/<str:link>", mailed_links.unlock, name="unlock"),
    path("freeze/<str:link>", mailed_links.freeze, name="freeze"),
    path("dev/mail", mailbox.index, name="mailbox"),
    path("dev/mail/<int:number>", mailbox.show, name="mailbox_mail"),
    path("dev/mail/<int:number>/html", mailbox.framed, name="mailbox_html"),
]
