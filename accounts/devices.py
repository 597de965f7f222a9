"""
Devices: browsers in which a member has signed in before.

A signed cookie says so. It opens nothing; it gives the browser counters of its own, so
that a stranger who guesses at the account from elsewhere cannot shut its owner out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac

COOKIE_NAME = "__Host-device" if settings.HTTPS else "device"
REMEMBERED = timedelta(days=365)
_MEMBERS_MAX = 8  # who share a browser
_SALT = "accounts.devices"


@dataclass(frozen=True, slots=True)
class Device:
    """A browser: its own number, and marks of the addresses that signed in there."""

    id: str
    marks: list[str] = field(default_factory=list)

    def knows(self, email: str) -> bool:
        return _mark(email) in self.marks


def of(request: HttpRequest) -> Device:
    """Return the browser a request comes from; a new one unless it has our cookie."""
    cookie = request.COOKIES.get(COOKIE_NAME, "")
    try:
        id, *marks = signing.loads(cookie, salt=_SALT, max_age=REMEMBERED)
    except (signing.BadSignature, ValueError, TypeError):
        return Device(secrets.token_urlsafe(16))
    return Device(id, marks)


def remember(request: HttpRequest, answer: HttpResponseBase, email: str) -> None:
    """Let the browser be known as one where the owner of this address signs in."""
    device, mark = of(request), _mark(email)
    marks = [mark, *(each for each in device.marks if each != mark)][:_MEMBERS_MAX]
    answer.set_cookie(
        COOKIE_NAME,
        signing.dumps([device.id, *marks], salt=_SALT),
        max_age=REMEMBERED,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def _mark(email: str) -> str:
    return salted_hmac(_SALT, email).hexdigest()[:16]
