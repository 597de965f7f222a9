"""
Requests signed as they are sent: key, time, nonce and signature in headers of ours.

The signature is the HMAC-SHA256, in small hexadecimal digits, over nine lines joined by
a line feed: verb, host, path, query as sent, SHA-256 of the body as sent (hexadecimal),
key, timestamp, window, nonce. So nothing of a request can be added, left out, doubled
or moved. A nonce works once.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from accounts import tokens
from accounts.models.tokens import ApiToken, UsedNonce
from exchange.lib.errors import Invalid, NotSignedIn

WINDOW_MS = 5_000  # where a client names none
WINDOW_MS_MAX = 30_000
# A request may come by its window too late and by its window too early: kept for longer
# than both, so that one clock running ahead of another reopens nothing.
KEPT_MS = 3 * WINDOW_MS_MAX
# What was signed for a time this far ahead is refused without being kept: see tonces.
KEPT_AHEAD = timedelta(days=1)

_FORMS = {
    "X-Api-Key": re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII),
    "X-Api-Timestamp": re.compile(r"[1-9][0-9]{0,14}", re.ASCII),
    "X-Api-Window": re.compile(r"[1-9][0-9]{0,4}", re.ASCII),
    "X-Api-Nonce": re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII),
    "X-Api-Signature": re.compile(r"[0-9a-f]{64}", re.ASCII),
}
NAMES = tuple(_FORMS)


class HeadersMalformed(Invalid):
    """A header of the scheme is missing, doubled, or of the wrong form."""

    code = "headers_malformed"


class TimestampOutsideWindow(NotSignedIn):
    """The request is too old, or from the future. Says what time it is here."""

    code = "timestamp_outside_window"


class NonceUsed(NotSignedIn):
    """A request with this nonce was seen before."""

    code = "nonce_used"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came over the wire."""

    verb: str
    host: str
    path: str  # percent-encoded
    query: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers of the scheme say, each in its right form."""

    access_key: str
    timestamp: int
    window: int
    nonce: str
    signature: str


def read(values: dict[str, str]) -> Headers:
    """
    Read the headers by name; only the window may be missing. Raises HeadersMalformed,
    which says which one is wrong.
    """
    given = {"X-Api-Window": str(WINDOW_MS)} | values
    for name, form in _FORMS.items():
        if name not in given:
            raise HeadersMalformed(f"{name} is missing")
        if not form.fullmatch(given[name]):
            raise HeadersMalformed(f"{name} is invalid")
    key, timestamp, window, nonce, signature = (given[name] for name in NAMES)
    if int(window) > WINDOW_MS_MAX:
        raise HeadersMalformed(f"X-Api-Window must be in range: 1..{WINDOW_MS_MAX}")
    return Headers(key, int(timestamp), int(window), nonce, signature)


def canonical(headers: Headers, sent: Sent) -> bytes:
    """Return the lines that are signed."""
    before = f"{sent.verb}\n{sent.host.lower()}\n{sent.path}\n".encode()
    numbers = f"{headers.timestamp}\n{headers.window}\n{headers.nonce}"
    after = f"\n{sha256(sent.body).hexdigest()}\n{headers.access_key}\n{numbers}"
    return before + sent.query + after.encode()


def verify(
    *,
    headers: Headers,
    sent: Sent,
    scopes: Collection[str],
    address: str,
    now: datetime,
) -> ApiToken:
    """
    Believe a request: return its token, with `.member` at hand.

    After the key and the signature its time is looked at, and last its nonce. Raises
    TimestampOutsideWindow, NonceUsed, or what tokens.believe does.
    """
    request = tokens.Signed(
        headers.access_key,
        canonical(headers, sent),
        headers.signature,
        scopes,
        address,
        now,
    )
    return tokens.believe(request, _Nonce(headers))


def forget_old_nonces(*, now: datetime) -> int:
    """Delete nonces whose time is over anyway, and return how many they were."""
    oldest = tokens.milliseconds(now) - KEPT_MS
    count, _ = UsedNonce.objects.filter(timestamp__lt=oldest).delete()
    return count


_nonces = tokens.Recorder("accounts_usednonce", nonce="text", timestamp="bigint")


class _Nonce:
    """This scheme's way to work once."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def is_in_time(self, now: datetime) -> bool:
        off = abs(self._headers.timestamp - tokens.milliseconds(now))
        return off <= self._headers.window

    def record(self, token: ApiToken, versions: tokens.Versions | None = None) -> bool:
        nonce, timestamp = self._headers.nonce, self._headers.timestamp
        return _nonces.write(token, versions, nonce=nonce, timestamp=timestamp)

    def use_up(self, token: ApiToken, now: datetime) -> None:
        now_ms, timestamp = tokens.milliseconds(now), self._headers.timestamp
        if not self.is_in_time(now):
            if now_ms < timestamp <= now_ms + tokens.milliseconds_of(KEPT_AHEAD):
                self.record(token)  # it must not work when its time comes
            raise TimestampOutsideWindow(
                f"The timestamp {timestamp} is more than {self._headers.window} ms"
                f" from our clock, current timestamp is {now_ms}."
            )
        if not self.record(token):
            raise NonceUsed(
                f"The nonce {self._headers.nonce} has already been used"
                f" by access key {token.access_key}."
            )
