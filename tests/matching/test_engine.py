"""What the engine refuses, restores, forgets and withstands."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from matching import invariants
from matching.book import BookBroken, Level, Order
from matching.commands import BUY, SELL, Cancel, Place
from matching.engine import Engine
from matching.events import FILLED, TRADED, Cancelled, Reason, Rejected, Traded, named

ALICE, BOB = 1, 2
LARGEST = (1 << 63) - 1

# A stream and its events, from the same draws in any process.
REPLAY = """
import random
from hashlib import sha256
from matching.commands import Cancel, Place
from matching.engine import Engine
draw = random.Random(7)
engine = Engine("test")
events = engine.submit_batch(
    Place(n, draw.randint(1, 9), draw.getrandbits(1), draw.randint(90, 110),
          draw.randint(1, 9), client_id=str(n))
    if draw.random() < 0.7 else Cancel(draw.randint(1, n))
    for n in range(1, 3000)
)
print(engine.state_hash(), sha256(repr(events).encode()).hexdigest())
"""


@pytest.fixture
def engine() -> Engine:
    return Engine("btccny")


def sound(**changes: Any) -> Place:
    return replace(Place(9, BOB, BUY, 100, 5), **changes)


@pytest.mark.parametrize("name", ["order_id", "member_id", "side", "limit", "lots"])
@pytest.mark.parametrize(
    "number",
    [1.0, Decimal(1), "1", None, True, [1], float("nan"), float("inf")],
    ids=repr,
)
def test_it_rejects_what_is_no_whole_number(
    engine: Engine, name: str, number: object
) -> None:
    events = engine.submit(sound(**{name: number}, client_id="mine"))

    (event,) = map(named, events)
    assert isinstance(event, Rejected)
    assert (event.reason, event.client_id) == (Reason.NOT_A_WHOLE_NUMBER, "mine")
    assert engine.dump() == (0, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": 0},
        {"order_id": -1},
        {"member_id": 0},
        {"side": 2},
        {"side": -1},
        {"limit": 0},
        {"limit": -100},
        {"lots": 0},
        {"lots": -5},
        {"limit": LARGEST + 1},
        {"lots": LARGEST + 1},
        {"limit": 1 << 32, "lots": 1 << 31},
        {"limit": 10**10000},
        {"budget": 0, "rests": False},
        {"budget": -1, "rests": False},
        {"budget": LARGEST + 1, "rests": False},
        {"budget": 0, "rests": False, "lots": 0},
    ],
    ids=",".join,
)
def test_it_rejects_what_is_out_of_range(
    engine: Engine, changes: dict[str, Any]
) -> None:
    events = engine.submit(sound(**changes))

    assert [event[2] for event in events] == [Reason.OUT_OF_RANGE]
    assert engine.dump() == (0, [])


@pytest.mark.parametrize(
    "changes", [{"rests": True}, {"side": SELL, "rests": False}], ids=["limit", "ask"]
)
def test_it_rejects_a_budget_of_any_but_a_market_buy(
    engine: Engine, changes: dict[str, Any]
) -> None:
    events = engine.submit(sound(budget=10, **changes))

    assert [event[2] for event in events] == [Reason.BUDGET_MISPLACED]


def test_it_rejects_a_budget_that_is_no_whole_number(engine: Engine) -> None:
    events = engine.submit(sound(budget=10.5, rests=False))

    assert [event[2] for event in events] == [Reason.NOT_A_WHOLE_NUMBER]


def test_it_takes_the_largest_order_there_can_be(engine: Engine) -> None:
    engine.submit(sound(order_id=LARGEST, side=SELL, limit=1, lots=LARGEST))

    events = engine.submit(sound(member_id=ALICE, limit=1, lots=LARGEST))

    assert [event[0] for event in events] == [TRADED, FILLED]
    assert named(events[0]).lots == LARGEST  # type: ignore[union-attr]


@pytest.mark.promise("F-16")
def test_it_rejects_an_order_that_rests_already(engine: Engine) -> None:
    engine.submit(sound())
    state = engine.state_hash()

    events = engine.submit(sound(side=SELL, member_id=ALICE))

    assert [event[2] for event in events] == [Reason.DUPLICATE_ORDER]
    assert engine.state_hash() == state


@pytest.mark.promise("F-16")
def test_it_rejects_the_second_cancel(engine: Engine) -> None:
    engine.submit(sound())
    engine.submit(Cancel(9))

    events = engine.submit(Cancel(9))

    assert [event[1:3] for event in events] == [(9, Reason.UNKNOWN_ORDER)]
    assert engine.seq == 2


def test_it_refuses_what_is_no_command(engine: Engine) -> None:
    with pytest.raises(TypeError, match="not a command"):
        engine.submit("buy")  # type: ignore[arg-type]


def test_it_hands_back_the_client_id(engine: Engine) -> None:
    engine.submit(sound(side=SELL, member_id=ALICE, order_id=1, client_id="ask"))

    events = engine.submit(sound(lots=7, client_id="bid"))

    assert events[-1][-1] == "bid"


def test_it_says_how_much_of_an_order_is_left(engine: Engine) -> None:
    engine.submit(sound(side=SELL, member_id=ALICE, order_id=1))

    engine.submit(sound(lots=2))

    assert engine.order(1) == 3
    assert engine.order(9) is None


def test_it_sweeps_a_hundred_thousand_makers_with_one_order(engine: Engine) -> None:
    count = 100_000
    engine.submit_batch(
        Place(n, ALICE, SELL, 100 + n % 1000, 1) for n in range(1, count + 1)
    )

    events = engine.submit(Place(count + 1, BOB, BUY, 2000, count))

    assert len(events) == count + 1
    assert events[-1][0] == FILLED
    assert engine.dump() == (count + 1, [])
    invariants.check(engine)


def test_it_cancels_a_fat_level_in_any_order(engine: Engine) -> None:
    ids = list(range(1, 10_001))
    engine.submit_batch(Place(n, ALICE, SELL, 100, n) for n in ids)
    shuffled = random.Random(1).sample(ids, len(ids))
    gone, kept = shuffled[:5000], sorted(shuffled[5000:])

    events = engine.submit_batch(Cancel(n) for n in gone)

    assert [event[2] for event in events] == gone
    assert engine.levels(SELL) == [(100, sum(kept), 5000)]
    invariants.check(engine)
    sweep = map(named, engine.submit(Place(20_000, BOB, BUY, 100, sum(kept))))
    assert [e.maker_order_id for e in sweep if isinstance(e, Traded)] == kept


def test_it_frees_what_left_the_book_without_the_collector(engine: Engine) -> None:
    gc.collect()
    before = _living()
    gc.disable()
    try:
        _trade_and_cancel_everything(engine)

        left = _living()
    finally:
        gc.enable()

    assert engine.dump()[1] == []
    assert left == before


def test_it_frees_a_book_that_is_cleared_without_the_collector(engine: Engine) -> None:
    gc.collect()
    before = _living()
    gc.disable()
    try:
        engine.submit_batch(Place(n, ALICE, SELL, n % 7 + 1, 1) for n in range(1, 99))
        engine.clear()

        left = _living()
    finally:
        gc.enable()

    assert left == before


@pytest.mark.parametrize(
    "orders",
    [
        [(1, ALICE, SELL, 100, 5), (2, BOB, BUY, 100, 5)],
        [(1, ALICE, SELL, 100, 5), (1, ALICE, SELL, 101, 5)],
        [(1, ALICE, SELL, 100, 0)],
        [(1, ALICE, SELL, 100, 5), (2, ALICE, BUY, 101, 5)],
    ],
    ids=["crossed", "repeated", "empty", "crossed_with_own"],
)
def test_it_refuses_to_restore_what_could_not_have_rested(
    engine: Engine, orders: list[tuple[int, int, int, int, int]]
) -> None:
    with pytest.raises(BookBroken, match="cannot rest"):
        engine.restore(10, orders)

    assert engine.dump()[1] == []


def test_it_forgets_the_old_book_when_it_restores(engine: Engine) -> None:
    engine.submit(sound())

    engine.restore(41, [(3, ALICE, SELL, 70, 5), (4, ALICE, SELL, 60, 5)])

    assert engine.order(9) is None
    assert engine.levels(SELL) == [(60, 5, 1), (70, 5, 1)]
    events = engine.submit(Cancel(3))
    assert events == [
        Cancelled(3, 42, 3, ALICE, SELL, 70, 5, Reason.REQUESTED, None),
    ]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda book: book.orders.popitem(),
        lambda book: book.bids.reverse(),
        lambda book: book.bids.pop(),
        lambda book: setattr(book.levels[100], "lots", 1),
        lambda book: setattr(book.levels[100], "last", None),
        lambda book: setattr(book.levels[100].first, "prev", book.levels[100].first),
        lambda book: setattr(book.levels[100].first, "lots", 0),
        lambda book: setattr(book.levels[100].first, "next", book.levels[100].first),
        lambda book: book.asks.append(-99),
    ],
)
def test_it_notices_a_broken_book(engine: Engine, break_it: Any) -> None:
    engine.submit_batch(
        [sound(order_id=1), sound(order_id=2), sound(order_id=3, limit=99)]
    )
    invariants.check(engine)

    break_it(engine._book)

    with pytest.raises(BookBroken):
        invariants.check(engine)


@pytest.mark.promise("I-10")
def test_it_does_the_same_in_every_process() -> None:
    told = {_replayed(hash_seed) for hash_seed in ("0", "1", "4711")}

    assert len(told) == 1


def _replayed(hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", REPLAY],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _living() -> int:
    return sum(type(thing) in (Order, Level) for thing in gc.get_objects())


def _trade_and_cancel_everything(engine: Engine) -> None:
    """Orders leave from the front, the middle and the end, by trade and by cancel."""
    engine.submit_batch(Place(n, ALICE, SELL, 100 + n % 5, 2) for n in range(1, 101))
    engine.submit_batch(Cancel(n) for n in (50, 1, 100, 51, 49))
    engine.submit(Place(200, BOB, BUY, 102, 75))
    engine.submit(Place(201, BOB, BUY, 104, 1000))
    engine.submit(Cancel(201))
