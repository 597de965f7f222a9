"""
Gives each request a number: it stands in the answer, in the log and in the audit trail.

What a client calls its request is not listened to: a number that strangers choose
proves nothing. Whoever is sent away for who they are is written down here, for pages
and REST alike, without their secrets and without personal data.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from django.contrib import auth
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts import throttling
from exchange.lib import origin
from exchange.lib.origin import Origin

log = logging.getLogger("exchange.refused")

HEADER = "X-Request-ID"
# Not known or not believed; known and not allowed; sent away for trying too often.
_REFUSALS = {401, 403, 429}
_PATH_LENGTH_MAX = 200

Handler = Callable[[HttpRequest], HttpResponseBase]


class NumberRequests:
    """Middleware, outside all others."""

    def __init__(self, inner: Handler) -> None:
        self._inner = inner

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        address = throttling.client_address(request.META)
        here = Origin(secrets.token_hex(8), address)
        with origin.coming_from(here):
            answer = self._inner(request)
            if answer.status_code in _REFUSALS:
                _note(request, answer.status_code, address)
        answer.headers[HEADER] = here.request_id
        return answer


def _note(request: HttpRequest, status: int, address: str) -> None:
    session = getattr(request, "session", None)
    member = session.get(auth.SESSION_KEY) if session is not None else None
    log.info(
        "refused %s %s %s member=%s address=%s",
        status,
        request.method,
        request.path[:_PATH_LENGTH_MAX],
        member or "-",
        address,
    )
