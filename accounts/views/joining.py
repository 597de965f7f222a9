"""Joining, and confirming one's address."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import joining, throttling
from accounts.forms.joining import SignUpForm, asked
from accounts.members import BadEmail
from accounts.password_rules import WeakPassword
from accounts.views.doors import member_page, public, way_back, who
from accounts.views.form_pages import ask, ask_again
from accounts.views.mailed_links import spent_leads_on
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError, TooMany

_PAGE = "accounts/sign_up.html"
_FIELDS: dict[type[ExchangeError], str] = {
    BadEmail: "email",
    WeakPassword: "password",
}


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@public
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask for e-mail and password, then say that a mail is under way: to everybody."""
    now = timezone.now()
    if request.user.is_authenticated:
        return redirect("account")
    if request.method != "POST":
        return ask(request, _PAGE, SignUpForm(), asked_at=asked(now))
    form = SignUpForm(request.POST)
    if not form.is_valid():
        # Asked a moment ago: what a person mends takes no two seconds.
        return ask(request, _PAGE, form, asked_at=form["asked_at"].value())
    email = form.cleaned_data["email"]
    if form.is_a_machines:
        return _sent(request, email)
    try:
        form.demand_unhurried(now)
        joining.sign_up(
            email=email,
            password=form.cleaned_data["password"],
            language=get_language() or "",
            address=throttling.client_address(request.META),
            now=now,
        )
    except joining.TooQuick as error:
        return ask_again(request, _PAGE, form, error, asked_at=asked(now))
    except ExchangeError as error:
        field = _FIELDS.get(type(error))
        again = form["asked_at"].value()
        return ask_again(request, _PAGE, form, error, field=field, asked_at=again)
    return _sent(request, email)


@require_safe
@public
def sent(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/sign_up_sent.html")


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
@spent_leads_on("activate")
def activate(request: HttpRequest, link: str) -> HttpResponse:
    """Confirm an address, by a button: programs that scan mails follow links, too."""
    if request.method != "POST":
        member = joining.whose_link(link)
        return render(request, "accounts/activate.html", {"email": member.email})
    joining.activate(link, now=timezone.now())
    messages.success(request, _("Your e-mail address is confirmed. Welcome!"))
    return redirect("account")


@require_POST
@member_page
def resend(request: HttpRequest) -> HttpResponse:
    """Send another link to a member who looks at a page of ours."""
    try:
        joining.resend(member=who(request), now=timezone.now())
    except TooMany as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("A new link is on its way to you."))
    return redirect(way_back(request))


def _sent(request: HttpRequest, email: str) -> HttpResponse:
    words = _("A mail is on its way to %(email)s.")
    messages.success(request, words % {"email": email})
    return redirect("sign_up_sent")
