"""What happens to every page's request of a member who has signed in."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import auth
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts import sessions, throttling

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
