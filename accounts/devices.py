"""
Devices: browsers in which a member has signed in before.

A browser that signs in is given a number in a signed cookie of its own, which outlives
its sessions. Who signs in with a number that the member's history knows is on a known
device, on whatever network. The number says nothing about who used it, opens nothing,
and is kept only as its digest.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.session_store import digest_of

REMEMBERED = timedelta(days=400)  # as long as browsers keep any cookie
_SALT = "accounts.devices"
_GIVEN = "pixiu.device"


def digest_in(request: HttpRequest) -> str:
    """Return the digest of the browser's number; nothing where it has none of ours."""
    number = request.get_signed_cookie(settings.DEVICE_COOKIE_NAME, "", salt=_SALT)
    return digest_of(number) if number else ""


def give(request: HttpRequest) -> str:
    """Have a new number go out with the answer to a request; return its digest."""
    number = request.META[_GIVEN] = secrets.token_urlsafe(16)
    return digest_of(number)


def send(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let the number leave that was given, if one was."""
    if number := request.META.get(_GIVEN):
        response.set_signed_cookie(
            settings.DEVICE_COOKIE_NAME,
            number,
            salt=_SALT,
            max_age=int(REMEMBERED.total_seconds()),
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )
