"""What happens to every page's request of a member who has signed in."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import auth
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation

from accounts import languages, sessions, throttling
from accounts.models.members import Member

Handler = Callable[[HttpRequest], HttpResponseBase]


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
