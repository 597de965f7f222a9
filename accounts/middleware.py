"""What happens to every page's request of a member who has signed in."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone, translation

from accounts import languages, sessions, throttling
from accounts.models.members import Member

Handler = Callable[[HttpRequest], HttpResponseBase]

# More than any form without files.
_BODY_BYTES_MAX = 512 * 1024


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


class SpeakTheirLanguage:
    """Lets pages speak the language a member chose, whatever browser they came in."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        member = request.user
        if isinstance(member, Member) and languages.is_known(member.language):
            translation.activate(member.language)
            request.LANGUAGE_CODE = member.language
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
