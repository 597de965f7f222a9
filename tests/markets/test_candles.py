"""Candles: every period from the minutes, without holes, weeks from Monday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models.members import Member
from markets import candles
from markets.candles import PERIODS, Bar, start_of
from tests.makers import fund
from tests.markets.desk import Desk

START = datetime(2026, 11, 15, 23, 58, tzinfo=UTC)  # a Sunday, just before the week
# Minutes after START, price, amount.
TRADES = [
    *((0, 100, 1), (0, 104, 2), (1, 99, 1), (2, 101, 3), (9, 103, 1), (63, 98, 2)),
    *((24 * 60, 97, 1), (3 * 24 * 60 + 7, 110, 1), (8 * 24 * 60, 105, 4)),
]


@pytest.fixture
def traded(alice: Member, bob: Member) -> None:
    desk = Desk()
    fund(alice, "100 btc")
    fund(bob, "100000 cny")
    for minutes, price, amount in TRADES:
        desk.now = START + timedelta(minutes=minutes)
        desk.sell(alice, str(amount), at=str(price))
        desk.buy(bob, str(amount), at=str(price))
        desk.run()


def naive(period: int, now: datetime) -> list[Bar]:
    """Derive the candles the obvious way: walk over every period and every trade."""
    bars: list[Bar] = []
    at, step = start_of(START, period), timedelta(minutes=period)
    while at <= now:
        inside = [
            (Decimal(price), Decimal(amount))
            for minutes, price, amount in TRADES
            if at <= START + timedelta(minutes=minutes) < at + step
        ]
        if inside:
            prices = [price for price, _ in inside]
            volume = sum((amount for _, amount in inside), Decimal(0))
            bar = Bar(at, prices[0], max(prices), min(prices), prices[-1], volume)
        else:
            close = bars[-1].close
            bar = Bar(at, close, close, close, close, Decimal(0))
        bars.append(bar)
        at += step
    return bars


def test_it_derives_every_period_without_holes(traded: None) -> None:
    now = START + timedelta(days=9)

    for period in PERIODS:
        expected = naive(period, now)
        found = candles.rows("btccny", period_minutes=period, limit=20_000, now=now)
        assert found == expected, period
        few = candles.rows("btccny", period_minutes=period, limit=3, now=now)
        assert few == expected[-3:], period


def test_it_begins_the_week_on_monday(traded: None) -> None:
    now = START + timedelta(days=9)

    weeks = candles.rows("btccny", period_minutes=10080, limit=10, now=now)

    assert [(f"{bar.at:%a %d}", int(bar.volume)) for bar in weeks] == [
        *(("Mon 09", 4), ("Mon 16", 8), ("Mon 23", 4)),
    ]


def test_it_ends_where_it_is_asked_to(traded: None) -> None:
    rows = candles.rows(
        "btccny",
        period_minutes=1,
        limit=2,
        now=START + timedelta(days=9),
        until=START + timedelta(minutes=3),
    )

    assert [bar.as_json() for bar in rows] == [
        [int(START.timestamp()) + 120, "101.0", "101.0", "101.0", "101.0", "3.0"],
        [int(START.timestamp()) + 180, "101.0", "101.0", "101.0", "101.0", "0.0"],
    ]


def test_it_has_none_where_nothing_was_traded(db: None) -> None:
    assert candles.rows("ltcbtc", period_minutes=5, limit=10, now=START) == []


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(PERIODS),
)
def test_it_puts_each_moment_into_one_period(at: datetime, period: int) -> None:
    start = start_of(at, period)

    assert start <= at < start + timedelta(minutes=period)
    assert start_of(start, period) == start
    if period == 10080:
        assert start.weekday() == 0
