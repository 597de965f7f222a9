"""
Settlement: make real what the engine decided.

One transaction per batch: the floor's row moves on, then trades, entries, balances,
order states, the journal and the candles are written set-based, all or nothing. Money
moves trade by trade from pocket to pocket; buyers get back at each fill what they had
locked above the price they paid.

Locks are taken in the house's order: the floor's row, orders by id, balances by id,
then the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection

from exchange.lib.columns import column
from exchange.lib.errors import BrokenPromise
from exchange.lib.money import EXACT, ZERO
from exchange.lib.transactions import transaction
from markets.fees import FeeTable
from markets.models import Market, Order
from markets.units import Grid
from matching.commands import BUY, Cancel, Place
from matching.events import CANCELLED, FILLED, REJECTED, RESTED, TRADED
from wallets import ledger
from wallets.ledger import AVAILABLE, LOCKED, House, Move, NewBalance, Reason

State = Order.State
Closed = Order.Closed


class LostFloor(Exception):
    """
    Another floor has taken this market over, or settled where we thought we were. What
    we hold in memory is void.
    """


class OutOfStep(BrokenPromise):
    """The engine's answer does not fit the rows it is about."""


@dataclass(slots=True)
class Row:
    """An order while a batch is settled: what the row said, and what will be said."""

    id: int
    member_id: int
    side: str
    price_limit: Decimal
    amount: Decimal | None
    locked: Decimal
    filled: Decimal
    funds_used: Decimal
    fees: Decimal
    trades_count: int
    state: str
    seq: int | None
    closed_why: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade, in money."""

    seq: int
    n: int
    price: Decimal
    amount: Decimal
    funds: Decimal
    taker_side: str
    maker_order_id: int
    taker_order_id: int
    maker_id: int
    taker_id: int
    maker_fee: Decimal
    taker_fee: Decimal


@dataclass(frozen=True, slots=True)
class Closing:
    """An order that ends without the engine: cancelled before it was seen, say."""

    order_id: int
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one run of the floor decided."""

    market: Market
    epoch: int
    before: int  # the sequence the floor's row must still be at
    after: int
    commands: Sequence[tuple[int, Place | Cancel]]  # (seq, accepted command)
    events: Sequence[tuple[Any, ...]]
    closings: Sequence[Closing]
    now: datetime


@dataclass(slots=True)
class Settled:
    """What was written, for those who announce it."""

    trades: list[tuple[int, Fill]] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    balances: list[NewBalance] = field(default_factory=list)


def settle(batch: Batch) -> Settled:
    """
    Write a batch into the books, in one transaction.

    Raises LostFloor when the floor's row is not where the batch started (nothing is
    written), OutOfStep when an event contradicts an order's row.
    """
    with transaction():
        _move_on(batch)
        rows = _lock_orders(batch)
        clerk = _Clerk(batch, rows)
        clerk.work()
        result = Settled(orders=list(clerk.touched.values()))
        result.balances = ledger.post(clerk.moves, at=batch.now)
        _update_orders(result.orders, batch.now)
        ids = _insert_trades(batch, clerk.fills)
        result.trades = list(zip(ids, clerk.fills, strict=True))
        _count_down(batch.market.pk, clerk.closed)
        _insert_commands(batch)
        _upsert_candle(batch, clerk.fills)
    return result


