"""REST v2, public: markets, tickers, depth, trades, the clock."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.members import Member
from markets.models import Market, Trade
from tests import rows
from tests.makers import Answer, ApiClient, fund, match
from tests.markets.desk import Desk

pytestmark = pytest.mark.django_db


def ask(path: str) -> Answer:
    answer = Client().get(f"/api/v2/{path}")
    assert answer["Access-Control-Allow-Origin"] == "*"
    return answer


@pytest.fixture
def three_trades(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> list[Trade]:
    """Bob buys 0.1 at 100, 101 and 102; 0.2 stay on offer at 103, his bid at 99."""
    fund(alice, "10 btc")
    fund(bob, "10000 cny")
    for price in (100, 101, 102, 103):
        volume = "0.2" if price == 103 else "0.1"
        alices_bot.post(
            "orders", market="btccny", side="sell", volume=volume, price=price
        )
    bobs_bot.post("orders", market="btccny", side="buy", volume="0.3", price=102)
    bobs_bot.post("orders", market="btccny", side="buy", volume="1.5", price=99)
    bobs_bot.post("orders", market="btccny", side="buy", volume="0.5", price=98)
    match("btccny")
    return list(Trade.objects.order_by("pk"))


def test_it_lists_the_visible_markets() -> None:
    Market.objects.filter(pk="btcusd").update(is_visible=False)

    markets = ask("markets").json()

    assert markets == [
        {"id": "btccny", "name": "BTC/CNY"},
        {"id": "ltccny", "name": "LTC/CNY"},
        {"id": "ltcbtc", "name": "LTC/BTC"},
    ]
    assert list(markets[0]) == ["id", "name"]


def test_it_says_the_time() -> None:
    answer = ask("timestamp")

    assert answer.content.isdigit()
    assert abs(int(answer.content) - time.time()) <= 2


def test_it_shows_zeros_before_the_first_trade() -> None:
    ticker = ask("tickers/btccny").json()

    assert list(ticker) == ["at", "ticker"]
    assert list(ticker["ticker"].items()) == [
        ("buy", "0.0"),
        ("sell", "0.0"),
        ("low", "0.0"),
        ("high", "0.0"),
        ("last", "0.0"),
        ("vol", "0.0"),
    ]


def test_it_shows_tickers(three_trades: list[Trade]) -> None:
    tickers = ask("tickers.json").json()

    assert list(tickers) == ["btccny", "btcusd", "ltccny", "ltcbtc"]
    assert tickers["btccny"]["ticker"] == {
        "buy": "99.0",
        "sell": "103.0",
        "low": "100.0",
        "high": "102.0",
        "last": "102.0",
        "vol": "0.3",
    }
    assert ask("tickers/btccny.json").json()["ticker"] == tickers["btccny"]["ticker"]


def test_it_shows_depth_dearest_first(three_trades: list[Trade]) -> None:
    depth = ask("depth?market=btccny").json()
    best = ask("depth?market=btccny&limit=1").json()

    assert list(depth) == ["timestamp", "asks", "bids", "seq"]
    assert isinstance(depth["timestamp"], int)
    assert depth["asks"] == [["103.0", "0.2"]]
    assert depth["bids"] == [["99.0", "1.5"], ["98.0", "0.5"]]
    assert best["bids"] == [["99.0", "1.5"]]


def test_it_ends_asks_with_the_best(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "1 btc")
    for price in (105, 103, 104):
        alices_bot.post(
            "orders", market="btccny", side="sell", volume="0.1", price=price
        )
    match("btccny")

    asks = ask("depth?market=btccny&limit=2").json()["asks"]

    assert asks == [["104.0", "0.1"], ["103.0", "0.1"]]


def test_it_shows_trades_in_the_ancestors_shape(three_trades: list[Trade]) -> None:
    newest = ask("trades?market=btccny").json()[0]

    assert list(newest.items()) == [
        ("id", three_trades[-1].pk),
        ("price", "102.0"),
        ("volume", "0.1"),
        ("funds", "10.2"),
        ("market", "btccny"),
        ("created_at", newest["created_at"]),
        ("side", None),
        ("taker_side", "buy"),
    ]


def test_it_pages_trades(three_trades: list[Trade]) -> None:
    first, second, third = [trade.pk for trade in three_trades]
    second_of_them = int(three_trades[0].created_at.timestamp())

    def ids(**params: object) -> list[int]:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        answer = ask(f"trades?market=btccny&{query}")
        return [trade["id"] for trade in answer.json()]

    assert ids() == [third, second, first]
    assert ids(order_by="asc") == [first, second, third]
    assert ids(limit=1) == [third]
    assert ids(**{"from": first}) == [third, second]
    assert ids(to=third) == [second, first]
    assert ids(**{"from": first, "to": third}) == [second]
    assert ids(timestamp=second_of_them) == [third, second, first]
    assert ids(timestamp=second_of_them - 1) == []
    assert ids(timestamp="9" * 18) == [third, second, first]
    assert ids(timestamp=-5) == []


BAD = {
    "order_book?market=btccny&asks_limit=201": "asks_limit must be in range: 1..200",
    "order_book?market=btccny&bids_limit=0": "bids_limit must be in range: 1..200",
    "tickers/nope": "market does not have a valid value",
    "tickers/btc%00cny": "A parameter is invalid: it is not plain text.",
    "depth": "market is missing, market does not have a valid value",
    "depth?market=": "market does not have a valid value",
    "depth?market=nope": "market does not have a valid value",
    "depth?market=btccny&limit=0": "limit must be in range: 1..1000",
    "depth?market=btccny&limit=1001": "limit must be in range: 1..1000",
    "depth?market=btccny&limit=1e3": "limit is invalid",
    "trades?market=btccny&limit=": "limit is invalid",
    "trades?market=btccny&from=x": "from is invalid",
    "trades?market=btccny&to=1.5": "to is invalid",
    "trades?market=btccny&timestamp=now": "timestamp is invalid",
    "trades?market=btccny&order_by=up": "order_by does not have a valid value",
    "trades?limit=0": "market is missing, market does not have a valid value,"
    " limit must be in range: 1..1000",
}


def test_it_names_what_is_wrong() -> None:
    for path, expected in BAD.items():
        answer = ask(path)

        refusal = {"error": {"code": 1001, "message": expected}}
        assert (answer.status_code, answer.json()) == (400, refusal), path


def test_it_shows_the_book_as_one_order_a_level(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    """Two members at one price are one: nobody's orders can be followed."""
    fund(alice, "10 btc")
    fund(bob, "10000 cny", "1 btc")
    for bot, side, volume, price in (
        (alices_bot, "sell", "0.5", 103),
        (bobs_bot, "sell", "0.25", 103),
        (alices_bot, "sell", "1", 104),
        (bobs_bot, "buy", "2", 99),
        (bobs_bot, "buy", "1", 98),
    ):
        bot.post("orders", market="btccny", side=side, volume=volume, price=price)
    match("btccny")

    answer = ask("order_book.json?market=btccny")
    book = answer.json()
    best = ask("order_book?market=btccny&asks_limit=1&bids_limit=1").json()

    at = book["asks"][0]["created_at"]
    assert list(book) == ["asks", "bids", "seq"]
    assert list(book["asks"][0].items()) == [
        ("id", 1),
        ("side", "sell"),
        ("ord_type", "limit"),
        ("price", "103.0"),
        ("avg_price", "0.0"),
        ("state", "wait"),
        ("market", "btccny"),
        ("created_at", at),
        ("volume", "0.75"),
        ("remaining_volume", "0.75"),
        ("executed_volume", "0.0"),
        ("trades_count", 0),
    ]
    shown = [
        [(row["id"], row["side"], row["price"], row["volume"]) for row in book[name]]
        for name in ("asks", "bids")
    ]
    assert shown == [
        [(1, "sell", "103.0", "0.75"), (2, "sell", "104.0", "1.0")],
        [(1, "buy", "99.0", "2.0"), (2, "buy", "98.0", "1.0")],
    ]
    assert (len(best["asks"]), len(best["bids"])) == (1, 1)
    assert book["seq"] == ask("depth?market=btccny").json()["seq"] > 0


