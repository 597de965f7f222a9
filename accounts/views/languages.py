"""Choosing a language, signed in or not, with and without scripts."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.views.decorators.http import require_POST

from accounts import languages
from accounts.views.doors import is_ours, public, who


@require_POST
@public
def choose(request: HttpRequest) -> HttpResponse:
    """Remember the language, and show the same page again in it."""
    back, language = request.POST.get("next", ""), request.POST.get("language", "")
    answer = redirect(back if is_ours(request, back) else resolve_url("home"))
    if languages.is_known(language):
        remember(answer, language)
        if request.user.is_authenticated:
            languages.choose(member=who(request), language=language)
    return answer


def remember(answer: HttpResponse, language: str) -> None:
    """Let this browser speak a language, also to who has not signed in."""
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
