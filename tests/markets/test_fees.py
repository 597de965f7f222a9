"""Fees: rounded up, so that no way of cutting an order pays less."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.lib import money
from exchange.lib.money import EXACT
from markets.fees import FeeTable

units = st.sampled_from([money.unit(digits) for digits in (0, 2, 8, 18)])
rates = st.integers(0, 499).map(lambda permille: Decimal(permille).scaleb(-3))
wholes = st.integers(1, 10**20)


def fee(whole: int, unit: Decimal, rate: Decimal) -> Decimal:
    """What a buying taker pays on a number of units."""
    table = FeeTable(Decimal(0), rate, unit, Decimal(1))
    amount = EXACT.multiply(unit, whole)
    maker, taker = table.fees(taker_buys=True, amount=amount, funds=Decimal(1))
    assert maker == 0
    return taker


@given(wholes, units, rates)
def test_it_rounds_up_by_less_than_a_unit(
    whole: int, unit: Decimal, rate: Decimal
) -> None:
    charged = fee(whole, unit, rate)

    exact = Fraction(whole) * Fraction(unit) * Fraction(rate)
    assert 0 <= Fraction(charged) - exact < Fraction(unit)
    assert money.is_multiple(charged, unit)
    assert charged <= EXACT.multiply(unit, whole)


@pytest.mark.promise("R-62")
@given(wholes, wholes, units, rates)
def test_it_costs_no_less_to_split_an_order(
    one: int, other: int, unit: Decimal, rate: Decimal
) -> None:
    together = fee(one + other, unit, rate)
    apart = EXACT.add(fee(one, unit, rate), fee(other, unit, rate))

    assert apart >= together


def test_it_takes_each_fee_from_what_its_payer_gets() -> None:
    table = FeeTable(Decimal("0.001"), Decimal("0.002"), money.unit(8), money.unit(2))
    amount, funds = Decimal("0.5"), Decimal("333.33")

    assert table.fees(taker_buys=True, amount=amount, funds=funds) == (
        *(Decimal("0.34"), Decimal("0.001")),
    )
    assert table.fees(taker_buys=False, amount=amount, funds=funds) == (
        *(Decimal("0.0005"), Decimal("0.67")),
    )


def test_it_never_charges_more_than_was_received() -> None:
    assert fee(1, Decimal(1), Decimal("0.001")) == 1
    assert fee(1, Decimal(1), Decimal(0)) == 0
