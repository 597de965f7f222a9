"""
What the engine answers.

An event is a plain tuple whose first item says its kind: that is what a million events
a second can afford (README.md has the figures). The classes below name the items in
their order, and compare equal to the plain tuples:

    for event in engine.submit(place):
        if event[0] == TRADED:
            _, seq, n, maker_order_id, *_ = event  # where speed matters
            traded = named(event)                  # where reading matters

Every accepted command has the next sequence number, and its events carry that number.
A `Place` gives its trades in order and then exactly one of `Rested`, `Filled` and
`Cancelled`; a `Cancel` gives one `Cancelled`. A refused command gives one `Rejected`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

TRADED: Final = 0
RESTED: Final = 1
FILLED: Final = 2
CANCELLED: Final = 3
REJECTED: Final = 4


class Reason(StrEnum):
    """Why an order, or what was left of it, was cancelled or rejected."""

    # Cancelled
    REQUESTED = "requested"
    NO_LIQUIDITY = "no_liquidity"  # nobody is left to trade with within the limit
    BUDGET_SPENT = "budget_spent"  # the money left does not buy one lot
    SELF_TRADE = "self_trade"  # next in line is an order of the same member

    # Rejected
    UNKNOWN_ORDER = "unknown_order"  # not on the book: never was, or no longer is
    DUPLICATE_ORDER = "duplicate_order"  # an order with this id rests on the book
    NOT_A_WHOLE_NUMBER = "not_a_whole_number"
    OUT_OF_RANGE = "out_of_range"  # not positive, or too large
    BUDGET_MISPLACED = "budget_misplaced"  # only a market buy carries one


class Traded(NamedTuple):
    """Two orders met, at the price of the one that was there first."""

    kind: Literal[0]
    seq: int
    n: int  # 0, 1, 2, ... within the command
    maker_order_id: int
    maker_member_id: int
    taker_order_id: int
    taker_member_id: int
    taker_side: int
    price: int
    lots: int
    maker_lots_left: int  # 0: the maker's order is done and off the book


class Rested(NamedTuple):
    """What was left of a limit order joined the book, last in line at its price."""

    kind: Literal[1]
    seq: int
    order_id: int
    member_id: int
    side: int
    price: int
    lots: int
    client_id: str | None


class Filled(NamedTuple):
    """An incoming order got all it asked for and never rested."""

    kind: Literal[2]
    seq: int
    order_id: int
    member_id: int
    client_id: str | None


class Cancelled(NamedTuple):
    """
    What was left of an order will not trade.

    With the reason `requested` an order at rest left the book. Any other reason ends an
    incoming order; its `lots` are 0 if it was sized by its funds alone.
    """

    kind: Literal[3]
    seq: int
    order_id: int
    member_id: int
    side: int
    price: int  # where it rested, or the limit it came with
    lots: int
    reason: Reason
    client_id: str | None  # of the Place that ended so; None after a Cancel


class Rejected(NamedTuple):
    """A command was refused: it has no sequence number and changed nothing."""

    kind: Literal[4]
    order_id: int
    reason: Reason
    client_id: str | None


# The same shapes as the engine hands them out.
TradedTuple = tuple[Literal[0], int, int, int, int, int, int, int, int, int, int]
RestedTuple = tuple[Literal[1], int, int, int, int, int, int, str | None]
FilledTuple = tuple[Literal[2], int, int, int, str | None]
CancelledTuple = tuple[Literal[3], int, int, int, int, int, int, Reason, str | None]
RejectedTuple = tuple[Literal[4], int, Reason, str | None]
Event = TradedTuple | RestedTuple | FilledTuple | CancelledTuple | RejectedTuple

NamedEvent = Traded | Rested | Filled | Cancelled | Rejected


def named(event: Event) -> NamedEvent:
    """Give the items of an event their names."""
    if event[0] == TRADED:
        return Traded(*event)
    if event[0] == RESTED:
        return Rested(*event)
    if event[0] == FILLED:
        return Filled(*event)
    if event[0] == CANCELLED:
        return Cancelled(*event)
    return Rejected(*event)
