"""
What an amount is worth in another currency, as far as anybody knows.

Prices are made by markets, which stand above: they add readers here. What no source
knows is None and is said so; nobody here guesses.

Note [What counts for limits]: in a thin market two friends make any last price they
like, and at a tenth of its price ten times as many coins fit a limit. So an amount
counts by what it costs now or by what it mostly cost in the last days, whichever is
more. A price that was driven up counts, too; the next honest trade ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, localcontext

from exchange.lib.money import round_up, unit

# (currency, in which currency) -> what one of it is worth, or None.
Source = Callable[[str, str], Decimal | None]

sources: list[Source] = []  # now
steady: list[Source] = []  # mostly, in the last days

_WIDE = Context(prec=80)  # a price that was divided has digits without end
_FINEST = unit(18)  # what a column of amounts can hold


def value_of(amount: Decimal, currency: str, in_currency: str) -> Decimal | None:
    """
    Return what an amount is worth in another currency; None where no price is known.
    Rounded up at the 18th digit, so that a limit never counts too little.
    """
    return _value(amount, currency, in_currency, sources)


def counted_value_of(
    amount: Decimal, currency: str, in_currency: str
) -> Decimal | None:
    """
    Return what an amount counts for limits; see the note above. Shapes and rounding are
    those of `value_of`.
    """
    values = (
        _value(amount, currency, in_currency, asked) for asked in (sources, steady)
    )
    return max((each for each in values if each is not None), default=None)


def _value(
    amount: Decimal, currency: str, in_currency: str, asked: Iterable[Source]
) -> Decimal | None:
    if currency == in_currency:
        return amount
    for price_of in asked:
        price = price_of(currency, in_currency)
        if price is not None:
            with localcontext(_WIDE):
                return round_up(amount * price, _FINEST)
    return None
