"""Counters in fixed windows, and who is asking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from accounts import throttling

NOW = datetime(2026, 11, 22, 10, 1, 40, tzinfo=UTC)  # 100 s into a window of 300


@pytest.mark.promise("S-51")
@pytest.mark.usefixtures("five_minutes")
def test_it_counts_to_the_limit(db: None, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_KEY = 2

    standings = [throttling.count_key("bot", now=NOW) for _ in range(2)]
    with pytest.raises(throttling.LimitReached) as refusal:
        throttling.count_key("bot", now=NOW)

    assert [standing.remaining for standing in standings] == [1, 0]
    assert refusal.value.facts == {"limit": 2, "retry_after_seconds": 200}


@pytest.mark.usefixtures("five_minutes")
def test_it_starts_again_with_the_next_window(db: None, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    throttling.count_address("192.0.2.1", now=NOW)

    later = throttling.count_address("192.0.2.1", now=NOW + timedelta(seconds=200))

    assert later == throttling.Standing(limit=1, remaining=0, reset_seconds=300)


def test_it_counts_everybody_alone(db: None, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = settings.RATE_LIMIT_PER_KEY = 1
    throttling.count_address("192.0.2.1", now=NOW)
    throttling.count_key("192.0.2.1", now=NOW)

    assert throttling.count_address("192.0.2.2", now=NOW).remaining == 0


def test_a_site_is_one_address_however_many_it_has(
    db: None, settings: Settings
) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    throttling.count_address("2001:db8:0:1::1", now=NOW)

    with pytest.raises(throttling.LimitReached):
        throttling.count_address("2001:db8:0:1:ffff::2", now=NOW)
    assert throttling.count_address("2001:db8:0:2::1", now=NOW).remaining == 0


@pytest.mark.promise("S-48")
@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),  # a stranger's claim
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.9", "198.51.100.9"),  # the first is a claim
        ("10.0.0.1", "198.51.100.9, 10.0.0.2", "198.51.100.9"),  # two proxies of ours
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", " , ", "10.0.0.1"),
        ("", "198.51.100.9", ""),
        # Sockets that speak both languages call peers like this.
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("::ffff:10.0.0.1", "198.51.100.9, ::ffff:10.0.0.2", "198.51.100.9"),
        ("::ffff:192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1, ::ffff:10.0.0.7, 198.51.100.9", "198.51.100.9"),
        # Our proxy's address in another's: chosen by whoever has that.
        ("::10.0.0.1", "198.51.100.9", "::a00:1"),
        ("64:ff9b::10.0.0.1", "198.51.100.9", "64:ff9b::a00:1"),
        ("2002:a00:1::1", "198.51.100.9", "2002:a00:1::1"),
        ("10.0.0.1", "x" * 99, "x" * 64),
    ],
)
def test_it_believes_only_our_own_proxies(
    settings: Settings, remote: str, forwarded: str, client: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    meta = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}

    assert throttling.client_address(meta) == client
