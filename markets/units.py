"""
The border between Decimal and int: price <-> ticks, amount <-> lots, money <-> units.

One unit is the money of one tick times one lot, so that price_ticks x lots counts units
exactly. What does not fit the grid is refused, never rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from django.utils.translation import gettext_lazy as _

from exchange.lib import money
from exchange.lib.errors import Refused
from exchange.lib.money import EXACT, plain
from markets.models import Market

# Columns of the command log are bigint: ticks, lots and their product stay below 2^63.
UNITS_MAX = 2**63 - 1


class PriceOffTick(Refused):
    """The price is not a whole number of ticks. Facts: price, tick, nearest."""

    code = "price_off_tick"


class AmountOffLot(Refused):
    """The amount is not a whole number of lots. Facts: amount, lot, nearest."""

    code = "amount_off_lot"


class AboveMaximum(Refused):
    """Price, amount or their product is beyond what the market can count."""

    code = "order_above_maximum"
    text = _("This order is too large for this market.")


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps of one market, and the conversions between both sides of the border."""

    tick: Decimal
    lot: Decimal
    unit: Decimal  # tick x lot, in quote

    @classmethod
    def of(cls, market: Market) -> Grid:
        with localcontext(EXACT):
            return cls(market.tick, market.lot, market.tick * market.lot)

    def ticks(self, price: Decimal) -> int:
        """Count the ticks of a price; raises PriceOffTick, AboveMaximum."""
        if not money.is_multiple(price, self.tick):
            nearest = money.round_down(price, self.tick) or self.tick
            raise PriceOffTick(
                _(
                    "The price must be a multiple of %(step)s;"
                    " the nearest is %(nearest)s."
                )
                % {"step": plain(self.tick), "nearest": plain(nearest)},
                price=plain(price),
                tick=plain(self.tick),
                nearest=plain(nearest),
            )
        return _counted(price, self.tick)

    def lots(self, amount: Decimal) -> int:
        """Count the lots of an amount; raises AmountOffLot, AboveMaximum."""
        if not money.is_multiple(amount, self.lot):
            nearest = money.round_down(amount, self.lot) or self.lot
            raise AmountOffLot(
                _(
                    "The amount must be a multiple of %(step)s;"
                    " the nearest is %(nearest)s."
                )
                % {"step": plain(self.lot), "nearest": plain(nearest)},
                amount=plain(amount),
                lot=plain(self.lot),
                nearest=plain(nearest),
            )
        return _counted(amount, self.lot)

    def budget(self, funds: Decimal) -> int:
        """Count the whole units that some quote money buys; the rest is given back."""
        return _counted(money.round_down(funds, self.unit), self.unit)

    def price(self, ticks: int) -> Decimal:
        """Return the price of a number of ticks, exact."""
        return EXACT.multiply(ticks, self.tick)

    def amount(self, lots: int) -> Decimal:
        """Return the amount of a number of lots, exact."""
        return EXACT.multiply(lots, self.lot)

    def funds(self, units: int) -> Decimal:
        """Return the quote money of a number of units, exact."""
        return EXACT.multiply(units, self.unit)


def _counted(value: Decimal, step: Decimal) -> int:
    with localcontext(EXACT):
        count = int(value / step)
    if count > UNITS_MAX:
        raise AboveMaximum
    return count
