"""
The ancestor's way to sign, so that its bots trade here unchanged: an HMAC-SHA256 over
`VERB|path|canonical query`, and a tonce (milliseconds) that works once.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from accounts import tokens
from accounts.models.tokens import ApiToken, UsedTonce
from exchange.lib.errors import NotSignedIn

WINDOW_SECONDS = 30  # the ancestor's

# A tonce this far ahead is refused without being kept: it could be replayed only after
# that time, and keeping it would let a key fill our disk with the years to come.
KEPT_AHEAD = timedelta(days=1)
_WINDOW_MS = WINDOW_SECONDS * 1000
_TONCE = re.compile(r"[0-9]{1,15}", re.ASCII)


class TonceUsed(NotSignedIn):
    """A request with this tonce was seen before."""

    code = "tonce_used"


class TonceOutsideWindow(NotSignedIn):
    """The tonce is too far from our clock."""

    code = "tonce_outside_window"


class Credentials(NamedTuple):
    """The three parameters that make a request a signed one, as they came."""

    access_key: str
    tonce: str
    signature: str


def verify_request(
    *,
    credentials: Credentials,
    payload: str,
    scopes: Collection[str],
    address: str,
    now: datetime,
) -> ApiToken:
    """
    Believe a signed request: return its token, with `.member` at hand.

    `payload` is `VERB|path|canonical query`. Raises TonceUsed, TonceOutsideWindow, or
    what tokens.believe does.
    """
    access_key, text, signature = credentials
    message = payload.encode()
    signed = tokens.Signed(access_key, message, signature, scopes, address, now)
    return tokens.believe(signed, Tonce(text))


def forget_old_tonces(*, now: datetime) -> int:
    """
    Delete tonces too old to be accepted anyway, and return how many they were.

    They are kept for twice the window, so that one clock running ahead of another
    reopens nothing.
    """
    oldest = tokens.milliseconds(now) - 2 * WINDOW_SECONDS * 1000
    count, _ = UsedTonce.objects.filter(tonce__lt=oldest).delete()
    return count


_tonces = tokens.Recorder("accounts_usedtonce", tonce="bigint")


class Tonce:
    """The ancestor's way to work once: milliseconds that are used up."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ms = int(text) if _TONCE.fullmatch(text) else None

    def is_in_time(self, now: datetime) -> bool:
        return (
            self._ms is not None and abs(self._ms - _window_middle(now)) <= _WINDOW_MS
        )

    def record(self, token: ApiToken, versions: tokens.Versions | None = None) -> bool:
        return _tonces.write(token, versions, tonce=self._ms)

    def use_up(self, token: ApiToken, now: datetime) -> None:
        """Record the tonce, then look whether it was in time: 2006 before 2007."""
        now_ms = _window_middle(now)
        if self._is_worth_keeping(now_ms):
            if not self.record(token):
                raise TonceUsed(
                    f"The tonce {self._ms} has already been used"
                    f" by access key {token.access_key}."
                )
            if self.is_in_time(now):
                return
        raise TonceOutsideWindow(
            f"The tonce {self._text} is invalid, current timestamp is {now_ms}."
        )

    def _is_worth_keeping(self, now_ms: int) -> bool:
        last = now_ms + tokens.milliseconds_of(KEPT_AHEAD)
        return self._ms is not None and now_ms - 2 * _WINDOW_MS <= self._ms <= last


def _window_middle(now: datetime) -> int:
    return tokens.milliseconds(now.replace(microsecond=0))
