"""REST v2: candles of every period, and the trades a chart still waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.money import plain
from markets.api import market_data, shapes
from markets.candles import PERIODS, Bar, start_of
from markets.models import Trade
from tests.makers import Answer, fund
from tests.markets.desk import Desk

pytestmark = pytest.mark.django_db

NOW = timezone.now()
# When, at what price, how much: two quiet days between the first and the second.
TRADES = [
    (timedelta(days=2, hours=3), "100", "1"),
    (timedelta(hours=3), "104", "0.5"),
    (timedelta(hours=3), "103", "0.25"),
    (timedelta(minutes=2), "103", "0.125"),
    (timedelta(minutes=2), "101", "2"),
]


@pytest.fixture
def trades(alice: Member, bob: Member) -> list[Trade]:
    desk = Desk()
    fund(alice, "100 btc")
    fund(bob, "100000 cny")
    for ago, price, amount in TRADES:
        desk.now = NOW - ago
        desk.sell(alice, amount, at=price)
        desk.buy(bob, amount, at=price)
        desk.run()
    return list(Trade.objects.order_by("pk"))


def ask(path: str) -> Answer:
    return Client().get(f"/api/v2/{path}")


def k(query: str = "") -> Any:
    answer = ask(f"k?market=btccny&{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def test_it_writes_numbers_and_fills_what_is_empty(trades: list[Trade]) -> None:
    day = start_of(NOW - TRADES[0][0], 1440)
    answer = ask(f"k.json?market=btccny&period=1440&timestamp={seconds(day)}&limit=2")

    first, second = answer.json()

    assert first == [seconds(day), 100.0, 100.0, 100.0, 100.0, 1.0]
    assert second == [seconds(day) + 86400, 100.0, 100.0, 100.0, 100.0, 0.0]
    assert answer.content.startswith(b"[[%d,100.0," % seconds(day))
    assert isinstance(first[0], int)


def test_it_answers_each_period_up_to_now(trades: list[Trade]) -> None:
    for period in PERIODS:
        rows = k(f"period={period}&limit=10000")

        starts = [row[0] for row in rows]
        step = period * 60
        assert starts == list(range(starts[0], starts[-1] + step, step)), period
        assert starts[0] == seconds(start_of(trades[0].created_at, period)), period
        assert abs(starts[-1] - seconds(start_of(timezone.now(), period))) <= step
        assert sum(row[5] for row in rows) == 3.875, period
        assert rows[-1][4] == 101.0, period
        for _, open_, high, low, close, _ in rows:
            assert low <= min(open_, close) <= max(open_, close) <= high


def test_it_writes_every_digit_of_a_volume() -> None:
    amounts = [Decimal(text) for text in ("1", "1", "1", "1", "0.123456789012345678")]

    written = msgspec.json.encode(shapes.candle(Bar(NOW, *amounts)))

    assert written.endswith(b",1.0,0.123456789012345678]")


def test_it_keeps_the_newest_of_too_many_pending_trades(
    trades: list[Trade], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert market_data.PENDING_TRADES_MAX == 10_000
    monkeypatch.setattr(market_data, "PENDING_TRADES_MAX", 2)

    query = f"market=btccny&period=10080&trade_id={trades[-1].pk + 1}"
    found = ask(f"k_with_pending_trades?{query}").json()["trades"]

    assert [trade["tid"] for trade in found] == [trade.pk for trade in trades[-2:]]


def test_it_begins_weeks_on_monday(trades: list[Trade]) -> None:
    for row in k("period=10080"):
        assert datetime.fromtimestamp(row[0], UTC).strftime("%a %T") == "Mon 00:00:00"


def test_it_answers_thirty_minutes_unless_told(trades: list[Trade]) -> None:
    rows = k()

    assert len(rows) == 30
    assert rows[1][0] - rows[0][0] == 60


def test_it_counts_forward_from_a_timestamp(trades: list[Trade]) -> None:
    first = start_of(trades[0].created_at, 60)
    inside = seconds(first) + 2 * 3600 + 1234

    rows = k(f"period=60&limit=3&timestamp={inside}")
    early = k("period=60&limit=2&timestamp=0")
    negative = k("period=60&limit=2&timestamp=-5")
    late = k(f"period=60&limit=3&timestamp={seconds(timezone.now()) - 60}")

    assert [row[0] for row in rows] == [
        seconds(first) + hours * 3600 for hours in (2, 3, 4)
    ]
    assert early == negative
    assert early[0][0] == seconds(first)
    assert 1 <= len(late) <= 2


ODD = ["4102444800", "253402300799", "253402300800", "999999999999999999"]


def test_it_answers_nothing_where_nothing_is(trades: list[Trade]) -> None:
    for timestamp in ODD:
        for period in PERIODS:
            assert k(f"timestamp={timestamp}&period={period}") == [], timestamp
    for query in ("", "&timestamp=0", "&timestamp=1416830001"):
        assert ask(f"k?market=ltcbtc{query}").json() == []
    pending = ask("k_with_pending_trades?market=ltcbtc&trade_id=7&timestamp=1")
    assert pending.json() == {"k": [], "trades": []}


@pytest.mark.parametrize("path", ["k", "k_with_pending_trades"])
def test_it_names_what_is_wrong(path: str) -> None:
    cases = {
        "market=btccny&limit=0": "limit does not have a valid value",
        "market=btccny&limit=10001": "limit does not have a valid value",
        "market=btccny&period=2": "period does not have a valid value",
        "market=btccny&period=x&limit=y": "limit is invalid, period is invalid",
        "market=btccny&timestamp=1e9": "timestamp is invalid",
        "market=btccny&timestamp=" + "9" * 19: "timestamp is invalid",
        "market=nope": "market does not have a valid value",
    }

    for query, message in cases.items():
        answer = ask(f"{path}?trade_id=1&{query}")
        assert answer.status_code == 400
        assert answer.json() == {"error": {"code": 1001, "message": message}}, query


def test_it_adds_the_trades_before_the_one_the_client_knows(
    trades: list[Trade],
) -> None:
    def pending(trade_id: int, period: int) -> Any:
        query = f"market=btccny&period={period}&limit=1&trade_id={trade_id}"
        return ask(f"k_with_pending_trades?{query}").json()

    found = pending(trades[-1].pk, 10080)
    since = found["k"][-1][0]
    # 100, 104, 103, 103 again: what is not lower counts as up.
    kinds = ["buy", "buy", "sell", "buy"]
    expected = [
        (trade, kind)
        for trade, kind in zip(trades, kinds, strict=False)
        if seconds(trade.created_at) >= since
    ]

    assert found["k"] == k("period=10080&limit=1")
    assert found["trades"] == [
        {
            "tid": trade.pk,
            "type": kind,
            "date": seconds(trade.created_at),
            "price": f"{int(trade.price)}.0",
            "amount": plain(trade.amount),
        }
        for trade, kind in expected
    ]
    assert pending(0, 10080)["trades"] == []
    assert pending(-1, 10080)["trades"] == []
    assert ask("k_with_pending_trades?market=btccny").json() == {
        "error": {"code": 1001, "message": "trade_id is missing"}
    }
