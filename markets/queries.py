"""Reads of markets, orders and trades, for pages, endpoints and streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib import money
from exchange.lib.errors import NotFound
from exchange.lib.money import ZERO, plain
from exchange.lib.prepared import Statement
from markets.models import Market, Order, Trade
from wallets.models.currencies import Currency


class UnknownMarket(NotFound):
    """There is no such market."""

    code = "unknown_market"
    text = _("There is no such market.")


def visible_markets() -> list[Market]:
    """Return the markets shown to everybody, in the operator's order."""
    shown = Market.objects.filter(is_visible=True).select_related("base", "quote")
    return list(shown.order_by("sort_order", "id"))


def all_market_ids() -> list[str]:
    """Return every market's id, hidden ones included."""
    return list(Market.objects.order_by("id").values_list("id", flat=True))


def market_of(market_id: str) -> Market:
    """Return a visible market with its currencies; raises UnknownMarket."""
    if not market_id.isalnum():  # a NUL byte, say, which PostgreSQL takes in no text
        raise UnknownMarket
    with connection.cursor() as cursor:
        _MARKET_OF.run(cursor, {"market": market_id})
        row = cursor.fetchone()
    if row is None:
        raise UnknownMarket
    market = _market(row)
    _remembered[market_id] = market
    return market


def remembered_market(market_id: str) -> Market:
    """
    Return a market as it was when somebody last looked, or look. Only for who then
    holds its `version` against the row.
    """
    found = _remembered.get(market_id)
    return market_of(market_id) if found is None else found


_remembered: dict[str, Market] = {}


def book_version(market_id: str) -> str:
    """
    Return a text that changes whenever a visible market's book, trades or candles do;
    raises UnknownMarket. All of these change with the floor's row.
    """
    with connection.cursor() as cursor:
        _BOOK_VERSION.run(cursor, {"market": market_id.replace("\0", "")})
        row = cursor.fetchone()
    if row is None:
        raise UnknownMarket
    return str(row[0])


def versions() -> str:
    """Return a text that changes whenever any visible market does."""
    with connection.cursor() as cursor:
        _VERSIONS.run(cursor, {})
        return str(cursor.fetchone()[0])


# The transaction that wrote a row names the row's version.
_BOOK_VERSION = Statement(
    "book_version",
    "SELECT floor.xmin::text FROM markets_floor AS floor"
    " JOIN markets_market AS m ON m.id = floor.market_id"
    " WHERE m.id = %(market)s AND m.is_visible",
    {"market": "text"},
)
_VERSIONS = Statement(
    "versions",
    "SELECT string_agg(concat_ws(' ', m.id, m.xmin, floor.xmin), ',' ORDER BY m.id)"
    " FROM markets_market AS m JOIN markets_floor AS floor ON floor.market_id = m.id"
    " WHERE m.is_visible",
    {},
)


