"""
What the market page is made of: the snapshot inlined into the page, and its private
part. Streams send the same shapes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models.members import Member
from exchange.lib.money import plain
from markets import book_feed, queries, tickers
from markets.book_feed import levels_view
from markets.models import Market, Order, Trade
from wallets.queries import balances

LEVELS = 200  # of each side
TRADES = 50


def market_view(market: Market) -> dict[str, Any]:
    """Return what a page must know of a market to draw it and to check a form."""
    amounts = {
        name: plain(getattr(market, name))
        for name in (
            "tick",
            "lot",
            "amount_min",
            "notional_min",
            "maker_fee",
            "taker_fee",
            "collar",
        )
    }
    return {
        "id": market.pk,
        "name": market.name,
        "base": market.base_id,
        "quote": market.quote_id,
        "price_digits": market.price_digits,
        "amount_digits": market.amount_digits,
        "state": market.state,
        **amounts,
    }


def trade_views(market_id: str) -> list[dict[str, Any]]:
    """Return the newest trades, newest first."""
    trades = queries.trades(market_id, queries.Window(TRADES))
    return [queries.trade_view(trade) for trade in trades]


def snapshot(market: Market, *, member: Member | None, now: datetime) -> dict[str, Any]:
    """Return a market as of its sequence, with the member's own part."""
    book = book_feed.snapshot(market.pk, limit=LEVELS)
    return {
        "type": "snapshot",
        "market": market_view(market),
        "seq": book.seq,
        "bids": levels_view(book.bids),
        "asks": levels_view(book.asks),
        "trades": trade_views(market.pk),
        "ticker": tickers.ticker(market.pk, now).as_json(),
        "me": None if member is None else private(member, market.pk),
    }


def private(member: Member, market_id: str) -> dict[str, Any]:
    """Return a member's live orders in a market, newest first, and all balances."""
    orders = queries.orders_of(
        member, market_id=market_id, states=Order.LIVE, limit=500, newest_first=True
    )
    return {
        "orders": [queries.order_view(order) for order in orders],
        "balances": [balance.as_json() for balance in balances(member)],
    }


def private_of(member_id: int, market_id: str) -> dict[str, Any]:
    """Return `private` for a member's id."""
    return private(Member.objects.get(pk=member_id), market_id)


def private_views(
    concerned: dict[int, list[int]], trade_ids: list[int]
) -> dict[int, dict[str, Any]]:
    """
    Return what changed for each member of {member id: order ids}: their orders,
    balances and own trades, read from the rows.
    """
    orders = Order.objects.in_bulk([id for ids in concerned.values() for id in ids])
    trades = list(Trade.objects.filter(pk__in=trade_ids).order_by("pk"))
    members = Member.objects.in_bulk(list(concerned))
    return {
        member_id: {
            "orders": [
                queries.order_view(orders[id])
                for id in ids
                if id in orders and orders[id].member_id == member_id
            ],
            "balances": [each.as_json() for each in balances(members[member_id])],
            "trades": [
                view
                for trade in trades
                for view in queries.own_trade_views(trade, member_id)
            ],
        }
        for member_id, ids in concerned.items()
    }
