"""
What happens to the requests of pages: a storm of sign-ins is turned away at the door,
sessions are watched, and browsers that were signed in with are remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts import devices, hashing, languages, sessions, visits
from accounts.models.members import Member

Handler = Callable[[HttpRequest], HttpResponseBase]

# Goes out where a session was over, so that the sign-in page can say so. No row is
# written for it: anybody can send a cookie that opens nothing.
ENDED_COOKIE_NAME = "ended"
_ENDED_SECONDS = 600

# More than any form without files.
_BODY_BYTES_MAX = 512 * 1024

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
    """
    Ends a session that was idle too long, notes where the others are used, and lets the
    number of a new device leave.
    """

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        had_session = settings.SESSION_COOKIE_NAME in request.COOKIES
        if auth.SESSION_KEY in request.session:
            is_live = sessions.note_seen(
                session_key=str(request.session.session_key),
                visit=visits.of(request),
                now=timezone.now(),
            )
            if not is_live:
                auth.logout(request)
        has_ended = had_session and request.session.session_key is None
        response = self._pages(request)
        if has_ended:
            response.set_cookie(
                ENDED_COOKIE_NAME,
                "1",
                max_age=_ENDED_SECONDS,
                secure=settings.HTTPS,
                httponly=True,
                samesite="Lax",
            )
        return response


class InTheirWords:
    """Shows pages in the language and the time zone a member has chosen."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if auth.SESSION_KEY not in request.session:
            return self._pages(request)
        member = request.user
        if not isinstance(member, Member):
            return self._pages(request)
        if languages.is_known(member.language):
            translation.activate(member.language)
            request.LANGUAGE_CODE = member.language
        with timezone.override(member.time_zone):
            return self._pages(request)


class RefuseLargeBodies:
    """
    Refuses a body that is too large before anybody reads it, and the check of forms
    does so first. Only members send files; nobody sends more than a form takes.
    """

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        size = int(length) if length.isascii() and length.isdigit() else 0
        if size > _BODY_BYTES_MAX and size > self._most(request):
            return render(request, "413.html", status=413)
        return self._pages(request)

    def _most(self, request: HttpRequest) -> int:
        if request.user.is_authenticated:
            return int(settings.UPLOAD_BODY_BYTES_MAX)
        return _BODY_BYTES_MAX


class RememberDevice:
    """Marks the browser in which somebody was just admitted: see accounts.devices."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._pages(request)
        if (member := getattr(request, "admitted", None)) is not None:
            devices.remember(request, answer, member.email)
        return answer
