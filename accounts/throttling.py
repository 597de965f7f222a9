"""
Limits of rate: crude counters in fixed windows, as the ancestor kept them.

A request counts for its client's address; a signed one for its key and, over all keys,
for its member, for whom what is done on pages counts, too. A leaf module: it knows
keys, members, addresses and the cache, and nothing of requests. The counters live in
Django's cache, so they hold across processes exactly where the cache does (Redis), and
losing them costs nobody money. Attempts to sign in are no business of this module: see
attempts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.cache import cache

from accounts import networks
from exchange.lib.errors import TooMany

# What one member may say to our support in a window.
COMMENTS_PER_MEMBER = 10
# Factors: answers to one member's, and codes sent by SMS, which cost money.
FACTORS_PER_MEMBER = 5
# Of one who asks, and in all: to a member's own phone, and to one that is to be added.
SMS_PER_ASKER = 3
SMS_PER_MEMBER = 12
SMS_PER_NUMBER = 6
SMS_PER_ADDRESS = 10

# Who placed too much must still get out: cancels are counted apart, and twice as many
# may come.
_TIMES = {"cancels": 2}
# Decoding a picture costs up to a second.
UPLOADS_PER_MEMBER = 12
# Deeds of theirs that we write a mail about, to them or to another member.
MAILS_PER_MEMBER = 100
# E-mail addresses a member tries to pay whom they never paid.
STRANGERS_PER_MEMBER = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a counter stands: requests allowed and left, seconds until it restarts."""

    limit: int
    remaining: int
    reset_seconds: int


class LimitReached(TooMany):
    """The window's limit is used up. Facts: limit, retry_after_seconds."""

    code = "rate_limit_reached"

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        super().__init__(
            limit=standing.limit, retry_after_seconds=standing.reset_seconds
        )


def count_address(address: str, *, now: datetime, bucket: str = "all") -> Standing:
    """
    Count a request of this client address; one IPv6 site counts as one. Raises
    LimitReached.

    Each bucket has the whole limit to itself, and "cancels" has twice that.
    """
    limit = settings.RATE_LIMIT_PER_ADDRESS * _TIMES.get(bucket, 1)
    place = networks.neighbourhood(address)
    return _count(f"address:{bucket}:{place}", limit, now)


def count_key(access_key: str, *, now: datetime, bucket: str = "all") -> Standing:
    """Count a signed request of this key, in a bucket as above. Raises LimitReached."""
    limit = settings.RATE_LIMIT_PER_KEY * _TIMES.get(bucket, 1)
    return _count(f"key:{bucket}:{access_key}", limit, now)


def count_member(member_id: int, *, now: datetime, bucket: str = "all") -> Standing:
    """
    Count a request of this member, by whatever key or page, in a bucket as above.
    Raises LimitReached.
    """
    limit = settings.RATE_LIMIT_PER_MEMBER * _TIMES.get(bucket, 1)
    return _count(f"member:{bucket}:{member_id}", limit, now)


def count_comment(member_id: int, *, now: datetime) -> None:
    """Count what a member says to our support. Raises LimitReached."""
    _count(f"comments:{member_id}", COMMENTS_PER_MEMBER, now)


def count_factor(member_id: int, *, now: datetime) -> None:
    """Count an attempt at a member's factors, before what is shown is looked at."""
    _count(f"factor:{member_id}", FACTORS_PER_MEMBER, now)


def forget_factor(member_id: int, *, now: datetime) -> None:
    """Forget the attempts of whoever turned out to have the factor."""
    cache.delete(_key(f"factor:{member_id}", _window(now)))


def count_sms(*, member_id: int, asker: str, is_stranger: bool, now: datetime) -> None:
    """
    Count a code to a member's own phone, before it is sent. Who asks is counted alone;
    strangers, who know the password at most, also in all. Raises LimitReached.
    """
    _count(f"sms:{member_id}:{asker}", SMS_PER_ASKER, now)
    if is_stranger:
        _count(f"sms:{member_id}", SMS_PER_MEMBER, now)


def count_enrolment_sms(
    *, member_id: int, number: str, address: str, now: datetime
) -> None:
    """Count a code to a phone that may be anybody's. Raises LimitReached."""
    _count(f"sms-new:{networks.neighbourhood(address)}", SMS_PER_ADDRESS, now)
    _count(f"sms-new:{member_id}", SMS_PER_ASKER, now)
    _count(f"sms-new:{_digest(number)}", SMS_PER_NUMBER, now)


def count_upload(*, member_id: int, now: datetime) -> None:
    """Count a file this member sends, before anybody looks into it."""
    _count(f"upload:{member_id}", UPLOADS_PER_MEMBER, now)


def count_stranger(member_id: int, *, now: datetime) -> None:
    """Count an address that may be nobody's, before it is said. Raises LimitReached."""
    _count(f"stranger:{member_id}", STRANGERS_PER_MEMBER, now)


def count_mail(member_id: int, *, now: datetime) -> None:
    """
    Count a deed that somebody is told of by mail: nobody's mailbox is to be flooded, so
    that among many mails the one that matters is not seen. Raises LimitReached.
    """
    _count(f"mail:{member_id}", MAILS_PER_MEMBER, now)


def client_address(meta: dict[str, str]) -> str:
    """
    Return who is asking, from a WSGI environment.

    X-Forwarded-For is believed only as far as our own proxies (TRUSTED_PROXIES) wrote
    it: the answer is the last address in it that is not one of them. An IPv4 address is
    written as one, whatever the socket or the proxy called it.
    """
    hops = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
    address = meta.get("REMOTE_ADDR", "")
    while hops and _is_ours(address):
        address = hops.pop().strip() or address
    # A proxy may pass on what is no address at all.
    return str(networks.parsed(address) or address[:64])


def came_by_proxy(meta: dict[str, str]) -> bool:
    """Say whether one of our own proxies handed the request on."""
    return _is_ours(meta.get("REMOTE_ADDR", ""))


def _count(name: str, limit: int, now: datetime) -> Standing:
    window = _window(now)
    key = _key(name, window)
    seconds = settings.RATE_WINDOW_SECONDS
    try:
        used = cache.incr(key)
    except ValueError:  # nobody was counted in this window yet
        cache.add(key, 0, timeout=seconds)
        used = cache.incr(key)
    left = (window + 1) * seconds - int(now.timestamp())
    if used > limit:
        raise LimitReached(Standing(limit, 0, left))
    return Standing(limit, limit - used, left)


def _window(now: datetime) -> int:
    return int(now.timestamp()) // int(settings.RATE_WINDOW_SECONDS)


def _key(name: str, window: int) -> str:
    return f"rate:{window}:{name}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_ours(address: str) -> bool:
    proxies = settings.TRUSTED_PROXIES
    return bool(proxies) and networks.is_within(address, proxies)
