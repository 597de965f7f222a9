"""
Limits of rate: crude counters in fixed windows, as the ancestor kept them.

Every request counts for its client's address; a signed one also for its key. A leaf
module: it knows keys, addresses and the cache, and nothing of requests or members. The
counters live in Django's cache, so they hold across processes exactly where the cache
does (Redis), and losing them costs nobody money. Attempts to sign in are no business of
this module: see attempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.core.cache import cache

from exchange.lib.errors import TooMany


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
    Count a request of this client address. Raises LimitReached.

    Each bucket has the whole limit to itself: cancels have one of their own, so that
    who placed too much can still get out.
    """
    name = f"address:{bucket}:{address}"
    return _count(name, settings.RATE_LIMIT_PER_ADDRESS, now)


def count_key(access_key: str, *, now: datetime, bucket: str = "all") -> Standing:
    """Count a signed request of this key, in a bucket as above. Raises LimitReached."""
    return _count(f"key:{bucket}:{access_key}", settings.RATE_LIMIT_PER_KEY, now)


def client_address(meta: dict[str, str]) -> str:
    """
    Return who is asking, from a WSGI environment.

    X-Forwarded-For is believed only as far as our own proxies (TRUSTED_PROXIES) wrote
    it: the answer is the last address in it that is not one of them.
    """
    address = meta.get("REMOTE_ADDR", "")
    if not _is_ours(address):
        return address
    for hop in reversed(meta.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not hop.strip():
            continue
        address = hop.strip()
        if not _is_ours(address):
            break
    return address[:64]  # a proxy may pass on what is no address at all


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


def _is_ours(address: str) -> bool:
    proxies = tuple(settings.TRUSTED_PROXIES)
    return bool(proxies) and _is_within(address, proxies)


@lru_cache(maxsize=1024)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        host = ip_address(address)
    except ValueError:
        return False
    return any(host in network for network in _networks(networks))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text, strict=False) for text in texts]
