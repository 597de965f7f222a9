"""
What happens to the requests of pages: a storm of sign-ins is turned away at the door,
sessions are watched, and browsers that were signed in with are remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts import devices, hashing, sessions, throttling

Handler = Callable[[HttpRequest], HttpResponseBase]

# Where anybody can make us hash a password.
_HASHING_PATHS = frozenset({"/signin", "/signup"})


class ShedStorm:
    """
    Turns sign-ins away while the queue for hashing is full, before they cost anything:
    at some thousands a second, even saying no on a page would slow trading.
    """

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and request.path_info in _HASHING_PATHS:
            try:
                hashing.demand_room()
            except hashing.HashingBusy as busy:
                return _turned_away(request, busy)
        return self._pages(request)


def _turned_away(request: HttpRequest, busy: hashing.HashingBusy) -> HttpResponse:
    page = _busy_page(translation.get_language_from_request(request))
    answer = HttpResponse(page, status=503)
    answer["Retry-After"] = str(busy.facts["retry_after_seconds"])
    answer["Cache-Control"] = "no-store"
    answer["Content-Security-Policy"] = "default-src 'none'; style-src 'self'"
    answer["Content-Length"] = str(len(answer.content))
    # Else Django logs each as an error, which costs more than all the rest.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


@lru_cache(maxsize=8)
def _busy_page(language: str) -> str:
    with translation.override(language):
        return render_to_string("503.html", {"language": language})


class WatchSession:
    """Ends a session that was idle too long, and notes where the others are used."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.session.session_key
        if key and auth.SESSION_KEY in request.session:
            is_live = sessions.note_seen(
                session_key=key,
                address=throttling.client_address(request.META),
                user_agent=request.headers.get("User-Agent", ""),
                now=timezone.now(),
            )
            if not is_live:
                auth.logout(request)
        return self._pages(request)


class RememberDevice:
    """Marks the browser in which somebody was just admitted: see accounts.devices."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._pages(request)
        if (member := getattr(request, "admitted", None)) is not None:
            devices.remember(request, answer, member.email)
        return answer
