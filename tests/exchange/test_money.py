"""Money: what can be read, how it is written, and that nothing rounds unasked."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.lib import money
from exchange.lib.fields import AmountField
from exchange.lib.money import CurrencyMismatch, Money, NotANumber

# Amounts as they may be: up to 20 digits before the point, up to 18 after it.
amounts = st.builds(
    lambda units, digits: Decimal(units).scaleb(-digits, context=money.EXACT),
    st.integers(0, 10**20 - 1),
    st.integers(0, 18),
)
steps = st.sampled_from(
    [Decimal(text) for text in ("1", "0.01", "0.00000001", "1E-18", "0.05", "0.3", "7")]
)

NO_AMOUNTS: list[object] = [
    *("", " ", ".", "1 ", " 1", "1\n", "1\0", "+1", "-1", "-0", "1,5", "1_000", "0x1f"),
    *("1e5", "1E-5", "nan", "NaN", "sNaN", "inf", "Infinity", "-Infinity", "1.2.3"),
    *("１", "١", "½", "²", "1．5", "𝟏"),
    *("9" * 21, "0." + "1" * 19, "." + "1" * 19, "9" * 10_000, "1." + "0" * 10_000),
    *(1.0, 0.1, float("nan"), True, False, None, b"1", [], {}, -1, 10**20, 10**400),
    Decimal(1),
]


@pytest.mark.promise("R-58", "R-67", "S-76")
@pytest.mark.parametrize("text", NO_AMOUNTS, ids=lambda text: repr(text)[:20])
def test_it_reads_nothing_but_plain_numbers(text: object) -> None:
    with pytest.raises(NotANumber):
        money.parse(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        *(("0", "0"), ("00012.50", "12.5"), (".5", "0.5"), ("1.", "1"), (7, "7")),
        ("9" * 20 + "." + "9" * 18, "9" * 20 + "." + "9" * 18),
    ],
)
def test_it_reads_plain_numbers_exactly(text: object, amount: str) -> None:
    assert money.parse(text) == Decimal(amount)


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.binary()))
def test_it_reads_a_sound_amount_or_refuses(text: object) -> None:
    try:
        amount = money.parse(text)
    except NotANumber:
        return

    assert amount.is_finite()
    assert 0 <= amount < 10**20
    assert int(amount.as_tuple().exponent) >= -18


@given(amounts)
def test_it_writes_what_it_reads_back(amount: Decimal) -> None:
    text = money.plain(amount)

    assert money.parse(text) == amount
    assert "." in text
    assert not text.endswith("0") or text.endswith(".0")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        *(("11", "11.0"), ("0", "0.0"), ("0.000", "0.0"), ("123.12340", "123.1234")),
        *(("1E+3", "1000.0"), ("1E-18", "0.000000000000000001"), ("100", "100.0")),
    ],
)
def test_it_writes_plain_notation_with_one_decimal_at_least(
    amount: str, text: str
) -> None:
    assert money.plain(Decimal(amount)) == text


@given(amounts, steps)
def test_it_rounds_only_by_less_than_a_step(amount: Decimal, step: Decimal) -> None:
    down, up = money.round_down(amount, step), money.round_up(amount, step)

    assert down <= amount <= up
    assert money.is_multiple(down, step)
    assert money.is_multiple(up, step)
    exact = operator.eq if money.is_multiple(amount, step) else operator.lt
    assert exact(down, up)
    assert money.EXACT.subtract(up, down) in (0, step)


@pytest.mark.parametrize(("digits", "step"), [(0, "1"), (2, "0.01"), (18, "1E-18")])
def test_it_knows_the_smallest_step_of_some_digits(digits: int, step: str) -> None:
    assert money.unit(digits) == Decimal(step)


@given(amounts, amounts)
def test_it_adds_and_takes_away_exactly(one: Decimal, other: Decimal) -> None:
    total = Money(one, "btc") + Money(other, "btc")

    assert total - Money(other, "btc") == Money(one, "btc")
    assert (total < Money(one, "btc")) is False


@pytest.mark.parametrize("meet", [operator.add, operator.sub, operator.lt, operator.le])
def test_it_keeps_currencies_apart(meet: Callable[[Money, object], object]) -> None:
    with pytest.raises(CurrencyMismatch):
        meet(Money.of("1 btc"), Money.of("1 cny"))
    with pytest.raises(TypeError):
        meet(Money.of("1 btc"), 1)


@pytest.mark.parametrize("amount", [1, 1.5, "1", None])
def test_it_makes_money_of_decimals_only(amount: object) -> None:
    with pytest.raises(TypeError):
        Money(amount, "btc")  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_it_makes_no_money_of_what_is_no_number(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Money(Decimal(amount), "btc")


def test_it_refuses_floats_in_amount_columns() -> None:
    with pytest.raises(TypeError):
        AmountField().to_python(0.1)
