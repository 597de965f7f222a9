"""
What can be asked of the engine.

Prices are whole ticks, sizes whole lots, and money is counted in units of one tick
times one lot, so that a price times a size is already money. Turning decimals into
these numbers is the business of whoever hosts the engine.

Time in force and post-only are not here yet; they would be new fields with defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BUY: Final = 0
SELL: Final = 1

# Limit, lots, budget, and limit times lots are below this: PostgreSQL's bigint holds
# them all. Ids have no such bound, because the engine never calculates with them.
TOO_LARGE: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Place:
    """
    Bring a new order to the book.

    `limit` is in ticks: the worst price the order may trade at. For a market order it
    is the collar. `lots` is the size; it is 0 only for a market buy that is sized by
    its funds alone. `budget` is the most a market buy may spend, None for all others.
    What is left after matching stays on the book if `rests`, and is cancelled if not.
    `client_id` is handed back with the order's end and never looked at.
    """

    order_id: int
    member_id: int
    side: int
    limit: int
    lots: int
    budget: int | None = None
    rests: bool = True
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take a resting order off the book."""

    order_id: int


Command = Place | Cancel
