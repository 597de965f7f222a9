"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sign_in
from accounts.attempts import TooManyAttempts
from accounts.factors import second_step
from accounts.forms.sign_in import SignInForm
from accounts.middleware import ENDED_COOKIE_NAME
from accounts.views.doors import UNSAVED, next_of, public
from accounts.views.form_pages import ask, ask_again
from exchange.lib.errors import ExchangeError

_PAGE = "accounts/sign_in.html"


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@public
def enter(request: HttpRequest) -> HttpResponse:
    """Ask for e-mail and password, then go on to where the member wanted to be."""
    onward = next_of(request, "home")
    is_unsaved = UNSAVED in request.GET
    if request.method != "POST":
        if request.user.is_authenticated:
            return redirect(onward)
        has_ended = ENDED_COOKIE_NAME in request.COOKIES
        context = {"next": onward, "has_ended": has_ended, "is_unsaved": is_unsaved}
        answer = ask(request, _PAGE, SignInForm(), **context)
        answer.delete_cookie(ENDED_COOKIE_NAME, samesite="Lax")
        return answer
    form = SignInForm(request.POST)
    if not form.is_valid():
        return ask(request, _PAGE, form, next=onward)
    try:
        sign_in.sign_in(
            request,
            email=form.cleaned_data["email"],
            password=form.cleaned_data["password"],
            now=timezone.now(),
        )
    except ExchangeError as error:
        is_shut = isinstance(error, TooManyAttempts)
        return ask_again(request, _PAGE, form, error, next=onward, is_shut=is_shut)
    if is_unsaved:
        messages.warning(
            request, _("You were signed out, so nothing was saved. Please do it again.")
        )
    if second_step.is_waiting(request.session):
        query = urlencode({"next": onward})
        return redirect(f"{resolve_url('verify')}?{query}")
    return redirect(onward)


@require_POST
@public
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out and go home, and leave no private page in the browser's cache."""
    sign_in.sign_out(request)
    answer = redirect("home")
    answer["Clear-Site-Data"] = '"cache"'
    return answer
