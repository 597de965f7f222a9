"""Tickers: the last 24 hours, which pass by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models.members import Member
from markets import tickers
from markets.models import Market
from markets.tickers import Ticker
from tests.makers import fund
from tests.markets.desk import NOW, Desk
from wallets import valuation

HOUR = timedelta(hours=1)


@pytest.fixture
def desk(alice: Member, bob: Member) -> Desk:
    fund(alice, "100 btc")
    fund(bob, "100000 cny")
    return Desk()


@pytest.fixture
def traded(desk: Desk, alice: Member, bob: Member) -> Desk:
    """Trades at 100, 130, 90 and 110, one each hour from NOW on."""
    for price in ("100", "130", "90", "110"):
        desk.sell(alice, "2", at=price)
        desk.buy(bob, "2", at=price)
        desk.run()
        desk.now += HOUR
    return desk


def figures(ticker: Ticker, *names: str) -> tuple[object, ...]:
    return tuple(getattr(ticker, name) for name in names)


def test_it_knows_nothing_of_a_market_that_never_traded(desk: Desk) -> None:
    ticker = tickers.ticker("btccny", NOW)

    nothing = dict.fromkeys(("last", "open", "high", "low", "buy", "sell"))
    assert ticker.as_json() == nothing | {"volume": "0.0", "funds": "0.0"}
    assert tickers.ticker("nope", NOW).last is None


def test_it_sums_the_day_up(traded: Desk, alice: Member, bob: Member) -> None:
    traded.sell(alice, "1", at="112")
    traded.sell(alice, "1", at="111")
    traded.buy(bob, "1", at="108")
    traded.buy(bob, "1", at="109")
    traded.run()

    ticker = tickers.ticker("btccny", traded.now)

    assert figures(ticker, "open", "high", "low", "last") == (100, 130, 90, 110)
    assert figures(ticker, "volume", "funds", "buy", "sell") == (8, 860, 109, 111)


def test_it_forgets_by_itself_what_is_a_day_old(traded: Desk) -> None:
    def after(hours: int) -> tuple[object, ...]:
        day = tickers.ticker("btccny", NOW + hours * HOUR)
        return figures(day, "open", "high", "low", "last", "volume")

    assert after(23) == (100, 130, 90, 110, 8)
    assert after(24) == (100, 130, 90, 110, 6)  # opened by the last price before it
    assert after(25) == (130, 110, 90, 110, 4)
    assert after(26) == (90, 110, 110, 110, 2)
    assert after(100) == (110, None, None, 110, 0)
    # To the minute: the one a day ago is outside, and gives the opening price.
    ticker = tickers.ticker("btccny", NOW.replace(second=0) + 24 * HOUR)
    assert figures(ticker, "open", "volume") == (100, 6)


def test_it_knows_the_past_as_it_was(traded: Desk) -> None:
    ticker = tickers.ticker("btccny", NOW + HOUR)

    assert figures(ticker, "last", "high", "volume") == (130, 130, 4)


def test_it_lists_the_visible_markets_in_the_operators_order(db: None) -> None:
    Market.objects.filter(pk="btcusd").update(is_visible=False)

    found = [ticker.market_id for ticker in tickers.tickers(NOW)]

    assert found == ["btccny", "ltccny", "ltcbtc"]


def test_a_price_that_two_friends_made_counts_for_no_limit(
    desk: Desk, alice: Member, bob: Member
) -> None:
    def trade(price: str, *, hours_ago: int) -> None:
        desk.now = timezone.now() - hours_ago * HOUR
        desk.sell(alice, "2", at=price)
        desk.buy(bob, "2", at=price)
        desk.run()

    def worth(value: Callable[..., Decimal | None]) -> list[Decimal | None]:
        return [value(Decimal(2), "btc", "cny"), value(Decimal(50), "cny", "btc")]

    assert worth(valuation.counted_value_of) == [None, None]
    trade("100", hours_ago=120)
    trade("10", hours_ago=1)

    assert worth(valuation.value_of) == [20, 5]
    assert worth(valuation.counted_value_of) == [200, 5]
    trade("125", hours_ago=0)
    assert worth(valuation.counted_value_of) == [250, Decimal("0.5")]
