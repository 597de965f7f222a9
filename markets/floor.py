"""
The trading floor: one market's engine and its papers; the only host of `matching`.

`run(messages, now)` takes a batch of the feed, asks the engine, and has the outcome
settled. It knows neither Celery nor sockets: drivers (`floor_worker`, `run_floor`)
bring it messages and announce what it returns. The book in memory is a cache of the
open orders; whenever it may be wrong it is thrown away and rebuilt from the rows.

Note [Who owns a market]: the epoch in the floor's row. A starting floor raises it and
ends the database session in which its predecessor, which may be a stopped process,
still holds locks. A settlement under an old epoch touches no row and writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection

from exchange.lib import audit
from exchange.lib.columns import column
from exchange.lib.errors import BrokenPromise, Busy
from exchange.lib.money import plain
from exchange.lib.transactions import transaction
from markets import settlement
from markets.feed import Message, Unreadable
from markets.models import Floor, Market, Order, Quarantined, StateRequest
from markets.queries import moment
from markets.settlement import Batch, Closing, Fill, LostFloor, Settled
from markets.units import Grid
from matching.commands import BUY, SELL, Cancel, Place
from matching.engine import Engine
from matching.events import CANCELLED, REJECTED, RESTED, TRADED

log = logging.getLogger("markets.floor")

SIDES = {"buy": BUY, "sell": SELL}
NAMES = {BUY: "buy", SELL: "sell"}

# The database is away, or gave up waiting: the batch is neither done nor at fault.
PASSING = (OperationalError, InterfaceError, Busy)


class MarketBroken(BrokenPromise):
    """A market has no floor, or its engine and its rows disagree."""


@dataclass(slots=True)
class Outcome:
    """What a batch did, for those who announce it. Levels: (side, price, new total)."""

    market_id: str
    before: int
    after: int
    at: datetime
    levels: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)
    settled: Settled = field(default_factory=Settled)
    became: str | None = None  # what the market was halted or opened to

    def as_event(self) -> dict[str, Any]:
        """Return the announcement: public deltas, and whom else it concerns."""
        trades = self.settled.trades
        members: dict[str, list[int]] = {}
        for row in self.settled.orders:
            members.setdefault(str(row.member_id), []).append(row.id)
        return {
            "market": self.market_id,
            "prev": self.before,
            "seq": self.after,
            "book": [
                [side, plain(price), plain(amount)]
                for side, price, amount in self.levels
            ],
            "trades": [_trade_view(id, fill, self.at) for id, fill in trades],
            "members": members,
            "state": self.became,
        }


class _LiveOrder(NamedTuple):
    """What the floor must know of an order, as its row says it."""

    id: int
    member_id: int
    side: str
    kind: str
    price_limit: Decimal
    amount: Decimal | None
    filled: Decimal
    locked: Decimal
    state: str
    client_id: str | None
    cancel_requested_at: datetime | None


@dataclass(slots=True)
class _Plan:
    """A batch, read: what goes to the engine, and what is decided without it."""

    commands: list[Place | Cancel] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    states: list[StateRequest] = field(default_factory=list)


class MarketFloor:
    """One market's floor in this process. Call `take_over` before `run`."""

    def __init__(self, market_id: str) -> None:
        self.market_id = market_id
        self.epoch = 0
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine; rebuilt from the rows where it was thrown away."""
        if self._engine is None:
            self._load()
        if self._engine is None:
            raise MarketBroken(f"{self.market_id} has no book")
        return self._engine

    def take_over(self) -> None:
        """
        Make this floor the market's owner: end the predecessor's database session where
        it holds on to the market, raise the epoch, and load the book.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s AND pid <> pg_backend_pid()"
                " AND datname = current_database()",
                [settlement.session_name(self.market_id)],
            )
            cursor.execute(
                # A market that was just added has no row yet.
                "INSERT INTO markets_floor (market_id, epoch, settled_seq)"
                " SELECT id, 1, 0 FROM markets_market WHERE id = %s"
                " ON CONFLICT (market_id) DO UPDATE SET epoch = markets_floor.epoch + 1"
                " RETURNING epoch",
                [self.market_id],
            )
            row = cursor.fetchone()
        if row is None:
            raise MarketBroken(f"there is no market {self.market_id}")
        self.epoch = int(row[0])
        self._load()
        log.info("%s: floor taken over, epoch %s", self.market_id, self.epoch)

    def run(
        self, messages: Sequence[Message | Unreadable], *, now: datetime
    ) -> list[Outcome]:
        """
        Decide and settle a batch of the feed; return the outcomes, in order.

        Duplicates change nothing. A message nobody can read, and a command that fails
        on its own, is quarantined with an alarm, and the market goes on. Where not even
        the command's order can be closed, the market is halted.

        Raises LostFloor when another floor owns the market by now, and one of PASSING
        when the database is away: run the same batch again later. In both cases
        nothing of the batch was settled by us, or all of it was and is recognised.
        """
        unreadable = [each for each in messages if isinstance(each, Unreadable)]
        for each in unreadable:
            self._quarantine(each.payload, each.why)
        readable = [each for each in messages if isinstance(each, Message)]
        if not readable:
            return []
        try:
            return [self._run(readable, now)]
        except (LostFloor, *PASSING):
            self.forget()
            raise
        except Exception as error:
            log.exception("%s: a batch of %s failed", self.market_id, len(readable))
            self.forget()
            return self._run_alone(readable, now, error)

    def forget(self) -> None:
        """Throw the book away; the next use rebuilds it from the rows."""
        self._engine = None

    def _run_alone(
        self, messages: list[Message], now: datetime, error: Exception
    ) -> list[Outcome]:
        """Find the command that poisons the batch by running each on its own."""
        if len(messages) == 1:
            return [self._expel(messages[0], now, error)]
        outcomes = []
        for message in messages:
            try:
                outcomes.append(self._run([message], now))
            except (LostFloor, *PASSING):
                self.forget()
                raise
            except Exception as cause:  # noqa: BLE001  whatever it is, it is said
                self.forget()
                outcomes.append(self._expel(message, now, cause))
        return outcomes

    def _expel(self, message: Message, now: datetime, error: Exception) -> Outcome:
        """
        Quarantine one command: its order is closed with its funds given back. When even
        that fails, the books are in doubt, and the market is halted.
        """
        self._quarantine(f"{message.kind} {message.id}", repr(error))
        row = self._rows([message]).get(message.id)
        closings = (
            [Closing(message.id, Order.State.REJECTED, Order.Closed.QUARANTINED)]
            if message.kind == "place" and row and row.state == Order.State.PENDING
            else []
        )
        try:
            return self._decide(_Plan(closings=closings), self._market(), now)
        except (LostFloor, *PASSING):
            raise
        except Exception as cause:
            log.exception("%s is halted", self.market_id)
            self.forget()
            return self._halt_broken(cause, now)

    def _run(self, messages: list[Message], now: datetime) -> Outcome:
        market = self._market()
        plan = self._plan(messages, market)
        outcome = self._decide(plan, market, now)
        return self._apply_states(plan.states, outcome)

    def _plan(self, messages: list[Message], market: Market) -> _Plan:
        """Read the batch's rows once; what they say decides what a message means."""
        rows = self._rows(messages)
        grid, plan, seen = Grid.of(market), _Plan(), set[tuple[str, int]]()
        is_open = market.state == Market.State.OPEN
        for message in messages:
            if (message.kind, message.id) in seen:
                continue
            seen.add((message.kind, message.id))
            if message.kind == "state":
                wish = self._state_request(message.id)
                if wish is not None:
                    plan.states.append(wish)
                    is_open = wish.state == Market.State.OPEN
                continue
            row = rows.get(message.id)
            if row is None:
                continue  # a duplicate: no longer live
            if message.kind == "cancel":
                if row.state == Order.State.OPEN and row.cancel_requested_at:
                    plan.commands.append(Cancel(row.id))
            elif row.state == Order.State.PENDING:
                self._plan_place(plan, grid, row, is_open=is_open)
        return plan

    def _state_request(self, id: int) -> StateRequest | None:
        asked = StateRequest.objects.filter(
            pk=id, market_id=self.market_id, done_seq__isnull=True
        )
        return asked.order_by("pk").first()

    def _plan_place(
        self, plan: _Plan, grid: Grid, row: _LiveOrder, *, is_open: bool
    ) -> None:
        if row.cancel_requested_at is not None:
            closed = Closing(row.id, Order.State.CANCELLED, Order.Closed.REQUESTED)
            plan.closings.append(closed)
        elif not is_open:
            closed = Closing(row.id, Order.State.CANCELLED, Order.Closed.MARKET_HALTED)
            plan.closings.append(closed)
        else:
            plan.commands.append(command_of(row, grid))

    def _decide(self, plan: _Plan, market: Market, now: datetime) -> Outcome:
        """Ask the engine, and settle its answer; nothing to do settles nothing."""
        engine = self.engine
        before = engine.seq
        events = engine.submit_batch(plan.commands)
        outcome = Outcome(self.market_id, before, engine.seq, now)
        if plan.commands or plan.closings:
            batch = Batch(
                market=market,
                epoch=self.epoch,
                before=before,
                after=engine.seq,
                commands=_numbered(plan.commands, events, before),
                events=events,
                closings=plan.closings,
                now=now,
            )
            outcome.settled = settlement.settle(batch)
            outcome.levels = self._changed_levels(events, Grid.of(market))
        return outcome

    def _changed_levels(
        self, events: list[tuple[Any, ...]], grid: Grid
    ) -> list[tuple[str, Decimal, Decimal]]:
        """Return the new total of every level the events touched."""
        touched: set[tuple[int, int]] = set()
        for event in events:
            if event[0] == TRADED:
                touched.add((SELL if event[7] == BUY else BUY, event[8]))
            elif event[0] in (RESTED, CANCELLED):
                touched.add((event[4], event[5]))
        engine = self.engine
        return [
            (NAMES[side], grid.price(ticks), grid.amount(engine.lots_at(side, ticks)))
            for side, ticks in sorted(touched)
        ]

    def _apply_states(self, requests: list[StateRequest], outcome: Outcome) -> Outcome:
        for request in requests:
            with transaction():
                if lock_floor(self.market_id).epoch != self.epoch:
                    raise LostFloor(f"{self.market_id} is not ours any more")
                wish = StateRequest.objects.filter(pk=request.pk, done_seq=None)
                if not wish.update(done_seq=self.engine.seq):
                    continue  # done already
                Market.objects.filter(pk=self.market_id).update(
                    state=request.state,
                    halt_reason="" if request.state == "open" else request.reason,
                )
                subject = f"market:{self.market_id}"
                audit.record(
                    request.by, f"market_{request.state}", subject, why=request.reason
                )
            outcome.became = request.state
        return outcome

    def _load(self) -> None:
        """
        Rebuild the book from the open orders, in the order the engine accepted them, as
        of the floor's settled sequence.
        """
        grid = Grid.of(self._market())
        with transaction():
            self._name_session()
            # Both reads see one state: whoever settles moves this row first.
            floor = lock_floor(self.market_id)
            if floor.epoch != self.epoch:
                raise LostFloor(f"{self.market_id} has epoch {floor.epoch}")
            rows = Order.objects.filter(
                market_id=self.market_id, state=Order.State.OPEN
            ).order_by("seq")
            resting = [
                (
                    order.pk,
                    order.member_id,
                    SIDES[order.side],
                    grid.ticks(order.price_limit),
                    grid.lots((order.amount or Decimal(0)) - order.filled),
                )
                for order in rows.iterator(chunk_size=5000)
            ]
        engine = Engine(self.market_id)
        engine.restore(floor.settled_seq, resting)
        self._engine = engine

    def _market(self) -> Market:
        """The market's row; read again for every batch, so that edits take effect."""
        return Market.objects.select_related("base", "quote").get(pk=self.market_id)

    def _rows(self, messages: Sequence[Message]) -> dict[int, _LiveOrder]:
        ids = [message.id for message in messages if message.kind != "state"]
        with connection.cursor() as cursor:
            cursor.execute(_LIVE_ORDERS, [column(ids), self.market_id])
            return {row[0]: _LiveOrder(*row) for row in cursor.fetchall()}

    def _quarantine(self, payload: str, why: str) -> None:
        """Keep it for a human, and say so: once, however often it comes."""
        payload, why = payload[:10_000], why[:200]
        waiting = Quarantined.objects.filter(
            market_id=self.market_id, payload=payload, resolved_at=None
        )
        if waiting.exists():
            return
        with transaction():
            Quarantined.objects.create(
                market_id=self.market_id, why=why, payload=payload
            )
            audit.alarm(f"market:{self.market_id}", "quarantined", why=why)

    def _halt_broken(self, cause: Exception, now: datetime) -> Outcome:
        """Stop the market, for a human to look at; the other markets go on."""
        open_market = Market.objects.filter(pk=self.market_id, state="open")
        reason = "The books are being checked."
        with transaction():
            if open_market.update(state=Market.State.HALTED, halt_reason=reason):
                why = repr(cause)[:500]
                audit.alarm(f"market:{self.market_id}", "halted", why=why)
        seq = Floor.objects.get(pk=self.market_id).settled_seq
        return Outcome(self.market_id, seq, seq, now, became=Market.State.HALTED)

    def _name_session(self) -> None:
        """
        Let a successor find our database session, and end it when it hangs. The name
        lasts as long as the transaction: one session serves many markets, and only the
        one whose locks it holds is concerned.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('application_name', %s, true),"
                " set_config('idle_in_transaction_session_timeout', '10s', false)",
                [settlement.session_name(self.market_id)],
            )


# Thousands a second are read so: rows of the mapper would take four times as long.
_LIVE_ORDERS = f"""
SELECT {", ".join(_LiveOrder._fields)} FROM markets_order
WHERE id = ANY(%s::bigint[]) AND market_id = %s AND state IN ('pending', 'open')
"""


def command_of(row: _LiveOrder, grid: Grid) -> Place:
    """Cross the border: an order's row as the engine's command."""
    limit = grid.ticks(row.price_limit)
    lots = 0 if row.amount is None else grid.lots(row.amount - row.filled)
    budget = None
    if row.kind == Order.Kind.MARKET and row.side == "buy":
        budget = grid.budget(row.locked)
    return Place(
        order_id=row.id,
        member_id=row.member_id,
        side=SIDES[row.side],
        limit=limit,
        lots=lots,
        budget=budget,
        rests=row.kind == Order.Kind.LIMIT,
        client_id=row.client_id,
    )


def _trade_view(id: int, fill: Fill, at: datetime) -> dict[str, Any]:
    return {
        "id": id,
        "price": plain(fill.price),
        "amount": plain(fill.amount),
        "funds": plain(fill.funds),
        "side": fill.taker_side,
        "at": moment(at),
    }


def lock_floor(market_id: str) -> Floor:
    """Hold a market still until the transaction ends: no settlement can pass."""
    return Floor.objects.select_for_update(no_key=True).get(pk=market_id)


def _numbered(
    commands: Sequence[Place | Cancel],
    events: Sequence[tuple[Any, ...]],
    before: int,
) -> list[tuple[int, Place | Cancel]]:
    """
    Pair the commands with the numbers the engine gave them. It numbers what it accepts
    without gaps. A cancel is refused when a fill earlier in the batch was quicker; an
    order that passed intake is accepted, and its refusal is a fault of ours.
    """
    refused = {event[1] for event in events if event[0] == REJECTED}
    accepted = [each for each in commands if each.order_id not in refused]
    for command in commands:
        if isinstance(command, Place) and command.order_id in refused:
            raise MarketBroken(f"the engine refused {command}")
    return list(enumerate(accepted, start=before + 1))
