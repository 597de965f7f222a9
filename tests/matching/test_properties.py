"""What holds for any stream of commands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import invariants
from matching.commands import Cancel, Command, Place
from matching.engine import Engine
from matching.events import (
    REJECTED,
    Cancelled,
    Event,
    Rejected,
    Rested,
    Traded,
    named,
)
from tests.matching.naive import NaiveBook
from tests.matching.streams import streams

MIRROR = 200  # a price p is seen as MIRROR - p

few = settings(max_examples=40, deadline=None)


@few
@given(streams)
def test_it_does_what_the_naive_book_does(commands: list[Command]) -> None:
    engine, judge = Engine("test"), NaiveBook()

    for command in commands:
        events = engine.submit(command)

        assert events == judge.submit(command)
        assert engine.state_hash() == judge.state_hash()
        invariants.check(engine)


@few
@given(streams)
def test_it_takes_a_batch_like_its_commands_one_by_one(commands: list[Command]) -> None:
    singly, batched = Engine("test"), Engine("test")

    one_by_one = [event for command in commands for event in singly.submit(command)]
    together = batched.submit_batch(commands)

    assert together == one_by_one
    assert batched.state_hash() == singly.state_hash()


@pytest.mark.promise("I-10")
@few
@given(streams, streams)
def test_it_goes_on_from_a_dump_as_if_nothing_had_happened(
    before: list[Command], after: list[Command]
) -> None:
    engine, restored = Engine("test"), Engine("test")
    engine.submit_batch(before)

    restored.restore(*engine.dump())

    assert restored.state_hash() == engine.state_hash()
    assert restored.submit_batch(after) == engine.submit_batch(after)
    assert restored.state_hash() == engine.state_hash()


@pytest.mark.promise("I-9")
@few
@given(streams)
def test_it_numbers_accepted_commands_without_gaps(commands: list[Command]) -> None:
    engine = Engine("test", seq=7)

    for command in commands:
        seq, state = engine.seq, engine.state_hash()
        events = engine.submit(command)

        if events[0][0] == REJECTED:
            assert len(events) == 1
            assert (engine.seq, engine.state_hash()) == (seq, state)
        else:
            assert engine.seq == seq + 1
            assert {event[1] for event in events} == {seq + 1}
            trades = [e for e in map(named, events) if isinstance(e, Traded)]
            assert [trade.n for trade in trades] == list(range(len(events) - 1))


@pytest.mark.promise("I-8", "I-6")
@few
@given(streams)
def test_it_never_trades_beyond_a_limit_or_stays_crossed(
    commands: list[Command],
) -> None:
    engine = Engine("test")

    for command in commands:
        for event in map(named, engine.submit(command)):
            if isinstance(event, Traded) and isinstance(command, Place):
                sign = 1 if event.taker_side == 0 else -1
                assert event.price * sign <= command.limit * sign
        bid, ask = engine.best(0), engine.best(1)
        assert bid is None or ask is None or bid < ask


@few
@given(streams)
def test_it_treats_both_sides_alike(commands: list[Command]) -> None:
    # A budget counts money, which has no mirror image.
    commands = [c for c in commands if isinstance(c, Cancel) or c.budget is None]
    engine, mirrored = Engine("test"), Engine("test")

    events = engine.submit_batch(commands)
    reflections = mirrored.submit_batch([_mirrored(command) for command in commands])

    assert reflections == [_reflected(event) for event in events]


@few
@given(streams, st.sampled_from([0, 1]), st.integers(90, 110))
def test_it_shows_levels_that_add_up(
    commands: list[Command], side: int, price: int
) -> None:
    engine, judge = Engine("test"), NaiveBook()
    engine.submit_batch(commands)
    for command in commands:
        judge.submit(command)

    levels = judge.levels(side)

    assert engine.levels(side) == levels
    assert engine.levels(side, 2) == levels[:2]
    assert engine.levels(side, 0) == []
    assert engine.best(side) == (levels[0][0] if levels else None)
    assert engine.lots_at(side, price) == {p: lots for p, lots, _ in levels}.get(
        price, 0
    )


def _mirrored(command: Command) -> Command:
    if isinstance(command, Cancel):
        return command
    return Place(
        order_id=command.order_id,
        member_id=command.member_id,
        side=1 - command.side,
        limit=MIRROR - command.limit if command.limit > 0 else command.limit,
        lots=command.lots,
        rests=command.rests,
        client_id=command.client_id,
    )


def _reflected(event: Event) -> tuple[object, ...]:
    match named(event):
        case Traded() as trade:
            return trade._replace(
                taker_side=1 - trade.taker_side, price=MIRROR - trade.price
            )
        case (Rested() | Cancelled()) as end:
            return end._replace(side=1 - end.side, price=MIRROR - end.price)
        case Rejected() as rejected:
            return rejected
        case filled:
            return filled
