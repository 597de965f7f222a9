"""What happens to every page's request of a member who has signed in, or just did."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import auth
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts import devices, sessions, throttling

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


class RememberDevice:
    """Marks the browser in which somebody was just admitted: see accounts.devices."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._pages(request)
        if (member := getattr(request, "admitted", None)) is not None:
            devices.remember(request, answer, member.email)
        return answer
