"""The border: what fits the grid crosses it exactly, what does not is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from hypothesis import assume, given
from hypothesis import strategies as st

from accounts.models.members import Member
from exchange.lib.money import EXACT
from markets.models import Market
from markets.units import UNITS_MAX, AboveMaximum, AmountOffLot, Grid, PriceOffTick
from tests.makers import fund
from tests.markets.desk import Desk

steps = st.sampled_from(
    [Decimal(text) for text in ("1", "0.01", "1E-18", "0.05", "0.3", "7", "1E+18")]
)
counts = st.integers(1, UNITS_MAX)


def grid(tick: Decimal, lot: Decimal) -> Grid:
    return Grid.of(Market(tick=tick, lot=lot))


@pytest.mark.promise("R-68")
@given(steps, steps, counts, counts)
def test_it_crosses_the_border_and_comes_back(
    tick: Decimal, lot: Decimal, ticks: int, lots: int
) -> None:
    border = grid(tick, lot)

    assert border.ticks(border.price(ticks)) == ticks
    assert border.lots(border.amount(lots)) == lots
    # One unit is one tick times one lot: the sum of the engine is the sum of the books.
    assert border.funds(ticks * lots) == EXACT.multiply(
        border.price(ticks), border.amount(lots)
    )


@pytest.mark.promise("R-67")
@given(steps, counts, st.integers(1, 99))
def test_it_refuses_what_is_between_two_steps(
    step: Decimal, count: int, hundredths: int
) -> None:
    border = grid(step, step)
    between = EXACT.multiply(step, Decimal(count) + Decimal(hundredths).scaleb(-2))
    assume(between % step != 0)

    with pytest.raises(PriceOffTick):
        border.ticks(between)
    with pytest.raises(AmountOffLot):
        border.lots(between)


def test_it_refuses_more_than_the_journal_can_hold() -> None:
    border = grid(Decimal("0.01"), Decimal(1))

    assert border.lots(Decimal(UNITS_MAX)) == UNITS_MAX
    with pytest.raises(AboveMaximum):
        border.lots(Decimal(UNITS_MAX + 1))
    with pytest.raises(AboveMaximum):
        border.budget(Decimal(10**20))


@pytest.mark.promise("R-66")
def test_it_counts_only_the_whole_units_of_a_budget() -> None:
    border = grid(Decimal("0.01"), Decimal("0.0001"))

    assert border.budget(Decimal("1.0000019")) == 1_000_001
    assert border.budget(Decimal("0.00000099")) == 0


# --- What an operator may make of a market ------------------------------------------


@pytest.mark.promise("R-54", "R-62")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "cnybtc"),
        ("tick", "0.00001"),  # times the lot it is finer than the ledger keeps
        ("tick", "0.000123456789012345"),  # and has more digits than is usual
        ("lot", "0.000000001"),
        ("amount_min", "0.00015"),
        ("tick", "0"),
        ("lot", "-1"),
        ("collar", "1"),
        ("maker_fee", "-0.1"),
        ("taker_fee", "0.5"),
        ("base_id", "cny"),
    ],
)
def test_it_keeps_an_operators_edits_within_what_stays_exact(
    db: None, name: str, value: str
) -> None:
    market = Market.objects.get(pk="btccny")
    text = name in {"id", "base_id"}
    setattr(market, name, value if text else Decimal(value))

    with pytest.raises(ValidationError):
        market.full_clean()


@pytest.mark.promise("R-54")
def test_it_keeps_the_grid_that_orders_were_placed_on(bob: Member) -> None:
    market = Market.objects.get(pk="btccny")
    market.tick = Decimal("0.1")
    market.full_clean()  # nobody has ordered yet
    fund(bob, "100 cny")
    Desk().buy(bob, "1", at="100")

    with pytest.raises(ValidationError, match="fixed"):
        market.full_clean()
