"""
Replay: the journal run again from empty must give the same trades and the same book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from markets.floor import SIDES
from markets.models import Command, Market, Order, Trade
from markets.units import Grid
from matching.commands import Cancel, Place
from matching.engine import Engine
from matching.events import TRADED

Found = list[tuple[Any, ...]]

_CHUNK = 2000


def journals_unlike_trades() -> Found:
    """I-10, I-7: for each market the first difference of trades, and of the book."""
    found: Found = []
    for market in Market.objects.order_by("pk"):
        engine = Engine(market.pk)
        grid = Grid.of(market)
        replayed = _replay(engine, market)
        pairs = zip_longest(replayed, _written(market, grid))
        differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if differing is not None:
            found.append((market.pk, "trades", *differing))
        elif (book := _resting(engine)) != (rows := _open(market, grid)):
            found.append((market.pk, "book", sorted(book ^ rows)[:5]))
    return found


def _replay(engine: Engine, market: Market) -> Iterator[tuple[int, ...]]:
    """Run a market's journal; yield its trades as the engine counts them."""
    journal = Command.objects.filter(market_id=market.pk).order_by("seq")
    for command in journal.iterator(chunk_size=_CHUNK):
        for event in engine.submit(_command(command)):
            if event[0] == TRADED:
                _, seq, n, maker, _, taker, _, _, ticks, lots, _ = event
                yield seq, n, maker, taker, ticks, lots


def _command(row: Command) -> Place | Cancel:
    if row.kind == Command.Kind.CANCEL:
        return Cancel(row.subject)
    return Place(
        order_id=row.subject,
        member_id=row.member_id or 0,
        side=row.side or 0,
        limit=row.limit_ticks or 0,
        lots=row.lots or 0,
        budget=row.budget,
        rests=bool(row.rests),
    )


def _written(market: Market, grid: Grid) -> Iterator[tuple[int, ...]]:
    trades = Trade.objects.filter(market_id=market.pk).order_by("seq", "n")
    for trade in trades.iterator(chunk_size=_CHUNK):
        yield (
            trade.seq,
            trade.n,
            trade.maker_order_id,
            trade.taker_order_id,
            grid.ticks(trade.price),
            grid.lots(trade.amount),
        )


def _resting(engine: Engine) -> set[tuple[int, ...]]:
    return {tuple(order) for order in _without_members(engine.dump())}


def _without_members(orders: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    for order_id, _, side, price, lots in orders:
        yield order_id, side, price, lots


def _open(market: Market, grid: Grid) -> set[tuple[int, ...]]:
    rows = Order.objects.filter(market_id=market.pk, state=Order.State.OPEN)
    return {
        (
            row.pk,
            SIDES[row.side],
            grid.ticks(row.price_limit),
            grid.lots((row.amount or 0) - row.filled),
        )
        for row in rows.iterator(chunk_size=_CHUNK)
    }
