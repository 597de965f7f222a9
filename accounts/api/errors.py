"""
How REST v2 says no: the ancestor's numeric codes, messages and statuses.

Domain errors know no HTTP; this is the one place where they become answers. An
endpoint that owes its clients a code of its own (2002: "Failed to create order…")
raises Failure.
"""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.response import Response

from accounts import signed_headers, tokens, tonces
from accounts.api.parameters import (
    BodyOfUnknownType,
    BodyTooLarge,
    ParametersInvalid,
)
from accounts.throttling import LimitReached
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

VALIDATION = 1001
GENERIC = 2000
AUTHORIZATION_FAILED = 2001
CREATE_ORDER_FAILED = 2002
CANCEL_ORDER_FAILED = 2003
UNKNOWN_ORDER = 2004
UNKNOWN_DEPOSIT = 2012
UNKNOWN_TRANSFER = 2013
UNKNOWN_WITHDRAW = 2014
UNKNOWN_BENEFICIARY = 2015

# Errors with a number of their own. The first one that fits counts.
_NUMBERED: list[tuple[type[ExchangeError], int, int]] = [
    (ParametersInvalid, 400, VALIDATION),
    (signed_headers.HeadersMalformed, 400, VALIDATION),
    (BodyTooLarge, 413, GENERIC),
    (BodyOfUnknownType, 415, GENERIC),
    (tokens.BadSignature, 401, 2005),
    (tonces.TonceUsed, 401, 2006),
    (signed_headers.NonceUsed, 401, 2006),
    (tonces.TonceOutsideWindow, 401, 2007),
    (signed_headers.TimestampOutsideWindow, 401, 2007),
    (tokens.UnknownKey, 401, 2008),
    (tokens.KeyDisabled, 401, 2009),
    (tokens.KeyExpired, 401, 2010),
    (tokens.ScopeMissing, 401, 2011),
    # The families, for whatever no endpoint gave a number to.
    (Invalid, 400, GENERIC),
    (Refused, 400, GENERIC),
    (NotSignedIn, 401, AUTHORIZATION_FAILED),
    (NotAllowed, 403, GENERIC),
    (NotFound, 404, GENERIC),
    (Conflict, 409, GENERIC),
    (TooMany, 429, GENERIC),
    (Busy, 503, GENERIC),
]

_RETRY_SECONDS = "1"  # what a 503 asks for: our busy moments are short


class Failure(Exception):
    """
    An answer that is a refusal: HTTP status, the ancestor's code, the message, and what
    a program may want to know besides.
    """

    def __init__(self, status: int, code: int, message: str, **facts: int) -> None:
        self.status, self.code, self.message = status, code, message
        self.facts = facts
        super().__init__(message)


def answer(error: Exception) -> HttpResponse:
    """Turn whatever an endpoint raised into what its client gets."""
    match error:
        case LimitReached():
            # Text, not JSON: what the ancestor's fence in front of the API answered.
            after = str(error.standing.reset_seconds)
            return text("Retry later\n", 429, {"Retry-After": after})
        case tokens.AddressNotTrusted():
            return text("Forbidden\n", 403)
        case MethodNotAllowed():
            return _envelope(Failure(405, GENERIC, str(error.detail)))
        case Failure():
            return _envelope(error)
        case ExchangeError():
            status, code = _number(error)
            return _envelope(Failure(status, code, error.message))
        case OperationalError() | InterfaceError():
            log.warning("REST v2: the database is away: %s", error)
            return _envelope(Failure(503, GENERIC, str(Busy.text)))
    log.error("REST v2 failed", exc_info=error)
    return _envelope(Failure(500, GENERIC, "Something went wrong on our side."))


def text(body: str, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    """Answer in plain text, as the ancestor did outside of its endpoints."""
    return HttpResponse(body, "text/plain", status, headers=headers)


def _number(error: ExchangeError) -> tuple[int, int]:
    for family, status, code in _NUMBERED:
        if isinstance(error, family):
            return status, code
    return 400, GENERIC


def _envelope(failure: Failure) -> HttpResponse:
    error = {"code": failure.code, "message": failure.message}
    body = {"error": error | failure.facts}
    headers = {"Retry-After": _RETRY_SECONDS} if failure.status == 503 else {}
    return Response(body, failure.status, headers=headers)