def _columns(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


# Every order reads its market. Built once: composing this query anew took more time
# than all the rest of taking an order.
_MARKET, _CURRENCY = _columns(Market), _columns(Currency)
_MARKET_OF = Statement(
    "market_of",
    "SELECT {} FROM markets_market AS m {} {} {}".format(
        ", ".join(
            [f"m.{name}" for name in _MARKET]
            + [f"{table}.{name}" for table in ("base", "quote") for name in _CURRENCY]
            + ["m.xmin::text"]
        ),
        "JOIN wallets_currency AS base ON base.code = m.base_id",
        "JOIN wallets_currency AS quote ON quote.code = m.quote_id",
        "WHERE m.id = %(market)s AND m.is_visible",
    ),
    {"market": "text"},
)


def _market(row: tuple[Any, ...]) -> Market:
    market = Market.from_db(DEFAULT_DB_ALIAS, _MARKET, row[: len(_MARKET)])
    end = len(_MARKET) + len(_CURRENCY)
    base, quote = row[len(_MARKET) : end], row[end:-1]
    market.version = row[-1]
    market.base = Currency.from_db(DEFAULT_DB_ALIAS, _CURRENCY, base)
    market.quote = Currency.from_db(DEFAULT_DB_ALIAS, _CURRENCY, quote)
    return market


def order_of(member: Member, order_id: int) -> Order | None:
    """Return a member's order, or None where there is none of theirs."""
    mine = Order.objects.filter(pk=order_id, member_id=member.pk)
    return mine.order_by("pk").first()


def has_ordered(member: Member) -> bool:
    """Say whether a member ever placed an order."""
    return Order.objects.filter(member=member).exists()


def orders_of(
    member: Member,
    *,
    market_id: str | None = None,
    states: Sequence[str] | None = None,
    limit: int,
    offset: int = 0,
    newest_first: bool = False,
) -> list[Order]:
    """Return a member's orders by id."""
    orders = Order.objects.filter(member_id=member.pk)
    if market_id is not None:
        orders = orders.filter(market_id=market_id)
    if states is not None:
        orders = orders.filter(state__in=states)
    return list(orders.order_by("-pk" if newest_first else "pk")[offset:][:limit])


@dataclass(frozen=True, slots=True)
class Window:
    """Which trades are wanted: ids above and below, made at `until` or before."""

    limit: int
    after_id: int | None = None
    before_id: int | None = None
    until: datetime | None = None
    newest_first: bool = True

    def of(self, trades: QuerySet[Trade]) -> list[Trade]:
        if self.after_id is not None:
            trades = trades.filter(pk__gt=self.after_id)
        if self.before_id is not None:
            trades = trades.filter(pk__lt=self.before_id)
        if self.until is not None:
            trades = trades.filter(created_at__lte=self.until)
        return list(trades.order_by("-pk" if self.newest_first else "pk")[: self.limit])


def trades(market_id: str, window: Window) -> list[Trade]:
    """Return a market's trades."""
    return window.of(Trade.objects.filter(market_id=market_id))


def trades_of(member: Member, market_id: str, window: Window) -> list[Trade]:
    """Return a member's trades of a market, as maker or taker."""
    found: dict[int, Trade] = {}
    # One index each: together they are quicker than an OR, which uses neither.
    for role in ("maker_id", "taker_id"):
        mine = Trade.objects.filter(market_id=market_id, **{role: member.pk})
        found |= {trade.pk: trade for trade in window.of(mine)}
    ids = sorted(found, reverse=window.newest_first)
    return [found[id] for id in ids[: window.limit]]


def trades_since(
    market_id: str, start: datetime, *, before_id: int, limit: int
) -> list[tuple[Trade, bool]]:
    """
    Return the newest `limit` trades made at `start` or later with ids below
    `before_id`, oldest first, each with whether the price had not fallen since the
    trade before it.
    """
    earlier = Trade.objects.filter(market_id=market_id, pk__lt=before_id)
    newest = list(earlier.filter(created_at__gte=start).order_by("-pk")[:limit])
    if not newest:
        return []
    found = newest[::-1]
    before = earlier.filter(pk__lt=found[0].pk).values_list("price", flat=True)
    price = before.order_by("-pk").first() or ZERO
    ups = []
    for trade in found:
        ups.append(trade.price >= price)
        price = trade.price
    return list(zip(found, ups, strict=True))


def trades_of_order(order: Order) -> list[Trade]:
    """Return an order's trades, oldest first."""
    found = Trade.objects.filter(
        Q(maker_order_id=order.pk) | Q(taker_order_id=order.pk)
    )
    return list(found.order_by("pk"))


def remaining(order: Order) -> Decimal | None:
    """Return the amount not yet traded; None for an order sized by funds."""
    return None if order.amount is None else order.amount - order.filled


def average_price(order: Order) -> Decimal:
    """Return funds used over executed volume, to 8 digits; zero before a fill."""
    if not order.filled:
        return ZERO
    return money.round_down(order.funds_used / order.filled, Decimal("0.00000001"))


def order_view(order: Order) -> dict[str, Any]:
    """Return an order as pages and streams show it to its owner."""
    left = remaining(order)
    return {
        "id": order.pk,
        "market": order.market_id,
        "side": order.side,
        "kind": order.kind,
        "price": _plain(order.price),
        "amount": _plain(order.amount),
        "funds": _plain(order.funds),
        "filled": plain(order.filled),
        "remaining": _plain(left),
        "average": plain(average_price(order)),
        "state": order.state,
        "why": order.closed_why,
        "client_id": order.client_id,
        "at": moment(order.created_at),
    }


def trade_view(trade: Trade) -> dict[str, Any]:
    """Return a trade as everybody sees it; `side` is the taker's."""
    return {
        "id": trade.pk,
        "price": plain(trade.price),
        "amount": plain(trade.amount),
        "funds": plain(trade.funds),
        "side": trade.taker_side,
        "at": moment(trade.created_at),
    }


def own_trade_views(trade: Trade, member_id: int) -> list[dict[str, Any]]:
    """Return a trade as its maker or taker sees it: once per side that is theirs."""
    sides = []
    taker_bought = trade.taker_side == "buy"
    if trade.maker_id == member_id:
        side = "sell" if taker_bought else "buy"
        sides.append(("maker", trade.maker_order_id, side, trade.maker_fee))
    if trade.taker_id == member_id:
        order = trade.taker_order_id
        sides.append(("taker", order, trade.taker_side, trade.taker_fee))
    return [
        trade_view(trade)
        | {
            "market": trade.market_id,
            "order_id": order_id,
            "my_side": side,
            "role": role,
            "fee": plain(fee),
        }
        for role, order_id, side, fee in sides
    ]


def moment(at: datetime) -> str:
    """Write a time the way the API does: 2026-11-22T10:00:00Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