class _Clerk:
    """Turns a batch's events into moves of money and new states, in memory."""

    def __init__(self, batch: Batch, rows: dict[int, Row]) -> None:
        market = batch.market
        self._batch = batch
        self._rows = rows
        self._grid = Grid.of(market)
        self._fees = FeeTable.of(market)
        self._accounts = ledger.accounts_of(
            member_ids={row.member_id for row in rows.values()},
            currencies=[market.base_id, market.quote_id],
        )
        self._base, self._quote = market.base_id, market.quote_id
        self._fees_base = ledger.house(House.FEES, market.base_id)
        self._fees_quote = ledger.house(House.FEES, market.quote_id)
        self.moves: list[Move] = []
        self.fills: list[Fill] = []
        self.touched: dict[int, Row] = {}
        self.closed: list[int] = []  # the member of each order that ended

    def work(self) -> None:
        with localcontext(EXACT):
            for event in self._batch.events:
                self._take(event)
            for closing in self._batch.closings:
                row = self._row(closing.order_id)
                self._close(row, closing.state, closing.why)

    def _take(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind == TRADED:
            self._trade(event)
        elif kind == RESTED:
            row = self._row(event[2])
            self._demand_left(row, event[6])
            row.state, row.seq = State.OPEN, event[1]
        elif kind == FILLED:
            row = self._row(event[2])
            row.seq = event[1]
            if row.amount is not None:
                self._demand_left(row, 0)
            self._close(row, State.FILLED, None)
        elif kind == CANCELLED:
            _, seq, order_id, *_, reason, _client_id = event
            row = self._row(order_id)
            row.seq = row.seq or seq
            if row.amount is None and reason == Closed.BUDGET_SPENT and row.filled:
                self._close(row, State.FILLED, None)  # it spent what it was given
            else:
                self._close(row, State.CANCELLED, str(reason))
        elif kind != REJECTED:
            raise OutOfStep(f"The engine said something unknown: {event}")

    def _trade(self, event: tuple[Any, ...]) -> None:
        (_, seq, n, maker_order, _, taker_order, _, side, ticks, lots, left) = event
        maker, taker = self._row(maker_order), self._row(taker_order)
        price, amount = self._grid.price(ticks), self._grid.amount(lots)
        funds = price * amount
        taker_buys = side == BUY
        maker_fee, taker_fee = self._fees.fees(
            taker_buys=taker_buys, amount=amount, funds=funds
        )
        fill = Fill(
            seq,
            n,
            price,
            amount,
            funds,
            taker.side,
            maker.id,
            taker.id,
            maker.member_id,
            taker.member_id,
            maker_fee,
            taker_fee,
        )
        self.fills.append(fill)
        if taker_buys:
            self._move_money(fill, taker, taker_fee, maker, maker_fee)
        else:
            self._move_money(fill, maker, maker_fee, taker, taker_fee)
        for row, fee in ((maker, maker_fee), (taker, taker_fee)):
            row.filled += amount
            row.funds_used += funds
            row.fees += fee
            row.trades_count += 1
        self._demand_left(maker, left)
        if left == 0:
            self._close(maker, State.FILLED, None)

    def _demand_left(self, row: Row, lots: int) -> None:
        if row.amount is None or row.amount - row.filled != self._grid.amount(lots):
            raise OutOfStep(f"{row} has other lots left than the engine: {lots}")

    def _move_money(
        self, fill: Fill, buyer: Row, base_fee: Decimal, seller: Row, quote_fee: Decimal
    ) -> None:
        """Seller gives base, buyer gives quote; each fee leaves what its payer gets."""
        name = f"trade:{self._batch.market.pk}:{fill.seq}:{fill.n}"
        bought = self._accounts[buyer.member_id, self._base]
        paid = self._accounts[buyer.member_id, self._quote]
        sold = self._accounts[seller.member_id, self._base]
        got = self._accounts[seller.member_id, self._quote]
        self._move(sold, bought, fill.amount - base_fee, Reason.TRADE, name)
        self._move(sold, self._fees_base, base_fee, Reason.FEE, name)
        self._move(paid, got, fill.funds - quote_fee, Reason.TRADE, name)
        self._move(paid, self._fees_quote, quote_fee, Reason.FEE, name)
        seller.locked -= fill.amount
        buyer.locked -= fill.funds
        if buyer.amount is not None:
            improvement = (buyer.price_limit - fill.price) * fill.amount
            self._move(paid, paid, improvement, Reason.PRICE_IMPROVEMENT, name)
            buyer.locked -= improvement

    def _close(self, row: Row, state: str, why: str | None) -> None:
        """End an order, and give back what it still locks."""
        if row.state not in Order.LIVE:
            raise OutOfStep(f"{row} is closed already")
        row.state, row.closed_why = state, why
        currency = self._quote if row.side == "buy" else self._base
        account = self._accounts[row.member_id, currency]
        self._move(account, account, row.locked, Reason.ORDER_CLOSED, f"order:{row.id}")
        row.locked = ZERO
        self.closed.append(row.member_id)

    def _move(
        self, source: int, target: int, amount: Decimal, reason: Reason, reference: str
    ) -> None:
        if amount < 0:
            raise OutOfStep(f"{reference} would move {amount}")
        if amount:
            self.moves.append(
                Move(source, LOCKED, target, AVAILABLE, amount, reason.value, reference)
            )

    def _row(self, order_id: int) -> Row:
        row = self._rows.get(order_id)
        if row is None:
            raise OutOfStep(f"order {order_id} has no row")
        self.touched[order_id] = row
        return row


def session_name(market_id: str) -> str:
    """Return what a database session is called while it holds a market's locks."""
    return f"floor:{market_id}"


def _move_on(batch: Batch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE markets_floor SET settled_seq = %s, settled_at = %s"
            " WHERE market_id = %s AND epoch = %s AND settled_seq = %s"
            # From here to the commit this session holds on to the market.
            " RETURNING set_config('application_name', %s, true)",
            [
                batch.after,
                batch.now,
                batch.market.pk,
                batch.epoch,
                batch.before,
                session_name(batch.market.pk),
            ],
        )
        if cursor.rowcount != 1:
            raise LostFloor(f"{batch.market.pk} is not ours at {batch.before} any more")


def _lock_orders(batch: Batch) -> dict[int, Row]:
    ids = {closing.order_id for closing in batch.closings}
    for event in batch.events:
        if event[0] == TRADED:
            ids.add(event[3])
            ids.add(event[5])
        elif event[0] != REJECTED:
            ids.add(event[2])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, member_id, side, price_limit, amount, locked, filled,"
            " funds_used, fees, trades_count, state, seq FROM markets_order"
            " WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
            [column(sorted(ids))],
        )
        return {row[0]: Row(*row) for row in cursor.fetchall()}


