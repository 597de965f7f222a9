"""
What we hold, said by somebody other than our books.

A currency's source scans a node at one height (see `nodes`), or is registered in
`sources` by who knows it. Each run asks all of them, and what they say is bound into
the manifest beside what we owe. Nothing here can leave a statement out, and where the
holdings do not cover the debts there is an alarm, a red page, and payouts that wait:
they ask `is_uncovered`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Protocol

from exchange.lib import audit
from exchange.lib.errors import UpstreamError
from exchange.lib.money import EXACT, ZERO, plain
from wallets.models.solvency import Proof, Root
from wallets.solvency import manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one address holds; signed, where its owner had to sign the challenge."""

    address: str
    amount: Decimal
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What we hold of one currency at one block."""

    currency: str
    height: int
    block_hash: str
    holdings: tuple[Holding, ...]

    @property
    def total(self) -> Decimal:
        with localcontext(EXACT):
            return sum((each.amount for each in self.holdings), ZERO)

    def text(self) -> str:
        """Return the statement as it is published and hashed."""
        return manifest.canonical(
            {
                "currency": self.currency,
                "height": self.height,
                "block_hash": self.block_hash,
                "holdings": [
                    {
                        "address": each.address,
                        "amount": plain(each.amount),
                        "signature": each.signature,
                    }
                    for each in self.holdings
                ],
            }
        )

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()


class Source(Protocol):
    """Says what we hold of one currency."""

    def state(self, *, challenge: str) -> Statement:
        """
        Return a statement of now. Where messages are signed they hold the challenge,
        which nobody knew before this run. Raises UpstreamError.
        """


sources: dict[str, Source] = {}  # by currency, of those that are no nodes


def collect(asked: Mapping[str, Source], *, challenge: str) -> dict[str, Statement]:
    """
    Ask every source. One that does not answer is an alarm, and its currency is shown
    without a statement.
    """
    found = {}
    for currency, source in sorted(asked.items()):
        try:
            found[currency] = source.state(challenge=challenge)
        except UpstreamError as error:
            log.warning("No statement of what we hold of %s: %s", currency, error)
            audit.alarm(f"currency:{currency}", "holdings_unknown", why=str(error))
    return found


def uncovered() -> list[Root]:
    """Return what the newest proof shows of currencies we hold less of than we owe."""
    newest = Proof.objects.order_by("-number").first()
    if newest is None:
        return []
    rows = newest.roots.select_related("statement").order_by("currency_id")
    return [root for root in rows if root.is_covered is False]


def is_uncovered(currency: str) -> bool:
    """Say whether the newest proof shows less of a currency than we owe."""
    return any(root.currency_id == currency for root in uncovered())
