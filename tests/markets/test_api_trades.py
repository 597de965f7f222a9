"""REST v2: my own trades."""

from __future__ import annotations

from decimal import Decimal

import pytest

from accounts.models.members import Member
from markets.api import shapes
from markets.models import Trade
from tests.makers import ApiClient, fund, make_token, match
from tests.markets.desk import NOW


@pytest.fixture
def trades(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> list[Trade]:
    """Alice sells to Bob as maker, then buys from him as taker, twice each."""
    fund(alice, "10 btc", "10000 cny")
    fund(bob, "10 btc", "10000 cny")
    for taker, maker in ((bobs_bot, alices_bot), (alices_bot, bobs_bot)):
        for price in (100, 101):
            for bot, side in ((maker, "sell"), (taker, "buy")):
                bot.post(
                    "orders", market="btccny", side=side, volume="0.1", price=price
                )
        match("btccny")
    return list(Trade.objects.order_by("pk"))


def test_it_shows_my_trades_newest_first(
    trades: list[Trade], alices_bot: ApiClient
) -> None:
    found = alices_bot.get("trades/my.json", market="btccny").json()

    assert list(found[0].items()) == [
        ("id", trades[3].pk),
        ("price", "101.0"),
        ("volume", "0.1"),
        ("funds", "10.1"),
        ("market", "btccny"),
        ("created_at", found[0]["created_at"]),
        ("side", "bid"),
        ("order_id", trades[3].taker_order_id),
    ]
    assert [(row["id"], row["side"], row["order_id"]) for row in found] == [
        (trades[3].pk, "bid", trades[3].taker_order_id),
        (trades[2].pk, "bid", trades[2].taker_order_id),
        (trades[1].pk, "ask", trades[1].maker_order_id),
        (trades[0].pk, "ask", trades[0].maker_order_id),
    ]


def test_it_shows_nobody_elses(
    trades: list[Trade], mallory: Member, bobs_bot: ApiClient
) -> None:
    hers = ApiClient(make_token(mallory)).get("trades/my", market="btccny")
    elsewhere = bobs_bot.get("trades/my", market="ltccny")

    assert (hers.json(), elsewhere.json()) == ([], [])


def test_it_pages_my_trades(trades: list[Trade], alices_bot: ApiClient) -> None:
    def ids(**params: object) -> list[int]:
        found = alices_bot.get("trades/my", market="btccny", **params).json()
        return [trades.index(Trade.objects.get(pk=row["id"])) for row in found]

    assert ids(order_by="asc") == [0, 1, 2, 3]
    assert ids(limit=2) == [3, 2]
    assert ids(limit=3, order_by="asc") == [0, 1, 2]
    assert ids(**{"from": trades[0].pk, "to": trades[3].pk}) == [2, 1]
    assert ids(timestamp=1) == []
    assert ids(timestamp=int(trades[3].created_at.timestamp())) == [3, 2, 1, 0]


def test_it_shows_a_trade_with_oneself_once_as_the_ask(alice: Member) -> None:
    """The engine makes none; the shape must hold for those of older books."""
    for taker_side, ask_id in (("buy", 1), ("sell", 2)):
        trade = Trade(
            maker_id=alice.pk,
            taker_id=alice.pk,
            maker_order_id=1,
            taker_order_id=2,
            taker_side=taker_side,
            price=Decimal(1),
            amount=Decimal(1),
            funds=Decimal(1),
            market_id="btccny",
            created_at=NOW,
        )

        shown = shapes.own_trade(trade, alice)

        assert (shown["side"], shown["order_id"]) == ("ask", ask_id)


def test_it_misses_credentials_as_parameters(
    alice: Member, alices_bot: ApiClient
) -> None:
    browser = alices_bot.browser
    unsigned = browser.get("/api/v2/trades/my")
    half = browser.get("/api/v2/trades/my?market=btccny&access_key=x")
    narrow = ApiClient(make_token(alice, scopes=["trade", "profile"]))

    assert (unsigned.status_code, unsigned.json()["error"]) == (
        400,
        {
            "code": 1001,
            "message": "access_key is missing, tonce is missing, signature is missing,"
            " market is missing, market does not have a valid value",
        },
    )
    assert half.json()["error"]["message"] == "tonce is missing, signature is missing"
    refused = narrow.get("trades/my", market="btccny")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, 2011)
