"""
The feed: how an order's row gets from intake to the floor.

Messages carry a kind and an id; the row carries the rest. They are sent after commit
and may be lost or arrive twice: the floor looks at the row, and the sweeper re-feeds,
in order of acceptance, what waited too long. While the bus is known to be out, only the
sweeper feeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from exchange.lib import bus
from markets.models import Order, StateRequest

SWEEP_LIMIT = 2000  # per market and sweep: a backlog is fed in bites


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One piece of work for the floor."""

    kind: Literal["place", "cancel", "state"]
    id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What arrived on a queue and is no message of ours."""

    payload: str
    why: str


_decode = msgspec.json.Decoder(Message).decode


def read(body: bytes) -> Message | Unreadable:
    """Read a message; anything unknown or malformed comes back as Unreadable."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Unreadable(_text(body), _text(str(error).encode()))


def placed(orders: Sequence[Order]) -> None:
    """Tell the floor of a market of its orders that were just committed."""
    messages = [_message("place", order.pk) for order in orders]
    _send(orders[0].market_id, messages)


def cancels_requested(orders: Sequence[Order]) -> None:
    """Tell the floors of orders whose cancel was just committed."""
    by_market: dict[str, list[Message]] = {}
    for order in orders:
        by_market.setdefault(order.market_id, []).append(_message("cancel", order.pk))
    for market_id, messages in by_market.items():
        _send(market_id, messages)


def state_requested(request: StateRequest) -> None:
    """Tell the floor that an operator wants its market halted or open."""
    _send(request.market_id, [_message("state", request.pk)])


def waiting(market_id: str, *, before: datetime | None = None) -> list[Message]:
    """
    Return what the floor of a market has not dealt with, oldest first: requests for
    another state, pending orders, and cancels of orders that rest.
    """
    states = StateRequest.objects.filter(market_id=market_id, done_seq__isnull=True)
    pending = Order.objects.filter(market_id=market_id, state=Order.State.PENDING)
    cancels = Order.objects.filter(
        market_id=market_id,
        state=Order.State.OPEN,
        cancel_requested_at__isnull=False,
    )
    if before is not None:
        states = states.filter(created_at__lt=before)
        pending = pending.filter(created_at__lt=before)
        cancels = cancels.filter(cancel_requested_at__lt=before)
    found: list[Message] = []
    for kind, rows in (("state", states), ("place", pending), ("cancel", cancels)):
        ids = rows.order_by("pk").values_list("pk", flat=True)[:SWEEP_LIMIT]
        found += [_message(kind, id) for id in ids]
    return found


def sweep(market_id: str, *, now: datetime, after_seconds: int) -> int:
    """
    Re-feed what has waited longer than it should; return how many messages. While the
    queue is not empty nothing is: what waits in it was fed already.
    """
    queue = bus.work_queue(market_id)
    messages = waiting(market_id, before=now - timedelta(seconds=after_seconds))
    if not messages or bus.backlog(queue) != 0:
        return 0
    bus.send(queue, messages)
    return len(messages)


def earlier(market_id: str, messages: Sequence[Message | Unreadable]) -> list[Message]:
    """
    Return the pending orders that were accepted before the newest of these messages and
    are not among them. Their own messages are late or lost; they must not be overtaken
    for that.
    """
    ids = {
        message.id
        for message in messages
        if isinstance(message, Message) and message.kind == "place"
    }
    if not ids:
        return []
    pending = Order.objects.filter(
        market_id=market_id, state=Order.State.PENDING, pk__lt=max(ids)
    )
    found = pending.order_by("pk").values_list("pk", flat=True)
    return [_message("place", id) for id in found if id not in ids]


def _text(raw: bytes) -> str:
    """Make readable, and fit for a column of text, what may be anything."""
    return raw.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _message(kind: str, id: int) -> Message:
    return Message(kind=kind, id=id)  # type: ignore[arg-type]  # one of the three


def _send(market_id: str, messages: list[Message]) -> None:
    if not bus.is_out():
        bus.send(bus.work_queue(market_id), messages)
