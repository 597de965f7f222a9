"""Intake: what is taken, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models.members import Member
from accounts.standing import AddressNotConfirmed
from exchange.lib.errors import ExchangeError
from markets import orders
from markets.models import Order
from markets.orders import (
    BadTerms,
    BelowMinimum,
    ClientIdTaken,
    MarketHalted,
    MemberMayNotTrade,
    NotDeepEnough,
    Terms,
    TooManyOrders,
    UnknownOrder,
)
from markets.queries import UnknownMarket
from markets.units import AboveMaximum, AmountOffLot, PriceOffTick
from tests import rows
from tests.makers import fund
from tests.markets.desk import NOW, Desk, fresh, list_market, purse
from wallets.ledger import InsufficientFunds

D = Decimal


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


def place(member: Member, terms: Terms, **more: Any) -> Order:
    how: dict[str, Any] = {"market_id": "btccny", "source": "web", "now": NOW}
    return orders.place(member=member, terms=terms, **(how | more))


def limit(side: str = "buy", price: Any = "30000", amount: Any = "0.5") -> Terms:
    return Terms(side, "limit", price=D(price), amount=D(amount))


def test_it_takes_an_order_with_its_funds_behind_it(desk: Desk, bob: Member) -> None:
    fund(bob, "20000 cny")

    order = desk.buy(bob, "0.5", at="30000", client_id="first")

    row = fresh(order)
    assert (row.state, row.side, row.kind) == ("pending", "buy", "limit")
    assert (row.price, row.price_limit, row.amount) == (30000, 30000, D("0.5"))
    assert (row.locked, row.locked_at_first, row.funds) == (15000, 15000, None)
    assert (row.client_id, row.source, row.seq) == ("first", "web", None)
    assert (row.created_at, row.updated_at) == (NOW, NOW)
    assert purse(bob, "cny") == (5000, 15000)


def test_it_locks_the_base_to_sell(desk: Desk, alice: Member) -> None:
    fund(alice, "2 btc")

    order = desk.sell(alice, "0.5", at="30000")

    assert fresh(order).locked == D("0.5")
    assert purse(alice, "btc") == (D("1.5"), D("0.5"))


SOUND = limit(price="1000", amount="0.1")
# Every reason there is to say no, for Bob, who has 1,000 cny and nothing else.
REFUSALS: dict[str, tuple[type[ExchangeError], Terms, dict[str, Any]]] = {
    "unknown market": (UnknownMarket, SOUND, {"market_id": "xxxyyy"}),
    "no market": (UnknownMarket, SOUND, {"market_id": "\0"}),
    "unknown side": (BadTerms, limit(side="hold"), {}),
    "unknown kind": (BadTerms, Terms("buy", "stop", D(1), D(1)), {}),
    "no price": (BadTerms, Terms("buy", "limit", amount=D(1)), {}),
    "no amount": (BadTerms, Terms("buy", "limit", price=D(1)), {}),
    "no size": (BadTerms, Terms("buy", "market"), {}),
    "two sizes": (BadTerms, Terms("buy", "market", amount=D(1), funds=D(1)), {}),
    "limit with funds": (BadTerms, Terms("buy", "limit", D(1), D(1), D(1)), {}),
    "market with price": (BadTerms, Terms("buy", "market", D(1), D(1)), {}),
    "sell by funds": (BadTerms, Terms("sell", "market", funds=D(1)), {}),
    "nothing": (BadTerms, limit(amount="0"), {}),
    "minus": (BadTerms, limit(amount="-1"), {}),
    "minus nothing": (BadTerms, limit(price="-0"), {}),
    "no number": (BadTerms, limit(price="NaN"), {}),
    "a signal": (BadTerms, limit(amount="sNaN"), {}),
    "without end": (BadTerms, limit(price="Infinity"), {}),
    "digits beyond any step": (AmountOffLot, limit(amount="1E-19"), {}),
    "too many digits": (BadTerms, limit(amount="1E-41"), {}),
    "far too many": (BadTerms, limit(price="1E-999999"), {}),
    "off tick": (PriceOffTick, limit(price="1.001"), {}),
    "off lot": (AmountOffLot, limit(amount="0.00011"), {}),
    "small amount": (BelowMinimum, limit(amount="0.0002"), {}),
    "small notional": (BelowMinimum, limit(price="0.01", amount="0.001"), {}),
    "large price": (AboveMaximum, limit(price="99999999999999999999"), {}),
    "large product": (AboveMaximum, limit(price="1E+14", amount="1E+13"), {}),
    "larger": (AboveMaximum, limit(price="1E+999999"), {}),
    "short of funds": (InsufficientFunds, limit(price="2000", amount="0.5001"), {}),
    "never had any": (InsufficientFunds, limit(side="sell", amount="0.1"), {}),
    "nobody there": (NotDeepEnough, Terms("buy", "market", amount=D("0.1")), {}),
    "nobody to spend on": (NotDeepEnough, Terms("buy", "market", funds=D(5)), {}),
    "nobody to sell to": (NotDeepEnough, Terms("sell", "market", amount=D(1)), {}),
    "empty client id": (BadTerms, SOUND, {"client_id": ""}),
    "blank client id": (BadTerms, SOUND, {"client_id": "a b"}),
    "long client id": (BadTerms, SOUND, {"client_id": "x" * 65}),
    "foreign client id": (BadTerms, SOUND, {"client_id": "é"}),
}


@pytest.mark.promise("R-58", "R-67", "S-76")
def test_it_refuses_and_changes_nothing(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    desk.market(amount_min="0.0005")
    before = rows.dump()

    for name, (error, terms, more) in REFUSALS.items():
        with pytest.raises(error) as refused:
            place(bob, terms, **more)
        assert type(refused.value) is error, name
        assert refused.value.message, name
        assert rows.dump() == before, name


def test_it_names_the_price_and_amount_that_would_fit(desk: Desk, bob: Member) -> None:
    with pytest.raises(PriceOffTick) as off_tick:
        place(bob, limit(price="1.006"))
    with pytest.raises(AmountOffLot) as off_lot:
        place(bob, limit(amount="0.00001"))

    assert off_tick.value.facts == {"price": "1.006", "tick": "0.01", "nearest": "1.0"}
    assert off_lot.value.facts["nearest"] == "0.0001"


@pytest.mark.promise("R-21")
def test_it_takes_nothing_for_a_halted_market(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    desk.market(state="halted")
    before = rows.dump()

    with pytest.raises(MarketHalted):
        desk.buy(bob, "0.1", at="100")

    assert rows.dump() == before


def test_it_takes_nothing_for_a_hidden_market(desk: Desk, bob: Member) -> None:
    desk.market(is_visible=False)

    with pytest.raises(UnknownMarket):
        desk.buy(bob, "0.1", at="100")


def test_it_takes_nothing_from_a_frozen_member(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    Member.objects.filter(pk=bob.pk).update(state="frozen")
    before = rows.dump()

    with pytest.raises(MemberMayNotTrade):
        desk.buy(bob, "0.1", at="100")

    assert rows.dump() == before


@pytest.mark.promise("S-72")
def test_it_takes_nothing_before_the_address_is_confirmed(
    desk: Desk, bob: Member
) -> None:
    fund(bob, "1000 cny")
    Member.objects.filter(pk=bob.pk).update(activated_at=None)
    before = rows.dump()

    # The member at hand still looks confirmed: the statement itself asks.
    with pytest.raises(AddressNotConfirmed, match="confirm your e-mail address"):
        desk.buy(bob, "0.1", at="100")

    assert rows.dump() == before


@pytest.mark.promise("R-36")
def test_it_takes_no_more_open_orders_than_the_market_allows(
    desk: Desk, bob: Member, alice: Member
) -> None:
    desk.market(open_orders_max=2)
    fund(bob, "1000 cny", "1 btc")
    fund(alice, "1 btc")
    first = desk.buy(bob, "0.1", at="100")
    desk.sell(bob, "0.1", at="200")
    before = rows.dump()

    with pytest.raises(TooManyOrders) as refused:
        desk.buy(bob, "0.1", at="100")

    assert refused.value.facts == {"maximum": 2}
    assert rows.dump() == before
    desk.sell(alice, "0.1", at="200")  # it is Bob's maximum, not the market's
    desk.cancel(first)
    desk.run()
    assert desk.buy(bob, "0.1", at="100").state == "pending"  # one has ended


def test_it_names_the_cap_although_the_order_took_the_last_money(
    desk: Desk, bob: Member
) -> None:
    desk.market(open_orders_max=1)
    fund(bob, "25 cny")
    desk.buy(bob, "0.1", at="100")

    with pytest.raises(TooManyOrders):
        desk.buy(bob, "0.1", at="100")


# --- Market orders ------------------------------------------------------------------


@pytest.mark.promise("R-56")
def test_it_protects_market_orders_with_a_collar(
    desk: Desk, alice: Member, bob: Member
) -> None:
    fund(alice, "10 btc", "10000 cny")
    fund(bob, "10 btc", "10000 cny")
    desk.sell(alice, "1", at="100.03")
    desk.buy(alice, "1", at="90.03")
    desk.run()

    bought = desk.buy(bob, "1")
    spent = desk.spend(bob, "50.00000001")
    sold = desk.sell(bob, "1")
    with pytest.raises(BadTerms):
        desk.spend(bob, "50.000000001")  # finer than the ledger

    # 5 % away from the best price, rounded towards it.
    assert (bought.price_limit, bought.price, bought.locked) == (
        D("105.03"),
        None,
        D("105.03"),
    )
    assert (spent.price_limit, spent.amount) == (D("105.03"), None)
    assert (spent.funds, spent.locked) == (D("50.00000001"), D("50.00000001"))
    assert (sold.price_limit, sold.locked) == (D("85.53"), 1)


def test_it_needs_funds_for_the_worst_price_of_a_market_order(
    desk: Desk, alice: Member, bob: Member
) -> None:
    fund(alice, "1 btc")
    fund(bob, "104.99 cny")
    desk.sell(alice, "1", at="100")
    desk.run()

    with pytest.raises(InsufficientFunds) as refused:
        desk.buy(bob, "1")

    assert refused.value.facts["needed"] == "105.0"
    assert desk.spend(bob, "104.99").locked == D("104.99")


def test_it_refuses_funds_that_buy_not_one_unit(
    alice: Member, bob: Member, db: None
) -> None:
    list_market(("fino", 2), ("grob", 8), tick="0.01", lot="0.01")
    desk = Desk("finogrob")
    fund(alice, "1 fino")
    fund(bob, "1 grob")
    desk.sell(alice, "1", at="1")
    desk.run()

    with pytest.raises(BelowMinimum):
        desk.spend(bob, "0.00009999")


# --- The same again -----------------------------------------------------------------


@pytest.mark.promise("I-15", "R-2", "R-3")
def test_it_answers_the_same_client_id_with_the_same_order(
    desk: Desk, bob: Member, alice: Member
) -> None:
    fund(bob, "1000 cny")
    fund(alice, "1000 cny")
    order = desk.buy(bob, "0.5", at="100", client_id="mine")
    before = rows.dump()

    again = desk.buy(bob, "0.50", at="100.0", client_id="mine")

    assert again.pk == order.pk
    for other in (
        {"amount": "0.4", "at": "100"},
        {"amount": "0.5", "at": "101"},
        {"amount": "0.5"},
    ):
        with pytest.raises(ClientIdTaken) as refused:
            desk.buy(bob, client_id="mine", **other)
        assert refused.value.facts == {"order_id": order.pk}
    with pytest.raises(ClientIdTaken):
        place(bob, limit(price="100"), market_id="btcusd", client_id="mine")
    assert rows.dump() == before
    hers = desk.buy(alice, "0.5", at="100", client_id="mine")  # Alice has her own ids
    assert hers.pk != order.pk


def test_it_remembers_client_ids_of_orders_that_ended(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    order = desk.buy(bob, "0.5", at="100", client_id="mine")
    desk.cancel(order)
    desk.run()

    again = desk.buy(bob, "0.5", at="100", client_id="mine")

    assert (again.pk, again.state) == (order.pk, "cancelled")
    assert purse(bob, "cny") == (1000, 0)


# --- Cancels ------------------------------------------------------------------------


def test_it_cancels_only_ones_own_orders(
    desk: Desk, bob: Member, mallory: Member
) -> None:
    fund(bob, "1000 cny")
    order = desk.buy(bob, "0.5", at="100")
    before = rows.dump()

    for order_id in (order.pk, 10**9, 0, -1, 2**63, 10**30):
        with pytest.raises(UnknownOrder):
            orders.cancel(member=mallory, order_id=order_id, now=NOW)

    assert rows.dump() == before


def test_it_writes_the_wish_to_cancel_down_once(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    order = desk.buy(bob, "0.5", at="100")

    asked = desk.cancel(order)
    before = rows.dump()
    again = desk.cancel(order)

    assert asked.pk == again.pk == order.pk
    assert fresh(order).cancel_requested_at == NOW
    assert rows.dump() == before
    assert purse(bob, "cny") == (950, 50)  # the engine decides whether it was in time


def test_it_changes_nothing_about_an_order_that_ended(desk: Desk, bob: Member) -> None:
    fund(bob, "1000 cny")
    order = desk.buy(bob, "0.5", at="100")
    desk.cancel(order)
    desk.run()
    before = rows.dump()

    assert desk.cancel(order).state == "cancelled"

    assert rows.dump() == before


def test_it_cancels_all_that_are_asked_for(
    desk: Desk, alice: Member, bob: Member
) -> None:
    fund(bob, "1000 cny", "5 btc", "1000 usd")
    fund(alice, "1000 cny")
    buy, sell = desk.buy(bob, "0.5", at="100"), desk.sell(bob, "0.5", at="200")
    dollars = Desk("btcusd").buy(bob, "0.5", at="100")
    hers = desk.buy(alice, "0.5", at="100")

    sells = orders.cancel_all(member=bob, now=NOW, market_id="btccny", side="sell")
    rest = orders.cancel_all(member=bob, now=NOW)

    assert [order.pk for order in sells] == [sell.pk]
    assert [order.pk for order in rest] == [buy.pk, sell.pk, dollars.pk]
    assert fresh(hers).cancel_requested_at is None


# --- Anything at all ----------------------------------------------------------------

_ANY = st.one_of(
    st.none(),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([D("0.01"), D(1), D(100), D("1E+18"), D("1E-18")]),
)


@pytest.mark.promise("R-58")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    terms=st.builds(
        Terms,
        st.sampled_from(["buy", "sell", "BUY", ""]),
        st.sampled_from(["limit", "market", "stop"]),
        _ANY,
        _ANY,
        _ANY,
    )
)
def test_it_takes_or_refuses_whatever_comes(
    desk: Desk, bob: Member, terms: Terms
) -> None:
    try:
        order = place(bob, terms)
    except ExchangeError:
        return

    raise AssertionError(f"Bob has nothing to pay {order} with")


def test_it_takes_what_the_engine_can_just_count(desk: Desk, bob: Member) -> None:
    fund(bob, "99999999999999999999 cny")
    lots, ticks = 2**10, 2**53 - 1
    amount, price = lots * D("0.0001"), ticks * D("0.01")

    taken = place(bob, limit(price=price, amount=amount))
    with pytest.raises(AboveMaximum):
        place(bob, limit(price=price + D("0.01"), amount=amount))
    desk.run()

    assert fresh(taken).state == "open"


def test_it_holds_orders_against_the_market_as_it_is_now(bob: Member) -> None:
    """The market is remembered from order to order, and never believed unseen."""
    desk = Desk()
    fund(bob, "1000 cny")
    desk.buy(bob, "0.1", at="100")

    desk.market(amount_min="0.5")
    with pytest.raises(BelowMinimum):
        desk.buy(bob, "0.1", at="100")
    desk.market(amount_min="0.0001", open_orders_max=1)
    with pytest.raises(TooManyOrders):
        desk.buy(bob, "0.1", at="100")
    desk.market(open_orders_max=2)
    desk.buy(bob, "0.1", at="100")
    desk.market(is_visible=False)
    with pytest.raises(UnknownMarket):
        desk.buy(bob, "0.1", at="100")

    assert Order.objects.count() == 2
    assert purse(bob, "cny") == (980, 20)
