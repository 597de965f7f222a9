"""
How pages and their own JSON routes say no: the families of errors become HTTP statuses.

The body of JSON is {"error": {"code", "message", "facts"}}. REST v2 has the ancestor's
codes instead, and its own renderer.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from exchange.lib.errors import (
    Busy,
    Conflict,
    ExchangeError,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Refused,
    TooMany,
)

log = logging.getLogger(__name__)

_STATUSES: dict[type[ExchangeError], int] = {
    Invalid: 400,
    NotSignedIn: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Refused: 422,
    TooMany: 429,
    Busy: 503,
}
_RETRY_AFTER_SECONDS = 1  # our busy moments are short

View = Callable[..., HttpResponse]
Response = TypeVar("Response", bound=HttpResponse)


def status_of(error: ExchangeError) -> int:
    """Return the HTTP status of an error's family."""
    found = (code for family, code in _STATUSES.items() if isinstance(error, family))
    return next(found, 400)


def answer(error: ExchangeError) -> JsonResponse:
    """Turn an anticipated error into what the page's script reads."""
    body = {"code": error.code, "message": error.message, "facts": error.facts}
    return with_pause(JsonResponse({"error": body}, status=status_of(error)), error)


def page(request: HttpRequest, error: ExchangeError) -> HttpResponse:
    """Turn an anticipated error into a page that says what to do next."""
    context = {
        "message": error.message,
        "is_passing": isinstance(error, TooMany | Busy),
    }
    answer = render(request, "refused.html", context, status=status_of(error))
    return with_pause(answer, error)


def with_pause(response: Response, error: ExchangeError) -> Response:
    """Say in an answer when to come again, where that is what helps."""
    if isinstance(error, TooMany | Busy):
        response["Retry-After"] = str(retry_after_seconds(error))
    if isinstance(error, TooMany) and "limit" in error.facts:
        response["RateLimit-Limit"] = str(error.facts["limit"])
        response["RateLimit-Remaining"] = "0"
        response["RateLimit-Reset"] = response["Retry-After"]
    return response


def retry_after_seconds(error: ExchangeError) -> int:
    """Return how long whoever was sent away should wait."""
    return int(str(error.facts.get("retry_after_seconds", _RETRY_AFTER_SECONDS)))


def as_page(view: View) -> View:
    """Let a view raise ExchangeError, and answer it with a page."""

    @functools.wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ExchangeError as error:
            return page(request, error)

    return answering


def as_json(view: View) -> View:
    """Let a view raise ExchangeError, and answer it as JSON."""

    @functools.wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ExchangeError as error:
            return answer(error)
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away: %s", error)
            return answer(Busy())

    return answering
