"""
What REST v2 puts on the wire, field by field, in the ancestor's order and words.

Amounts are texts without padding, ids and counts are integers, times have no fraction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from accounts import identity
from accounts.models.members import Member
from exchange.lib.money import ZERO, plain
from markets import queries
from markets.book_feed import Level
from markets.candles import Bar
from markets.models import Market, Order, Side, Trade
from markets.tickers import Ticker
from wallets.queries import BalanceView

# The ancestor knew three states, of which ours are a finer cut.
STATES = {
    "wait": [Order.State.PENDING, Order.State.OPEN],
    "done": [Order.State.FILLED],
    "cancel": [Order.State.CANCELLED, Order.State.REJECTED],
}
_STATE = {ours: theirs for theirs, states in STATES.items() for ours in states}


def market(row: Market) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name}


def ticker(row: Ticker) -> dict[str, Any]:
    return {
        "buy": _known(row.buy),
        "sell": _known(row.sell),
        "low": _known(row.low),
        "high": _known(row.high),
        "last": _known(row.last),
        "vol": _known(row.volume),
    }


def member(row: Member, balances: Sequence[BalanceView]) -> dict[str, Any]:
    return {
        "sn": row.sn,
        "name": identity.verified_name(row),
        "email": row.email,
        "activated": row.is_activated,
        "accounts": [
            {
                "currency": balance.currency,
                "balance": plain(balance.available),
                "locked": plain(balance.locked),
            }
            for balance in balances
        ],
    }


def order(row: Order) -> dict[str, Any]:
    remaining = queries.remaining(row)
    return {
        "id": row.pk,
        "side": row.side,
        "ord_type": row.kind,
        "price": None if row.price is None else plain(row.price),
        "avg_price": plain(queries.average_price(row)),
        "state": _STATE[Order.State(row.state)],
        "market": row.market_id,
        "created_at": queries.moment(row.created_at),
        # An order sized by funds, which only pages can place, has no volume of its own:
        # it is as large as it got.
        "volume": plain(row.filled if row.amount is None else row.amount),
        "remaining_volume": _known(remaining),
        "executed_volume": plain(row.filled),
        "trades_count": row.trades_count,
        "client_id": row.client_id,
    }


def order_with_trades(row: Order, trades: Sequence[Trade]) -> dict[str, Any]:
    """In here a trade's side is the order's own."""
    return {**order(row), "trades": [_trade(trade, row.side) for trade in trades]}


def public_trade(row: Trade) -> dict[str, Any]:
    """`side` was always null here; who took is in a field that is ours."""
    return {**_trade(row, None), "taker_side": row.taker_side}


def own_trade(row: Trade, member: Member) -> dict[str, Any]:
    """
    `side` is the side of the member's order: ask or bid. A trade with oneself is shown
    once, as the ask.
    """
    asker = row.taker_id if row.taker_side == Side.SELL else row.maker_id
    side = "ask" if asker == member.pk else "bid"
    return {**_trade(row, side), "order_id": _order_ids(row)[side]}


def streamed_trade(
    row: Trade, member_id: int, orders: Mapping[int, Order]
) -> dict[str, Any]:
    """A member's own trade on the websocket, with the orders in it that are theirs."""
    mine = {
        side: order(orders[order_id])
        for side, order_id in _order_ids(row).items()
        if order_id in orders and orders[order_id].member_id == member_id
    }
    side = "both" if len(mine) == 2 else next(iter(mine), None)
    return {**_trade(row, side), **mine}


def pending_trade(row: Trade, *, is_up: bool) -> dict[str, Any]:
    """A trade as charts were told it; its type says whether the price went up."""
    return {
        "tid": row.pk,
        "type": "buy" if is_up else "sell",
        "date": int(row.created_at.timestamp()),
        "price": plain(row.price),
        "amount": plain(row.amount),
    }


def candle(bar: Bar) -> list[int | msgspec.Raw]:
    """Numbers, not texts: the one place where the ancestor wrote such."""
    amounts = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    return [int(bar.at.timestamp()), *(msgspec.Raw(plain(a).encode()) for a in amounts)]


def book_order(
    rank: int, side: str, level: Level, *, market: str, at: datetime
) -> dict[str, Any]:
    """
    One price level in the shape of one order, so that nobody's orders can be followed:
    the id is its rank, the volumes are the level's.
    """
    price, amount = map(plain, level)
    return {
        "id": rank,
        "side": side,
        "ord_type": Order.Kind.LIMIT,
        "price": price,
        "avg_price": plain(ZERO),
        "state": "wait",
        "market": market,
        "created_at": queries.moment(at),
        "volume": amount,
        "remaining_volume": amount,
        "executed_volume": plain(ZERO),
        "trades_count": 0,
    }


def levels(side: Sequence[tuple[Decimal, Decimal]]) -> list[tuple[str, str]]:
    return [(plain(price), plain(amount)) for price, amount in side]


def _order_ids(row: Trade) -> dict[str, int]:
    if row.taker_side == Side.SELL:
        return {"ask": row.taker_order_id, "bid": row.maker_order_id}
    return {"ask": row.maker_order_id, "bid": row.taker_order_id}


def _trade(row: Trade, side: str | None) -> dict[str, Any]:
    return {
        "id": row.pk,
        "price": plain(row.price),
        "volume": plain(row.amount),
        "funds": plain(row.funds),
        "market": row.market_id,
        "created_at": queries.moment(row.created_at),
        "side": side,
    }


def _known(amount: Decimal | None) -> str:
    """What is not known yet reads as zero, as it always did."""
    return plain(ZERO if amount is None else amount)
