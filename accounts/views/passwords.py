"""Passwords: forgotten, chosen anew, changed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import devices, passwords, sign_in, throttling
from accounts.forms.passwords import (
    ChangePasswordForm,
    ForgottenForm,
    NewPasswordForm,
)
from accounts.password_rules import WeakPassword
from accounts.views.doors import password_page, public, who
from accounts.views.form_pages import ask, ask_again
from accounts.views.mailed_links import spent_leads_on
from exchange.lib import refusals
from exchange.lib.errors import Busy, ExchangeError

_FORGOTTEN = "accounts/password_forgotten.html"
_RESET = "accounts/password_reset.html"
_CHANGE = "accounts/password_change.html"
_FIELDS: dict[type[ExchangeError], str] = {
    WeakPassword: "new",
    passwords.WrongPassword: "current",
}


@require_http_methods(["GET", "HEAD", "POST"])
@public
def forgotten(request: HttpRequest) -> HttpResponse:
    """Ask for the address, then say that a mail is under way: to everybody."""
    if request.method != "POST":
        return ask(request, _FORGOTTEN, ForgottenForm())
    form = ForgottenForm(request.POST)
    if not form.is_valid():
        return ask(request, _FORGOTTEN, form)
    try:
        passwords.request_reset(
            email=form.cleaned_data["email"],
            device=devices.of(request),
            address=throttling.client_address(request.META),
            now=timezone.now(),
        )
    except ExchangeError as error:
        return ask_again(request, _FORGOTTEN, form, error)
    return redirect("password_reset_sent")


@require_safe
@public
def sent(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/password_reset_sent.html")


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("new")
@public
@refusals.as_page
@spent_leads_on("reset")
def reset(request: HttpRequest, link: str) -> HttpResponse:
    """Let who got the link choose a new password; signing in comes after."""
    member = passwords.whose_link(link)
    form = NewPasswordForm(request.POST or None)
    if not form.is_valid():
        return ask(request, _RESET, form, email=member.email)
    try:
        passwords.reset(link, new=form.cleaned_data["new"], now=timezone.now())
    except (WeakPassword, Busy) as error:
        field = _FIELDS.get(type(error))
        return ask_again(request, _RESET, form, error, field=field, email=member.email)
    messages.success(request, _("Your password is changed. Please sign in with it."))
    return redirect("sign_in")


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("current", "new")
@password_page
def change(request: HttpRequest) -> HttpResponse:
    """Let a member choose another password; this session goes on, all others end."""
    form, member = ChangePasswordForm(request.POST or None), who(request)
    if not form.is_valid():
        return ask(request, _CHANGE, form)
    try:
        passwords.change(
            member=member,
            current=form.cleaned_data["current"],
            new=form.cleaned_data["new"],
            session_key=str(request.session.session_key),
            now=timezone.now(),
        )
    except ExchangeError as error:
        field = _FIELDS.get(type(error))
        return ask_again(request, _CHANGE, form, error, field=field)
    sign_in.renew(request, member)
    messages.success(request, _("Your password is changed. Other sessions have ended."))
    return redirect("account")
