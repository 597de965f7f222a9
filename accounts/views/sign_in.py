"""Signing in and out."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sign_in
from accounts.forms.sign_in import SignInForm
from accounts.views.doors import is_ours, public
from accounts.views.form_pages import ask, ask_again
from exchange.lib.errors import ExchangeError

_PAGE = "accounts/sign_in.html"


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@public
def enter(request: HttpRequest) -> HttpResponse:
    """Ask for e-mail and password, then go on to where the member wanted to be."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return redirect(_next(request))
        return ask(request, _PAGE, SignInForm(), next=_next(request))
    form = SignInForm(request.POST)
    if not form.is_valid():
        return ask(request, _PAGE, form, next=_next(request))
    try:
        sign_in.sign_in(
            request,
            email=form.cleaned_data["email"],
            password=form.cleaned_data["password"],
            now=timezone.now(),
        )
    except ExchangeError as error:
        return ask_again(request, _PAGE, form, error, next=_next(request))
    return redirect(_next(request))


@require_POST
@public
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out and go home."""
    sign_in.sign_out(request)
    return redirect("home")


def _next(request: HttpRequest) -> str:
    """Return where to go on: `next`, unless it leads to somebody else's site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if is_ours(request, wanted) else resolve_url("home")