def _update_orders(rows: Sequence[Row], now: datetime) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE markets_order AS o
            SET locked = new.locked, filled = new.filled, funds_used = new.funds_used,
                fees = new.fees, trades_count = new.trades_count, state = new.state,
                closed_why = new.closed_why, seq = new.seq, updated_at = %s
            FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[],
                    %s::numeric[], %s::int[], %s::text[], %s::text[], %s::bigint[])
                AS new (id, locked, filled, funds_used, fees, trades_count, state,
                    closed_why, seq)
            WHERE o.id = new.id
            """,
            [
                now,
                column(row.id for row in rows),
                column(row.locked for row in rows),
                column(row.filled for row in rows),
                column(row.funds_used for row in rows),
                column(row.fees for row in rows),
                column(row.trades_count for row in rows),
                column(str(row.state) for row in rows),
                column(row.closed_why for row in rows),
                column(row.seq for row in rows),
            ],
        )


def _insert_trades(batch: Batch, fills: Sequence[Fill]) -> list[int]:
    if not fills:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO markets_trade (market_id, created_at, seq, n, price, amount,
                funds, taker_side, maker_order_id, taker_order_id, maker_id, taker_id,
                maker_fee, taker_fee)
            SELECT %s, %s, seq, n, price, amount, price * amount, taker_side,
                maker_order_id, taker_order_id, maker_id, taker_id, maker_fee, taker_fee
            FROM unnest(%s::bigint[], %s::int[], %s::numeric[], %s::numeric[],
                    %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                    %s::numeric[], %s::numeric[]) WITH ORDINALITY
                AS fill (seq, n, price, amount, taker_side, maker_order_id,
                    taker_order_id, maker_id, taker_id, maker_fee, taker_fee, place)
            ORDER BY place
            RETURNING id
            """,
            [
                batch.market.pk,
                batch.now,
                column(fill.seq for fill in fills),
                column(fill.n for fill in fills),
                column(fill.price for fill in fills),
                column(fill.amount for fill in fills),
                column(fill.taker_side for fill in fills),
                column(fill.maker_order_id for fill in fills),
                column(fill.taker_order_id for fill in fills),
                column(fill.maker_id for fill in fills),
                column(fill.taker_id for fill in fills),
                column(fill.maker_fee for fill in fills),
                column(fill.taker_fee for fill in fills),
            ],
        )
        return [row[0] for row in cursor.fetchall()]


def _count_down(market_id: str, members: Iterable[int]) -> None:
    counts: dict[int, int] = {}
    for member in members:
        counts[member] = counts.get(member, 0) + 1
    if not counts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM markets_openorders WHERE market_id = %s"
            " AND member_id = ANY(%s::bigint[]) ORDER BY member_id FOR NO KEY UPDATE",
            [market_id, column(sorted(counts))],
        )
        cursor.execute(
            "UPDATE markets_openorders AS o SET count = o.count - done.count"
            " FROM unnest(%s::bigint[], %s::int[]) AS done (member_id, count)"
            " WHERE o.market_id = %s AND o.member_id = done.member_id",
            [column(counts), column(counts.values()), market_id],
        )


def _insert_commands(batch: Batch) -> None:
    if not batch.commands:
        return
    rows = [_journal(seq, command) for seq, command in batch.commands]
    columns = [column(values) for values in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO markets_command (market_id, epoch, at, seq, kind, subject,
                member_id, side, limit_ticks, lots, budget, rests)
            SELECT %s, %s, %s, * FROM unnest(%s::bigint[], %s::text[], %s::bigint[],
                %s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[],
                %s::boolean[])
            """,
            [batch.market.pk, batch.epoch, batch.now, *columns],
        )


def _journal(seq: int, command: Place | Cancel) -> tuple[int | str | None, ...]:
    if isinstance(command, Cancel):
        return (seq, "cancel", command.order_id, None, None, None, None, None, None)
    return (
        seq,
        "place",
        command.order_id,
        command.member_id,
        command.side,
        command.limit,
        command.lots,
        command.budget,
        command.rests,
    )


def _upsert_candle(batch: Batch, fills: Sequence[Fill]) -> None:
    """Add the batch to its minute. A batch has one time, so it has one minute."""
    if not fills:
        return
    prices = [fill.price for fill in fills]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO markets_candle AS candle (market_id, minute, open, high, low,
                close, volume, funds, trades_count)
            VALUES (%s, date_trunc('minute', %s::timestamptz), %s, %s, %s, %s, %s, %s,
                %s)
            ON CONFLICT (market_id, minute) DO UPDATE
            SET high = greatest(candle.high, excluded.high),
                low = least(candle.low, excluded.low), close = excluded.close,
                volume = candle.volume + excluded.volume,
                funds = candle.funds + excluded.funds,
                trades_count = candle.trades_count + excluded.trades_count
            """,
            [
                batch.market.pk,
                batch.now,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum((fill.amount for fill in fills), ZERO),
                sum((fill.funds for fill in fills), ZERO),
                len(fills),
            ],
        )
