"""
The pipeline bench: from orders already accepted to trades durable in PostgreSQL.

Orders are taken through the real intake into a database of the bench's own. Then the
clock starts: their ids are published to RabbitMQ, a floor in a Celery worker matches
and settles them, and the clock stops when no row waits any more. Members, prices and
cancels make a market of which about four orders in ten trade.

Three more passes explain the figure: the same with batches of one, the time of each
stage on a floor inside this process, and a steady flow for the latency from acceptance
to durable trades. Everything runs on this machine, next to the bench itself.
"""

from __future__ import annotations

import itertools
import os
import random
import statistics
import subprocess
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models.members import Member
from exchange import invariants
from exchange.benches import world
from exchange.benches.world import MARKET
from exchange.lib import audit_chain, bus
from exchange.supervisor import module
from markets import feed, settlement
from markets.feed import Message
from markets.floor import MarketFloor
from markets.floor_host import Host
from markets.models import Floor, Order, Side, Trade
from markets.orders import Terms, cancel, place
from matching.engine import Engine
from wallets import ledger

TARGET = 2000  # orders a second
PUBLISHED_AT_ONCE = 100
DONE_SECONDS_MAX = 300

_MID = Decimal(30_000)
# Limits scatter around a price this much worse than the middle, and by as much again:
# about four orders in ten trade.
_WORSE, _SCATTER = 35, 60
_CANCELS = 0.2  # of the orders that rest before the clock starts, per order placed


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--orders", type=int, default=10_000, metavar="N")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the orders: does it run?"
    )


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Run all passes; `rate` is orders a second, `ok` when it reaches the target."""
    count = int(options.get("orders") or 10_000)
    if options.get("quick"):
        count = max(count // 10, 200)
    with world.database(), world.broker():
        people = world.people()
        main = _through_the_broker(people, count, batch=settings.FEED_BATCH)
        single = _through_the_broker(people, max(count // 10, 100), batch=1)
        stages = _stages(people, max(count // 4, 100))
        latency = _latency(people, seconds=3 if options.get("quick") else 10)
        audit_chain.chain(now=timezone.now())  # no clock runs here
        breaks = [found.as_json() for found in invariants.check_all()]
    rate = main.orders_per_second
    return {
        "bench": "pipeline",
        "rate": round(rate),
        "unit": "orders/s",
        "ok": rate >= TARGET and not breaks,
        "orders": main.orders,
        "cancels": main.cancels,
        "trades": main.trades,
        "traded_share": round(main.traded_share, 2),
        "seconds": round(main.seconds, 2),
        "batch": settings.FEED_BATCH,
        "rate_batch_1": round(single.orders_per_second),
        "ratio_to_batch_1": round(rate / single.orders_per_second, 1),
        "stages_us_per_order": stages,
        "latency_ms": latency,
        "breaks": breaks,
    }


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass through the broker did."""

    orders: int
    cancels: int
    trades: int
    traded_share: float
    seconds: float

    @property
    def orders_per_second(self) -> float:
        return self.orders / self.seconds


