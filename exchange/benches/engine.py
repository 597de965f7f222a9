"""
The engine bench: commands a second, of one processor's time, in plain Python.

The lively market of `workload.main` goes through the engine in batches, with sequence
numbers, events and the check for self-trades on; nothing is compiled and the time is
the processor's, so that a busy machine does not count. The trades are then compared
with those of the slow book that drew the workload: a fast engine that is wrong is not
ok. More passes show how the rate falls with the depth of the book, what an order at
rest weighs, and the longest a single command takes.

The yardstick is the time of one turn of an almost empty loop: it says how fast this
machine and this interpreter are, so that figures of two machines can be compared.
"""

from __future__ import annotations

import gc
import platform
import resource
import statistics
import time
import tracemalloc
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from exchange.benches import workload
from exchange.benches.workload import CANCEL, MARKET, Row, Tally
from matching.commands import BUY, SELL, Cancel, Command, Place
from matching.engine import Engine
from matching.events import TRADED, Event

RATE_WANTED = 700_000
BATCH = 500
DEPTHS = (1_000, 10_000, 100_000, 1_000_000)
DEPTH_COMMANDS = 200_000
HIGHEST_COLLAR = 1 << 30  # beyond every price of the workloads


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--runs", type=int, default=5, help="passes over the workload")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the book of a million orders"
    )


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Measure the engine; `ok` if it is right and fast enough."""
    print("Drawing 1,000,000 commands…", flush=True)
    drawn = workload.main()
    asked = commands(drawn.rows)
    expected = drawn.tally
    del drawn

    with _no_collector():
        yardstick = _yardstick_ns()
        rates = [_rate(asked) for _ in range(options["runs"])]
        rate = round(statistics.median(rates))
        tally = tally_of(asked)
    agrees = tally == expected
    print(f"main: {rate:,} commands/s, {tally.trades:,} trades, right: {agrees}")
    print(f"  runs {', '.join(f'{one:,.0f}' for one in sorted(rates))}")
    print(f"  yardstick {yardstick:.1f} ns, {platform.python_version()}")
    peak_main_mb = _peak_mb()
    del asked

    depths = DEPTHS[:-1] if options["quick"] else DEPTHS
    curve = {resting: _at_depth(resting) for resting in depths}
    weight = _bytes_per_order()
    print(f"an order at rest weighs {weight} bytes with its share of the book")
    return {
        "bench": "engine",
        "rate": rate,
        "unit": "commands/s of processor time",
        "ok": agrees and rate >= RATE_WANTED,
        "rate_wanted": RATE_WANTED,
        "runs": [round(one) for one in rates],
        "agrees": agrees,
        "trades": tally.trades,
        "volume": tally.volume,
        "notional": tally.notional,
        "hash": tally.hash,
        "yardstick_ns": round(yardstick, 1),
        "python": platform.python_version(),
        "peak_mb_with_workload": peak_main_mb,
        "peak_mb": _peak_mb(),
        "bytes_per_order": weight,
        "depths": curve,
    }


def commands(rows: Iterable[Row]) -> list[Command]:
    """Turn rows into commands. Every order has a member of its own."""
    return [_command(row) for row in rows]


def tally_of(asked: Sequence[Command]) -> Tally:
    """Submit everything and add up the trades."""
    engine = Engine("bench")
    tally = Tally()
    for batch in _batches(asked):
        _add(tally, engine.submit_batch(batch))
    engine.clear()
    return tally


def _command(row: Row) -> Command:
    if row.op == CANCEL:
        return Cancel(row.order_id)
    if row.op != MARKET:
        return Place(row.order_id, row.order_id, row.side, row.price, row.lots)
    return Place(
        row.order_id,
        row.order_id,
        row.side,
        limit=HIGHEST_COLLAR if row.side == BUY else 1,
        lots=row.lots,
        budget=None if row.side == SELL else row.cost or 1,  # it must have some money
        rests=False,
    )


def _add(tally: Tally, events: Iterable[Event]) -> None:
    for event in events:
        if event[0] == TRADED:
            _, _, _, maker_id, _, taker_id, _, _, price, lots, _ = event
            tally.add(maker_id=maker_id, taker_id=taker_id, price=price, lots=lots)


def _rate(asked: Sequence[Command], engine: Engine | None = None) -> float:
    """Commands a second of processor time; the events are dropped off the clock."""
    engine = engine or Engine("bench")
    spent_ns = 0
    for batch in _batches(asked):
        began_ns = time.process_time_ns()
        events = engine.submit_batch(batch)
        spent_ns += time.process_time_ns() - began_ns
        del events
    engine.clear()
    return len(asked) / spent_ns * 1e9


def _at_depth(resting: int) -> dict[str, float]:
    """Measure with so many orders at rest: the rate and the longest pauses."""
    drawn = workload.depth(resting, DEPTH_COMMANDS)
    asked = commands(drawn.rows)
    preload = drawn.preload
    del drawn
    gc.collect()
    with _no_collector():
        engine = Engine("bench")
        for batch in _batches(asked[:preload]):
            engine.submit_batch(batch)
        half = (preload + len(asked)) // 2
        pauses_ns = sorted(_pauses_ns(engine, asked[preload:half]))
        rate = _rate(asked[half:], engine)
    found = {
        "rate": round(rate),
        "pause_ms_p999": round(pauses_ns[-len(pauses_ns) // 1000] / 1e6, 3),
        "pause_ms_max": round(pauses_ns[-1] / 1e6, 3),
    }
    print(f"{resting:>9,} orders at rest: {found}", flush=True)
    return found


def _pauses_ns(engine: Engine, asked: Sequence[Command]) -> Iterator[int]:
    """The time each command took, in processor time of this thread."""
    for command in asked:
        began_ns = time.thread_time_ns()
        engine.submit(command)
        yield time.thread_time_ns() - began_ns


def _batches(asked: Sequence[Command]) -> Iterator[Sequence[Command]]:
    for start in range(0, len(asked), BATCH):
        yield asked[start : start + BATCH]


@contextmanager
def _no_collector() -> Iterator[None]:
    """As a floor runs: see Note [No collector] in matching/engine.py."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _yardstick_ns() -> float:
    turns = 1_000_000
    began_ns = time.process_time_ns()
    total = 0
    for number in range(turns):
        total += number & 7
    return (time.process_time_ns() - began_ns) / turns


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _bytes_per_order(resting: int = 100_000) -> int:
    """What the book takes for each order, the numbers in the command not counted."""
    asked = commands(workload.depth(resting, 0).rows)
    tracemalloc.start()
    engine = Engine("bench")
    for batch in _batches(asked):
        engine.submit_batch(batch)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    engine.clear()
    return taken // resting
