"""
Money: an amount of one currency, exact.

The only parsing and the only rounding of money in the house live here. A float is
a TypeError, not a convenience. Digits that do not fit are refused; who must round
says in which direction, and by which step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    localcontext,
)
from typing import Self

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid

# Plain notation only: no sign, exponent, blank, comma, or digits of other scripts.
# The length is bounded before Decimal ever sees the text, so that "1e999999" and a
# megabyte of nines cost nothing (S-76).
_PLAIN = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}", re.ASCII)

# 20 digits before the point and 18 after it: products of two amounts stay exact.
EXACT = Context(prec=80, traps=[InvalidOperation, Inexact])

ZERO = Decimal(0)


class NotANumber(Invalid):
    """The text is not a plain, positive decimal number of sane length."""

    code = "not_a_number"
    text = _("This is not a plain decimal number.")


class CurrencyMismatch(TypeError):
    """Two different currencies met in one sum."""


def parse(text: object) -> Decimal:
    """
    Read a non-negative decimal in plain notation, up to 20 digits before the point
    and 18 after it.

    Raises NotANumber for anything else: signs, exponents, NaN, infinities, floats,
    booleans, other scripts' digits, and numbers too long to be an amount.
    """
    if isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 10**20:
        return Decimal(text)
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        raise NotANumber
    return Decimal(text)


def plain(amount: Decimal) -> str:
    """
    Write an amount the way the ancestor did: plain notation, at least one decimal,
    no padding ("11.0", "0.0", "123.1234").
    """
    text = f"{amount:f}"
    if "." not in text:
        return text + ".0"
    text = text.rstrip("0")
    return text + "0" if text.endswith(".") else text


def is_multiple(amount: Decimal, step: Decimal) -> bool:
    """Say whether the amount is a whole number of steps."""
    with localcontext(EXACT):
        return amount % step == 0


def round_down(amount: Decimal, step: Decimal) -> Decimal:
    """Round towards zero to a whole number of steps; amounts are never negative."""
    return _to_step(amount, step, ROUND_FLOOR)


def round_up(amount: Decimal, step: Decimal) -> Decimal:
    """Round up to a whole number of steps: for what is owed to the house."""
    return _to_step(amount, step, ROUND_CEILING)


def _to_step(amount: Decimal, step: Decimal, direction: str) -> Decimal:
    with localcontext(Context(prec=80)):
        return (amount / step).to_integral_value(rounding=direction) * step


def unit(digits: int) -> Decimal:
    """Return the smallest step of a number of decimal digits: 2 -> 0.01."""
    return Decimal(1).scaleb(-digits)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency. Adds and compares only with its own kind."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"Money is built from Decimal, not {type(self.amount)}.")
        if not self.amount.is_finite():
            raise ValueError("Money is finite.")

    @classmethod
    def of(cls, text: str) -> Self:
        """Read "1.5 btc": for tests, commands and shells."""
        amount, currency = text.split()
        return cls(parse(amount), currency.lower())

    def __add__(self, other: Money) -> Money:
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"

    def _same(self, other: Money) -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"Money meets only Money, not {type(other)}.")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self} meets {other}.")
        return other.amount
