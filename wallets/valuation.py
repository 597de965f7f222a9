"""
What an amount is worth in another currency, as far as anybody knows.

Prices are made by markets, which stand above: they add a reader to `sources`. What no
source knows is None and is said so; nobody here guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, localcontext

from exchange.lib.money import round_up, unit

# (currency, in which currency) -> what one of it is worth, or None.
sources: list[Callable[[str, str], Decimal | None]] = []

_WIDE = Context(prec=80)  # a price that was divided has digits without end
_FINEST = unit(18)  # what a column of amounts can hold


def value_of(amount: Decimal, currency: str, in_currency: str) -> Decimal | None:
    """
    Return what an amount is worth in another currency; None where no price is known.
    Rounded up at the 18th digit, so that a limit never counts too little.
    """
    if currency == in_currency:
        return amount
    for price_of in sources:
        price = price_of(currency, in_currency)
        if price is not None:
            with localcontext(_WIDE):
                return round_up(amount * price, _FINEST)
    return None
