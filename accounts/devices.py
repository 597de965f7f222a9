"""
Devices: browsers in which a member has signed in before.

A signed cookie says so, which outlives all sessions. It opens nothing. It gives the
browser counters of its own, so that a stranger who guesses at the account from
elsewhere cannot shut its owner out; and by its number, of which the history of
sign-ins keeps the digest, a new device is told from a known one.
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

from accounts.session_store import digest_of

REMEMBERED = timedelta(days=400)  # as long as browsers keep any cookie
_MEMBERS_MAX = 8  # who share a browser
_SALT = "accounts.devices"
_SEEN = "pixiu.device"


@dataclass(frozen=True, slots=True)
class Device:
    """A browser: its own number, and marks of the addresses that signed in there."""

    id: str
    marks: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Under what it is remembered: the number itself is nowhere."""
        return digest_of(self.id)

    def knows(self, email: str) -> bool:
        return _mark(email) in self.marks


def of(request: HttpRequest) -> Device:
    """
    Return the browser a request comes from; a new one, the same for the whole request,
    unless it has our cookie.
    """
    if _SEEN not in request.META:
        cookie = request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
        request.META[_SEEN] = _read(cookie)
    device: Device = request.META[_SEEN]
    return device


def _read(cookie: str) -> Device:
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
        settings.DEVICE_COOKIE_NAME,
        signing.dumps([device.id, *marks], salt=_SALT),
        max_age=REMEMBERED,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def _mark(email: str) -> str:
    return salted_hmac(_SALT, email).hexdigest()[:16]
