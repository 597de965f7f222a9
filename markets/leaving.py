"""
What the markets have to say when a member leaves: which orders are open, and what they
take away. accounts asks through `closing.obstacles` and `exports.parts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils.translation import ngettext

from accounts import closing, exports
from accounts.models.members import Member
from markets.models import Order, Trade

_AT_ONCE = 500  # rows read from the database at a time
_ORDER = (
    *("id", "market_id", "side", "kind", "price", "amount", "funds", "state"),
    *("filled", "funds_used", "fees", "closed_why", "client_id", "source"),
    *("created_at", "updated_at"),
)


def install() -> None:
    """Add to what accounts asks."""
    closing.obstacles.append(open_orders)
    exports.parts["orders"] = _orders
    exports.parts["trades"] = _trades


def open_orders(member: Member) -> Iterator[str]:
    """Say how many orders of a member are open, if any is."""
    count = Order.objects.filter(member=member, state__in=Order.LIVE).count()
    if count:
        words = "You have %d open order.", "You have %d open orders."
        yield ngettext(*words, count) % count


def _orders(member: Member) -> Iterator[dict[str, Any]]:
    rows = Order.objects.filter(member=member).order_by("pk")
    yield from rows.values(*_ORDER).iterator(_AT_ONCE)


def _trades(member: Member) -> Iterator[dict[str, Any]]:
    """A member's own side of each trade, and nothing of who stood on the other."""
    rows = Trade.objects.filter(Q(maker_id=member.pk) | Q(taker_id=member.pk))
    for trade in rows.order_by("pk").iterator(_AT_ONCE):
        for role in ("maker", "taker"):
            if getattr(trade, f"{role}_id") == member.pk:
                yield {
                    "id": trade.pk,
                    "market": trade.market_id,
                    "at": trade.created_at,
                    "role": role,
                    "taker_side": trade.taker_side,
                    "order": getattr(trade, f"{role}_order_id"),
                    "price": trade.price,
                    "amount": trade.amount,
                    "funds": trade.funds,
                    "fee": getattr(trade, f"{role}_fee"),
                }
