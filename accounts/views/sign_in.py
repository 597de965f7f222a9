"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sign_in
from accounts.factors import second_step
from accounts.forms.sign_in import SignInForm
from accounts.middleware import ENDED_COOKIE_NAME
from accounts.views.doors import public
from exchange.lib import refusals
from exchange.lib.errors import NotSignedIn, TooMany


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@public
def enter(request: HttpRequest) -> HttpResponse:
    """Ask for e-mail and password, then go on to where the member wanted to be."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return redirect(_next(request))
        answer = _ask(request, SignInForm(), status=200)
        answer.delete_cookie(ENDED_COOKIE_NAME, samesite="Lax")
        return answer
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _ask(request, form, status=400)
    try:
        sign_in.sign_in(
            request,
            email=form.cleaned_data["email"],
            password=form.cleaned_data["password"],
            now=timezone.now(),
        )
    except NotSignedIn as error:
        form.add_error(None, error.message)
        return _ask(request, form, status=refusals.status_of(error))
    except TooMany as error:
        form.add_error(None, error.message)
        answer = _ask(request, form, status=refusals.status_of(error))
        answer["Retry-After"] = str(refusals.retry_after_seconds(error))
        return answer
    if second_step.is_waiting(request.session):
        query = urlencode({"next": _next(request)})
        return redirect(f"{resolve_url('verify')}?{query}")
    return redirect(_next(request))


@require_POST
@public
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out and go home, and leave no private page in the browser's cache."""
    sign_in.sign_out(request)
    answer = redirect("home")
    answer["Clear-Site-Data"] = '"cache"'
    return answer


def _ask(request: HttpRequest, form: SignInForm, *, status: int) -> HttpResponse:
    context = {
        "form": form,
        "next": _next(request),
        "has_ended": ENDED_COOKIE_NAME in request.COOKIES,
    }
    return render(request, "accounts/sign_in.html", context, status=status)


def _next(request: HttpRequest) -> str:
    """Return where to go on: `next`, unless it leads to somebody else's site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else resolve_url("home")
