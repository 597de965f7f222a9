"""Orders for the tests of processes that die, and what must be true of them after."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.utils import timezone

from accounts.models.members import Member
from markets import orders
from markets.models import Command, Order, Trade
from markets.orders import Terms

MARKET = "btccny"


def place(member: Member, side: str, price: int = 30_000, amount: str = "0.1") -> int:
    """Take a limit order through the intake; return its id."""
    order = orders.place(
        member=member,
        market_id=MARKET,
        terms=Terms(side, Order.Kind.LIMIT, Decimal(price), Decimal(amount)),
        source="api",
        now=timezone.now(),
    )
    return order.pk


def place_pairs(alice: Member, bob: Member, count: int) -> list[int]:
    """Alice sells and Bob buys the same, in turn; return the ids in order."""
    ids = []
    for _ in range(count):
        ids += [place(alice, "sell"), place(bob, "buy")]
    return ids


def all_filled(ids: Sequence[int]) -> bool:
    filled = Order.objects.filter(pk__in=ids, state=Order.State.FILLED)
    return filled.count() == len(ids)


def accepted_order() -> list[int]:
    """Return the ids of the orders placed, in the order the engine took them."""
    placed = Command.objects.filter(market_id=MARKET, kind="place")
    return list(placed.order_by("seq").values_list("subject", flat=True))


def trades_count() -> int:
    return Trade.objects.count()