@contextmanager
def _floor(batch: int) -> Iterator[None]:
    """Have a floor in a worker of its own, the way production runs it."""
    command = module(
        *("celery", "--app=exchange", "--quiet", "worker", "--pool=solo", "--floor"),
        *("--hostname=bench@%h", "--without-gossip", "--without-mingle"),
        "--loglevel=warning",
    )
    environment = {
        "AMQP_URL": settings.AMQP_URL,
        "BUS_NAMESPACE": settings.BUS_NAMESPACE,
        "DATABASE_URL": world.database_url(),
        "FEED_BATCH": str(batch),
        "LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    try:
        world.until(lambda: _is_consumed(process), world.READY_SECONDS_MAX)
        yield
    finally:
        process.terminate()
        process.wait(timeout=world.READY_SECONDS_MAX)


def _is_consumed(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise SystemExit("The floor did not start.")
    with world.channel() as channel:
        asked = channel.queue_declare(
            bus.work_queue(MARKET),
            durable=True,
            arguments={"x-queue-type": "quorum", "x-single-active-consumer": True},
        )
        return bool(asked.method.consumer_count)


# --- Orders -------------------------------------------------------------------------


@dataclass
class Work:
    """Orders and cancels that wait in their rows, and the messages about them."""

    orders: list[int] = field(default_factory=list)
    cancels: list[int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


def _accept(people: Sequence[Member], count: int, *, resting: Sequence[int]) -> Work:
    """Take orders through the intake, and cancels of orders that rest."""
    work = Work()
    chance = random.Random(42)  # noqa: S311 - a mix, no secret
    to_cancel = list(Order.objects.filter(pk__in=resting).select_related("member"))
    with _intake_alone():
        for _ in range(count):
            work.orders.append(_one_order(people, chance).pk)
            work.messages.append(Message(kind="place", id=work.orders[-1]))
            if to_cancel and chance.random() < _CANCELS:
                order = to_cancel.pop()
                cancel(member=order.member, order_id=order.pk, now=timezone.now())
                work.cancels.append(order.pk)
                work.messages.append(Message(kind="cancel", id=order.pk))
    return work


def _one_order(people: Sequence[Member], chance: random.Random) -> Order:
    side = chance.choice((Side.BUY, Side.SELL))
    away = Decimal(round(chance.gauss(_WORSE, _SCATTER)))  # below zero: it crosses
    terms = Terms(
        side=side,
        kind=Order.Kind.LIMIT,
        price=_MID - away if side == Side.BUY else _MID + away,
        amount=Decimal(chance.randint(1, 100)) / 100,
    )
    return place(
        member=chance.choice(people),
        market_id=MARKET,
        terms=terms,
        source="api",
        now=timezone.now(),
    )


class _Mute:
    """A bus that takes nothing."""

    def send(self, queue: str, bodies: list[bytes]) -> None: ...

    def announce(self, topic: str, body: bytes) -> None: ...

    def is_out(self) -> bool:
        return True

    def backlog(self, queue: str) -> int | None:
        return None


@contextmanager
def _intake_alone() -> Iterator[None]:
    """Take orders without feeding them, and without waiting for the disk."""
    driver, mute = bus.driver, _Mute()
    bus.driver = lambda: mute  # type: ignore[assignment]
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")
        bus.driver = driver


def _settled_seq() -> int:
    return Floor.objects.get(pk=MARKET).settled_seq


def _is_done() -> bool:
    here = Order.objects.filter(market_id=MARKET)
    asked = here.filter(state=Order.State.OPEN, cancel_requested_at__isnull=False)
    return not (here.filter(state=Order.State.PENDING).exists() or asked.exists())


# --- The passes ---------------------------------------------------------------------


def _through_the_broker(people: Sequence[Member], count: int, *, batch: int) -> Pass:
    with _floor(batch):
        before = _accept(people, count // 3, resting=[])
        _publish(before.messages)
        world.until(_is_done, DONE_SECONDS_MAX)
        resting = _resting(before.orders)
        work = _accept(people, count, resting=resting)
        trades, all_placed = Trade.objects.count(), _settled_seq() + count
        started = time.perf_counter()
        _publish(work.messages)
        # Until every order has its number, one cheap look is enough.
        world.until(
            lambda: _settled_seq() >= all_placed and _is_done(), DONE_SECONDS_MAX
        )
        seconds = time.perf_counter() - started
    return Pass(
        orders=len(work.orders),
        cancels=len(work.cancels),
        trades=Trade.objects.count() - trades,
        traded_share=_traded_share(work.orders),
        seconds=seconds,
    )


def _publish(messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), PUBLISHED_AT_ONCE):
        bus.send(
            bus.work_queue(MARKET), list(messages[start : start + PUBLISHED_AT_ONCE])
        )


def _resting(ids: Iterable[int]) -> list[int]:
    live = Order.objects.filter(pk__in=list(ids), state=Order.State.OPEN)
    return list(live.order_by("pk").values_list("pk", flat=True))


def _traded_share(ids: Sequence[int]) -> float:
    traded = Order.objects.filter(pk__in=ids, trades_count__gt=0).count()
    return traded / len(ids)


class Stopwatch:
    """Adds up the time spent inside named functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._undo: list[tuple[Any, str, Any]] = []

    def time(self, name: str, home: Any, attribute: str) -> None:
        """Count what `home.attribute` takes under a name."""
        timed = getattr(home, attribute)

        def measured(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return timed(*args, **kwargs)
            finally:
                spent = time.perf_counter() - started
                self.seconds[name] = self.seconds.get(name, 0) + spent

        self._undo.append((home, attribute, timed))
        setattr(home, attribute, measured)

    def undo(self) -> None:
        for home, attribute, timed in self._undo:
            setattr(home, attribute, timed)


def _stages(people: Sequence[Member], count: int) -> dict[str, float]:
    """Run a floor in this process with a watch on each stage: microseconds an order."""
    work, watch = _accept(people, count, resting=[]), Stopwatch()
    host = Host()
    host.floor(MARKET)
    for name, home, attribute in (
        ("read_earlier", feed, "earlier"),
        ("read_rows", MarketFloor, "_plan"),
        ("engine", Engine, "submit_batch"),
        ("settle", settlement, "settle"),
        ("settle.move_on", settlement, "_move_on"),
        ("settle.lock_orders", settlement, "_lock_orders"),
        ("settle.clerk", settlement._Clerk, "work"),
        ("settle.ledger", ledger, "post"),
        ("settle.update_orders", settlement, "_update_orders"),
        ("settle.trades", settlement, "_insert_trades"),
        ("settle.count_down", settlement, "_count_down"),
        ("settle.commands", settlement, "_insert_commands"),
        ("settle.candle", settlement, "_upsert_candle"),
        ("announce", bus, "announce"),
    ):
        watch.time(name, home, attribute)
    started = time.perf_counter()
    try:
        for start in range(0, len(work.messages), settings.FEED_BATCH):
            batch = work.messages[start : start + settings.FEED_BATCH]
            host.handle(MARKET, batch, now=timezone.now())
    finally:
        watch.undo()
        connection.close()  # the next floor would end it: it is the market's owner
    seconds = watch.seconds | {"whole": time.perf_counter() - started}
    parts = sum(spent for name, spent in seconds.items() if name[:7] == "settle.")
    seconds["settle.commit_and_rest"] = seconds["settle"] - parts
    return {name: round(spent / count * 1e6, 1) for name, spent in seconds.items()}


def _latency(people: Sequence[Member], *, seconds: int) -> dict[str, float]:
    """Place orders one after another; time each until the news of it is out."""
    chance = random.Random(7)  # noqa: S311 - a mix, no secret
    durable: dict[int, float] = {}
    listener, is_listening = bus.listener(), threading.Event()

    def on_news(body: bytes) -> None:
        at = time.perf_counter()
        news = bus.decode(body)
        for id in itertools.chain.from_iterable(news.get("members", {}).values()):
            durable.setdefault(id, at)

    thread = threading.Thread(target=listener.run, args=(on_news, is_listening.set))
    with _floor(settings.FEED_BATCH):
        thread.start()
        try:
            is_listening.wait(timeout=world.READY_SECONDS_MAX)
            _one_order(people, chance)  # the floor takes the market over now
            world.until(_is_done, DONE_SECONDS_MAX)
            accepted = {}
            ends_at = time.perf_counter() + seconds
            while time.perf_counter() < ends_at:
                id = _one_order(people, chance).pk
                accepted[id] = time.perf_counter()
                time.sleep(world.POLL_SECONDS)
            world.until(lambda: accepted.keys() <= durable.keys(), DONE_SECONDS_MAX)
        finally:
            listener.stop()
            thread.join()
    waits = [1000 * (durable[id] - at) for id, at in accepted.items()]
    cuts = statistics.quantiles(waits, n=100)
    return {
        "p50": round(cuts[49], 1),
        "p99": round(cuts[98], 1),
        "flow_per_second": round(len(waits) / seconds),
        "sequence": _settled_seq(),
    }