def test_it_shows_twenty_levels_unless_told(alice: Member, bob: Member) -> None:
    fund(alice, "10 btc")
    desk = Desk()
    for price in range(100, 130):
        desk.sell(alice, "0.1", at=str(price))
    desk.run()

    book = ask("order_book?market=btccny").json()
    more = ask("order_book?market=btccny&asks_limit=200").json()

    prices = [row["price"] for row in book["asks"]]
    assert prices == [f"{price}.0" for price in range(100, 120)]
    assert len(more["asks"]) == 30


def test_it_answers_as_many_as_the_ancestor_did_unless_told(
    alice: Member, bob: Member, alices_bot: ApiClient
) -> None:
    Market.objects.filter(pk="btccny").update(open_orders_max=1000)
    fund(alice, "100 btc", "100 cny")
    fund(bob, "10 btc", "100000 cny")
    desk = Desk()
    for price in range(21):
        desk.buy(alice, "0.1", at=f"10.{price:02}")
    for price in range(100, 460):
        desk.sell(alice, "0.1", at=str(price))
    desk.run()
    desk.buy(bob, "5.5", at="500")
    desk.run()

    depth = ask("depth?market=btccny").json()
    book = ask("order_book?market=btccny").json()
    mine = alices_bot.get("orders", market="btccny").json()
    done = alices_bot.get("orders", market="btccny", state="done", limit=1000).json()

    assert (len(depth["asks"]), len(depth["bids"])) == (300, 21)
    assert depth["asks"][-1] == ["155.0", "0.1"]
    assert (len(book["asks"]), len(book["bids"])) == (20, 20)
    assert len(mine) == 100
    assert len(done) == 55
    assert len(ask("trades?market=btccny").json()) == 50
    assert len(alices_bot.get("trades/my", market="btccny").json()) == 50


def test_its_ids_fit_the_numbers_of_javascript() -> None:
    found = rows.read(
        "SELECT sequencename, max_value FROM pg_sequences"
        " WHERE sequencename ~ '^markets_(order|trade)_id_seq$'"
    )

    assert sorted(found) == [
        ("markets_order_id_seq", 2**53 - 1),
        ("markets_trade_id_seq", 2**53 - 1),
    ]


def test_its_tickers_forget_what_is_a_day_old(alice: Member, bob: Member) -> None:
    """Nobody trades any more, and the window moves on all the same."""
    fund(alice, "10 btc")
    fund(bob, "10000 cny")
    desk = Desk()
    desk.now = timezone.now() - timedelta(hours=24, minutes=2)
    desk.sell(alice, "1", at="500")
    desk.buy(bob, "1", at="500")
    desk.run()
    desk.now = timezone.now() - timedelta(hours=23)
    desk.sell(alice, "2", at="400")
    desk.buy(bob, "2", at="400")
    desk.run()

    ticker = ask("tickers/btccny").json()["ticker"]

    assert (ticker["high"], ticker["low"], ticker["vol"]) == ("400.0", "400.0", "2.0")
    assert ticker["last"] == "400.0"
