"""
Replay: the journal run again from empty must give the same trades and the same book.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """
    I-10, I-7: for each market the first difference of its trades, or else of its book,
    in the order in which the orders would trade.
    """
    found: Found = []
    for market in Market.objects.order_by("pk"):
        engine = Engine(market.pk)
        grid = Grid.of(market)
        replayed = _replay(engine, market)
        pairs = zip_longest(replayed, _written(market, grid))
        differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if differing is not None:
            found.append((market.pk, "trades", *differing))
            continue
        pairs = zip_longest(engine.dump()[1], _open(market, grid))
        differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if differing is not None:
            found.append((market.pk, "book", *differing))
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


def _open(market: Market, grid: Grid) -> Iterator[tuple[int, ...]]:
    rows = Order.objects.filter(market_id=market.pk, state=Order.State.OPEN)
    for side, best_first in (("buy", "-price"), ("sell", "price")):
        queue = rows.filter(side=side).order_by(best_first, "seq")
        for row in queue.iterator(chunk_size=_CHUNK):
            yield (
                row.pk,
                row.member_id,
                SIDES[side],
                grid.ticks(row.price_limit),
                grid.lots((row.amount or 0) - row.filled),
            )
