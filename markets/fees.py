"""
Who pays what: each side pays its rate of what it receives, rounded up at the ledger
scale, to the house. Buyers receive base, sellers quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from exchange.lib.money import EXACT, round_up
from markets.models import Market


@dataclass(frozen=True, slots=True)
class FeeTable:
    """One market's rates, and the smallest amounts its fees are counted in."""

    maker_rate: Decimal
    taker_rate: Decimal
    base_unit: Decimal
    quote_unit: Decimal

    @classmethod
    def of(cls, market: Market) -> FeeTable:
        return cls(
            market.maker_fee,
            market.taker_fee,
            market.base.unit,
            market.quote.unit,
        )

    def fees(
        self, *, taker_buys: bool, amount: Decimal, funds: Decimal
    ) -> tuple[Decimal, Decimal]:
        """Return (maker's fee, taker's fee), each in what that side receives."""
        if taker_buys:
            maker, taker = (funds, self.quote_unit), (amount, self.base_unit)
        else:
            maker, taker = (amount, self.base_unit), (funds, self.quote_unit)
        return _fee(*maker, self.maker_rate), _fee(*taker, self.taker_rate)


def _fee(received: Decimal, unit: Decimal, rate: Decimal) -> Decimal:
    with localcontext(EXACT):
        exact = received * rate
    return min(round_up(exact, unit), received)
