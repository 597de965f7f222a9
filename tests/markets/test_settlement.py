"""Settlement: who gets what, who pays which fee, and what is given back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError

from accounts.models.members import Member
from markets import settlement
from markets.models import Candle, Trade
from tests import rows
from tests.makers import fund
from tests.markets.desk import Desk, fresh, list_market, purse, states

D = Decimal

# Each step of a settlement, in order; a crash may come after any of them.
STEPS = [
    *("_move_on", "_lock_orders", "_update_orders", "_insert_trades"),
    *("_count_down", "_insert_commands", "_upsert_candle"),
]


class Crash(BaseException):
    """The process dies here: nobody catches it."""


@pytest.fixture
def desk(db: None) -> Desk:
    """A market whose maker pays 0.1 % and whose taker pays 0.2 % of what they get."""
    return Desk()


@pytest.fixture
def traders(alice: Member, bob: Member) -> tuple[Member, Member]:
    fund(alice, "10 btc")
    fund(bob, "10000 cny")
    return alice, bob


def house_fees(currency: str) -> Decimal:
    ((amount,),) = rows.read(
        "SELECT coalesce(sum(entry.amount), 0) FROM wallets_entry AS entry"
        " JOIN wallets_account AS account ON account.id = entry.target_id"
        " WHERE account.house = 'fees' AND account.currency_id = %s",
        currency,
    )
    return Decimal(amount)


@pytest.mark.promise("I-1", "I-6", "I-18")
def test_it_trades_at_the_makers_price_and_gives_the_difference_back(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    maker = desk.sell(alice, "1", at="100")
    taker = desk.buy(bob, "0.4", at="110")

    desk.run()

    (trade,) = Trade.objects.all()
    assert (trade.price, trade.amount, trade.funds) == (100, D("0.4"), 40)
    assert (trade.taker_side, trade.seq, trade.n) == ("buy", 2, 0)
    assert (trade.maker_fee, trade.taker_fee) == (D("0.04"), D("0.0008"))
    assert purse(bob, "btc") == (D("0.3992"), 0)
    assert purse(bob, "cny") == (9960, 0)  # 4 cny more were locked, and came back
    assert purse(alice, "cny") == (D("39.96"), 0)
    assert purse(alice, "btc") == (9, D("0.6"))
    assert (house_fees("btc"), house_fees("cny")) == (D("0.0008"), D("0.04"))
    assert (fresh(taker).state, fresh(taker).locked) == ("filled", 0)
    kept = fresh(maker)
    assert (kept.state, kept.locked, kept.filled) == ("open", D("0.6"), D("0.4"))
    assert (kept.funds_used, kept.fees, kept.trades_count) == (40, D("0.04"), 1)


def test_it_charges_a_selling_taker_in_quote(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    desk.buy(bob, "1", at="100")
    desk.sell(alice, "1", at="90")

    desk.run()

    assert purse(alice, "cny") == (D("99.8"), 0)  # the taker's 0.2 %
    assert purse(bob, "btc") == (D("0.999"), 0)  # the maker's 0.1 %
    assert purse(bob, "cny") == (9900, 0)


@pytest.mark.promise("R-64")
def test_it_gives_the_improvement_back_at_each_fill(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    desk.sell(alice, "1", at="100")
    order = desk.buy(bob, "3", at="110")
    desk.run()
    assert purse(bob, "cny") == (9680, 220)

    desk.sell(alice, "1", at="105")
    desk.run()

    # The second sale is the taker's, at the price of the buyer who was there first.
    assert purse(bob, "cny") == (9680, 110)
    assert fresh(order).locked == 110


@pytest.mark.promise("R-66")
def test_it_spends_no_more_than_the_funds_given(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    desk.sell(alice, "0.5", at="100")
    desk.sell(alice, "0.5", at="103")
    desk.sell(alice, "5", at="120")  # beyond the collar
    desk.run()

    order = desk.spend(bob, "60.00700001")
    desk.run()

    # 50 for the first half; what is left buys 970 lots at 103, and not one more.
    row = fresh(order)
    assert (row.state, row.closed_why) == ("filled", None)
    assert (row.filled, row.funds_used) == (D("0.5971"), D("60.0013"))
    assert purse(bob, "cny") == (D("9939.9987"), 0)

    order = desk.spend(bob, "500")
    desk.run()

    row = fresh(order)
    assert (row.state, row.closed_why) == ("cancelled", "no_liquidity")
    assert row.filled == D("0.4029")
    assert purse(bob, "cny") == (10000 - row.funds_used - D("60.0013"), 0)


def test_it_cancels_what_a_market_order_could_not_get(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    desk.buy(bob, "1", at="100")
    desk.run()

    order = desk.sell(alice, "3")
    desk.run()

    row = fresh(order)
    assert (row.state, row.closed_why, row.filled) == ("cancelled", "no_liquidity", 1)
    assert purse(alice, "btc") == (9, 0)


@pytest.mark.promise("S-73")
def test_it_lets_nobody_trade_with_themselves(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    _, bob = traders
    fund(bob, "1 btc")
    resting = desk.sell(bob, "1", at="100")
    arriving = desk.buy(bob, "1", at="100")

    desk.run()

    assert states([resting, arriving]) == ["open", "cancelled"]
    assert fresh(arriving).closed_why == "self_trade"
    assert Trade.objects.count() == 0
    assert purse(bob, "cny") == (10000, 0)


@pytest.mark.promise("R-65", "I-18")
def test_it_never_forgets_a_fee_that_rounds_to_nothing(
    alice: Member, bob: Member
) -> None:
    list_market(("tiny", 8), ("much", 8), tick="1", lot="0.00000001")
    desk = Desk("tinymuch")
    fund(alice, "0.00000003 tiny")
    fund(bob, "1 much")
    desk.sell(alice, "0.00000003", at="1")
    desk.buy(bob, "0.00000003", at="1")

    desk.run()

    # 0.2 % of three units of eight digits is still one whole unit.
    assert purse(bob, "tiny") == (D("0.00000002"), 0)
    assert purse(alice, "much") == (D("0.00000002"), 0)
    assert (house_fees("tiny"), house_fees("much")) == (D("1E-8"), D("1E-8"))


@pytest.mark.promise("R-68", "I-6")
@pytest.mark.parametrize(
    ("base", "quote", "numbers"),
    [
        (("whole", 0), ("fine", 18), ("1E-18", "1", "7", "0.333333333333333333")),
        (("fine", 18), ("whole", 0), ("1E+18", "1E-18", "3E-18", "2E+18")),
        (("odd", 3), ("even", 6), ("0.015", "0.002", "0.014", "4.545")),
    ],
    ids=lambda drawn: "-".join(map(str, drawn)),
)
def test_it_is_exact_in_any_scale(
    alice: Member,
    bob: Member,
    base: tuple[str, int],
    quote: tuple[str, int],
    numbers: tuple[str, ...],
) -> None:
    tick, lot, amount, price = numbers
    market = list_market(base, quote, tick=tick, lot=lot)
    desk, lots, funds = Desk(market.pk), D(amount), D(amount) * D(price)
    fund(alice, f"1000 {base[0]}")
    fund(bob, f"1000 {quote[0]}")
    desk.sell(alice, f"{lots:f}", at=f"{D(price):f}")
    desk.buy(bob, f"{lots:f}", at=f"{D(price) + D(tick):f}")

    desk.run()

    (trade,) = Trade.objects.all()
    assert trade.funds == funds
    assert purse(bob, base[0]) == (lots - trade.taker_fee, 0)
    assert purse(bob, quote[0]) == (1000 - funds, 0)
    assert purse(alice, quote[0]) == (funds - trade.maker_fee, 0)
    assert trade.taker_fee >= lots * D("0.002")
    assert trade.maker_fee >= funds * D("0.001")
    assert (house_fees(base[0]), house_fees(quote[0])) == (
        trade.taker_fee,
        trade.maker_fee,
    )


def test_it_draws_the_candle_of_the_minute(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    for price in ("100", "103", "98", "101"):
        desk.sell(alice, "1", at=price)
        desk.buy(bob, "1", at=price)
        desk.run()
    desk.now += timedelta(minutes=1)
    desk.sell(alice, "2", at="99")
    desk.buy(bob, "2", at="99")
    desk.run()

    first, second = Candle.objects.order_by("minute")

    assert first.minute == desk.now.replace(second=0) - timedelta(minutes=1)
    assert (first.open, first.high, first.low, first.close) == (100, 103, 98, 101)
    assert (first.volume, first.funds, first.trades_count) == (4, 402, 4)
    assert (second.open, second.close, second.volume) == (99, 99, 2)


# --- What the rows themselves refuse ------------------------------------------------


@pytest.mark.promise("I-3", "I-5", "R-4")
def test_it_cannot_be_given_a_senseless_order_or_trade(
    desk: Desk, traders: tuple[Member, Member]
) -> None:
    alice, bob = traders
    desk.sell(alice, "1", at="100")
    desk.buy(bob, "0.5", at="100")
    desk.run()
    before = rows.dump()

    for name, change in (
        ("order_is_not_overfilled", "filled = 1.1"),
        ("order_lock_only_shrinks", "locked = 1.1"),
        ("closed_orders_lock_nothing", "state = 'cancelled'"),
        ("order_lock_is_sound", "locked = 'NaN'"),
        ("order_fees_are_sound", "fees = -1"),
        ("order_has_one_size", "funds = 1"),
        ("order_has_one_size", "amount = NULL"),
        ("limit_orders_have_a_price", "price = NULL"),
        ("order_price_is_positive", "price = 0"),
        ("order_amount_is_positive", "amount = 'Infinity'"),
    ):
        with pytest.raises(IntegrityError, match=name):
            rows.write(f"UPDATE markets_order SET {change} WHERE state = 'open'")
    columns = (
        "market_id, seq, n, price, amount, funds, taker_side, maker_order_id,"
        " taker_order_id, maker_id, taker_id, maker_fee, taker_fee, created_at"
    )
    for name, changed in (
        ("trade_happens_once", columns),
        ("trade_is_exact", columns.replace("seq, n", "9, n").replace("funds", "1")),
        (
            "taker_fee_is_sound",
            columns.replace("seq, n", "9, n").replace("taker_fee", "'NaN'"),
        ),
    ):
        with pytest.raises(IntegrityError, match=name):
            rows.write(
                f"INSERT INTO markets_trade ({columns})"
                f" SELECT {changed} FROM markets_trade"
            )
    with pytest.raises(IntegrityError, match="command_is_accepted_once"):
        rows.write(
            "INSERT INTO markets_command (market_id, seq, kind, subject, epoch, at)"
            " SELECT market_id, 9, kind, subject, epoch, at FROM markets_command"
        )

    assert rows.dump() == before


# --- Whole or not at all ------------------------------------------------------------


@pytest.mark.promise("F-4", "F-5", "R-6", "P-1")
def test_it_survives_a_crash_after_any_step(
    desk: Desk, traders: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = traders
    resting = desk.sell(alice, "10", at="100")
    desk.run()

    for taken, step in enumerate(STEPS, 1):
        order = desk.buy(bob, "0.5", at="100")
        before = rows.dump()
        with monkeypatch.context() as patch:
            patch.setattr(settlement, step, _and_die(getattr(settlement, step)))
            with pytest.raises(Crash):
                desk.run()
        assert rows.dump() == before, step
        desk.new_floor()  # as the process that comes after does
        desk.run()
        assert fresh(order).state == "filled", step
        assert fresh(resting).filled == D("0.5") * taken
        assert Trade.objects.count() == taken


def _and_die(step: object) -> object:
    def dying(*args: object) -> None:
        step(*args)  # type: ignore[operator]
        raise Crash

    return dying


@pytest.mark.promise("F-6", "F-16", "P-2")
def test_it_recognises_what_it_settled_before_the_crash(
    desk: Desk, traders: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = traders
    desk.sell(alice, "1", at="100")
    desk.buy(bob, "1", at="100")
    real = settlement.settle

    def settle_and_die(batch: settlement.Batch) -> None:
        real(batch)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(settlement, "settle", settle_and_die)
        with pytest.raises(Crash):
            desk.run()
    desk.new_floor()
    before = rows.dump()

    desk.run()  # the broker delivers again what was not acknowledged

    assert rows.dump() == before
    assert Trade.objects.count() == 1
