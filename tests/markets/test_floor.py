"""
The floor: what a message means is what the rows say. Duplicates, strangers, poison and
predecessors; halting and opening; a restart that forgets nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal

import psycopg2
import pytest
from django.db import connection

from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from markets import control, feed, orders, replay
from markets.feed import Message
from markets.floor import PASSING, MarketFloor
from markets.models import Command, Floor, Quarantined, Trade
from markets.queries import UnknownMarket
from markets.settlement import LostFloor
from tests import rows
from tests.makers import fund
from tests.markets.desk import NOW, Desk, fresh, message, purse, states

D = Decimal


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


@pytest.fixture
def funded(alice: Member, bob: Member) -> tuple[Member, Member]:
    for member in (alice, bob):
        fund(member, "10 btc", "10000 cny", "1000 usd")
    return alice, bob


Pair = tuple[Member, Member]


@pytest.mark.promise("I-9", "I-7")
def test_it_matches_in_the_order_of_acceptance(
    desk: Desk, funded: Pair, mallory: Member
) -> None:
    alice, bob = funded
    fund(mallory, "1 btc")
    first = desk.sell(alice, "1", at="100")
    second = desk.sell(mallory, "1", at="100")
    better = desk.sell(alice, "1", at="99")
    taker = desk.buy(bob, "2.5", at="100")

    (outcome,) = desk.run()

    assert states([first, second, better, taker]) == [
        *("filled", "open", "filled", "filled"),
    ]
    assert fresh(second).filled == D("0.5")
    assert [t.maker_order_id for t in Trade.objects.order_by("pk")] == [
        *(better.pk, first.pk, second.pk),
    ]
    assert (outcome.before, outcome.after) == (0, 4)
    assert list(
        Command.objects.order_by("seq").values_list("seq", "kind", "subject")
    ) == [
        (number, "place", order.pk)
        for number, order in enumerate([first, second, better, taker], 1)
    ]


# --- Cancels ------------------------------------------------------------------------


def test_it_cancels_what_rests(desk: Desk, funded: Pair) -> None:
    alice, _ = funded
    order = desk.sell(alice, "1", at="100")
    desk.run()
    desk.cancel(order)

    (outcome,) = desk.run()

    row = fresh(order)
    assert (row.state, row.closed_why, row.locked) == ("cancelled", "requested", 0)
    assert purse(alice, "btc") == (10, 0)
    assert outcome.levels == [("sell", D(100), D(0))]


@pytest.mark.promise("P-3", "P-16")
def test_it_cancels_before_the_order_was_seen(desk: Desk, funded: Pair) -> None:
    alice, bob = funded
    order = desk.sell(alice, "1", at="100")
    desk.cancel(order)
    desk.buy(bob, "1", at="100")

    (outcome,) = desk.run()

    assert fresh(order).state == "cancelled"
    assert Trade.objects.count() == 0
    assert outcome.after == 1  # the engine never heard of it
    assert purse(alice, "btc") == (10, 0)


@pytest.mark.promise("F-29", "I-5")
def test_it_lets_a_fill_win_over_a_later_cancel(desk: Desk, funded: Pair) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    desk.run()
    taker = desk.buy(bob, "1", at="100")
    desk.cancel(resting)
    loaded = desk.floor.engine

    # In one batch, the fill first.
    desk.run(message("place", taker), message("cancel", resting))

    assert states([resting, taker]) == ["filled", "filled"]
    assert purse(alice, "btc") == (9, 0)
    # Ordinary life: nothing is poisoned, and the book is not read again for it.
    assert not Quarantined.objects.exists()
    assert desk.floor.engine is loaded


@pytest.mark.promise("F-29", "I-5")
def test_it_lets_a_cancel_win_over_a_later_fill(desk: Desk, funded: Pair) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    desk.run()
    taker = desk.buy(bob, "1", at="100")
    desk.cancel(resting)

    desk.run(message("cancel", resting), message("place", taker))

    assert states([resting, taker]) == ["cancelled", "open"]
    assert purse(alice, "btc") == (10, 0)


# --- Messages that mean nothing -----------------------------------------------------


@pytest.mark.promise("F-16", "I-15")
def test_it_takes_five_deliveries_for_one(desk: Desk, funded: Pair) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    taker = desk.buy(bob, "0.4", at="100")
    desk.run(*[message("place", order) for order in (resting, taker)] * 5)
    desk.cancel(resting)
    desk.run(*[message("cancel", resting)] * 5)
    halt = control.halt(market_id="btccny", by="operator:1", reason="drill", now=NOW)
    stop = Message(kind="state", id=halt.pk)
    desk.run(*[stop] * 5)
    before = rows.dump()

    everything = [message("place", resting), message("cancel", resting), stop]
    for _ in range(5):
        desk.run(message("place", taker), *everything)
    desk.run(*everything * 5)

    assert rows.dump() == before
    assert Trade.objects.count() == 1


def test_it_ignores_what_is_not_its_markets(desk: Desk, funded: Pair) -> None:
    alice, _ = funded
    foreign = Desk("btcusd").sell(alice, "1", at="100")
    before = rows.dump()

    desk.run(
        message("place", foreign),
        message("cancel", foreign),
        Message(kind="place", id=10**9),
        Message(kind="cancel", id=10**9),
        Message(kind="state", id=10**9),
    )

    assert rows.dump() == before


UNREADABLE = [
    *(b"", b"{", b"null", b"[]", b"7", b'"place"', b"\xff\xfe", b"\0", b"{}" * 5000),
    *(b'{"kind":"place"}', b'{"kind":"eat","id":1,"v":1}', b'{"id":1,"v":1}'),
    b'{"kind":"place","id":"1","v":1}',
    b'{"kind":"place","id":1.5,"v":1}',
    b'{"kind":"place","id":0,"v":1}',
    b'{"kind":"place","id":-1,"v":1}',
    b'{"kind":"place","id":9223372036854775808,"v":1}',
    b'{"kind":"place","id":1,"v":2}',
    b'{"kind":"place","id":1,"v":1,"price":"1"}',
    b'{"kind":"place","id":1e400,"v":1}',
]


@pytest.mark.promise("F-18", "R-22")
def test_it_sets_aside_what_nobody_can_read_and_goes_on(
    desk: Desk, funded: Pair
) -> None:
    alice, _ = funded
    order = desk.sell(alice, "1", at="100")
    messages = [feed.read(body) for body in UNREADABLE]
    assert all(isinstance(each, feed.Unreadable) for each in messages)

    desk.floor.run([*messages, message("place", order), *messages], now=NOW)

    assert fresh(order).state == "open"
    payloads = {each.payload for each in Quarantined.objects.all()}
    assert '{"kind":"place","id":1,"v":2}' in payloads
    # Each is kept once, with an alarm, however often it comes.
    count = len(payloads)
    assert Quarantined.objects.count() == count == len(UNREADABLE)
    assert AuditRecord.objects.filter(is_alarm=True).count() == count


def test_it_reads_its_own_messages() -> None:
    for kind in ("place", "cancel", "state"):
        body = f'{{"kind":"{kind}","id":9223372036854775807,"v":1}}'.encode()
        assert isinstance(feed.read(body), Message)


# --- Poison -------------------------------------------------------------------------


@pytest.mark.promise("R-22", "F-18", "P-4")
def test_it_expels_the_one_command_that_cannot_be_settled(
    desk: Desk, funded: Pair
) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    poison = desk.buy(bob, "0.3", at="100")
    good = desk.buy(bob, "0.5", at="100", client_id="good")
    rows.write_as_owner(
        "ALTER TABLE markets_trade ADD CONSTRAINT poison"
        f" CHECK (taker_order_id <> {poison.pk})"
    )

    desk.run()

    assert states([resting, poison, good]) == ["open", "rejected", "filled"]
    assert fresh(poison).closed_why == "quarantined"
    assert purse(bob, "cny") == (9950, 0)
    (kept,) = Quarantined.objects.all()
    assert kept.payload == f"place {poison.pk}"
    assert "poison" in kept.why
    assert desk.market().state == "open"
    before = rows.dump()
    desk.run(message("place", poison))
    assert rows.dump() == before


@pytest.mark.promise("F-39")
@pytest.mark.broken_books
def test_it_halts_only_the_market_whose_books_are_broken(
    desk: Desk, funded: Pair
) -> None:
    alice, bob = funded
    other = Desk("btcusd")
    desk.sell(alice, "1", at="100")
    desk.run()
    doomed = desk.buy(bob, "0.5", at="100")
    fine = desk.buy(alice, "0.5", at="50")
    # Somebody takes what Bob's order has locked.
    rows.plant(
        "UPDATE wallets_balance SET locked = 0 FROM wallets_account AS a WHERE"
        f" a.id = account_id AND a.member_id = {bob.pk} AND a.currency_id = 'cny'"
    )

    outcomes = desk.run()

    market = desk.market()
    assert (market.state, market.halt_reason) == (
        "halted",
        "The books are being checked.",
    )
    assert "halted" in {outcome.became for outcome in outcomes}
    alarms = AuditRecord.objects.filter(is_alarm=True).values_list("action", flat=True)
    assert set(alarms) == {"quarantined", "halted"}
    # What came after it is given back, and the other market goes on.
    assert states([doomed, fine]) == ["pending", "cancelled"]
    elsewhere = other.buy(alice, "1", at="100")
    other.run()
    assert fresh(elsewhere).state == "open"
    assert other.market().state == "open"
    # Fed again and again, it wakes nobody again.
    before = rows.dump()
    desk.run()
    desk.run()
    assert rows.dump() == before


@pytest.mark.promise("P-4", "I-7")
@pytest.mark.broken_books
@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ("filled = 0.5", "0.5"),  # the row has less left than the engine
        ("amount = 2, locked = 2, locked_at_first = 2", "2"),  # the row has more
        ("state = 'cancelled', locked = 0", "0"),
    ],
)
def test_it_settles_nothing_when_the_engine_and_a_row_disagree(
    desk: Desk, funded: Pair, changes: str, left: str
) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    desk.run()
    rows.plant(
        f"UPDATE markets_order SET {changes} WHERE id = {resting.pk}",
        "UPDATE wallets_balance SET locked = 2 WHERE locked = 1",
    )
    taker = desk.buy(bob, "1", at="100")

    desk.run()

    assert Trade.objects.count() == 0
    assert fresh(taker).state == "rejected"
    # The book is read again, and is what the rows say.
    again = desk.buy(bob, "1", at="100")
    desk.run()
    assert fresh(again).filled == min(D(left), 1)


# --- Who owns the market ------------------------------------------------------------


@pytest.mark.promise("F-22")
def test_it_settles_nothing_for_a_floor_that_was_replaced(
    desk: Desk, funded: Pair
) -> None:
    alice, _ = funded
    stale = desk.floor
    desk.sell(alice, "1", at="100")
    desk.run()
    desk.new_floor()
    order = desk.sell(alice, "1", at="101")
    before = rows.dump()

    for _ in range(2):  # with the book it has, and when it tries to read it again
        with pytest.raises(LostFloor):
            stale.run([message("place", order)], now=NOW)
        assert rows.dump() == before

    desk.run()
    assert fresh(order).state == "open"
    assert list(Command.objects.order_by("seq").values_list("seq", "epoch")) == [
        *((1, 1), (2, 2)),
    ]


@contextmanager
def a_stopped_floor(market_id: str) -> Iterator[psycopg2.extensions.connection]:
    """A process that was stopped in the middle of a settlement, holding its locks."""
    params = connection.get_connection_params()
    params.pop("cursor_factory", None)
    with closing(psycopg2.connect(**params)) as session:
        with session.cursor() as cursor:
            cursor.execute(
                "UPDATE markets_floor SET settled_seq = settled_seq"
                " WHERE market_id = %s"
                " RETURNING set_config('application_name', %s, true)",
                [market_id, f"floor:{market_id}"],
            )
        yield session


@pytest.mark.promise("F-22")
def test_it_ends_the_session_of_a_predecessor_that_holds_on(db: None) -> None:
    with a_stopped_floor("btccny") as ours, a_stopped_floor("btcusd") as another:
        MarketFloor("btccny").take_over()

        with pytest.raises(psycopg2.OperationalError):
            ours.commit()
        another.commit()  # another market's session is none of our business


def test_it_can_be_taken_over_by_many_at_once(db: None) -> None:
    epochs: list[int] = []
    start = threading.Barrier(4)

    def take_over() -> None:
        floor = MarketFloor("btccny")
        start.wait()
        try:
            floor.take_over()
            epochs.append(floor.epoch)
        except (LostFloor, *PASSING):
            epochs.append(0)  # another came after, and may have ended our session
        finally:
            connection.close()

    threads = [threading.Thread(target=take_over) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(epochs) == 4
    won = [epoch for epoch in epochs if epoch]
    assert len(set(won)) == len(won)
    assert Floor.objects.get(pk="btccny").epoch == 4


# --- Restarts -----------------------------------------------------------------------


@pytest.mark.promise("I-7", "F-9", "P-5", "R-18")
def test_it_reads_the_same_book_from_the_rows(
    desk: Desk, funded: Pair, mallory: Member
) -> None:
    alice, bob = funded
    fund(mallory, "10 btc")
    first = desk.sell(alice, "1", at="100")
    second = desk.sell(mallory, "1", at="100")
    desk.buy(bob, "0.5", at="100")
    desk.buy(bob, "1", at="99")
    gone = desk.buy(bob, "1", at="98")
    desk.run()
    desk.cancel(gone)
    desk.run()
    before = desk.floor.engine.state_hash()

    for _ in range(5):  # a restart in the middle of a restart is a restart
        desk.new_floor()
        assert desk.floor.engine.state_hash() == before

    taker = desk.buy(bob, "1", at="100")
    desk.run()
    assert states([first, second, taker]) == ["filled", "open", "filled"]
    assert replay.journals_unlike_trades() == []


def test_it_forgets_the_book_when_the_database_went_away(
    desk: Desk, funded: Pair
) -> None:
    alice, _ = funded
    order = desk.sell(alice, "1", at="100")
    connection.connection.close()

    with pytest.raises(Exception, match="closed"):
        desk.floor.run([message("place", order)], now=NOW)

    connection.close()
    desk.run()
    assert fresh(order).state == "open"


# --- Halting and opening ------------------------------------------------------------


@pytest.mark.promise("R-20", "R-21", "R-31")
def test_it_halts_and_opens_at_one_place_in_the_sequence(
    desk: Desk, funded: Pair
) -> None:
    alice, bob = funded
    resting = desk.sell(alice, "1", at="100")
    desk.run()
    before_it = desk.buy(bob, "0.1", at="100")
    halt = control.halt(market_id="btccny", by="operator:7", reason="a drill", now=NOW)
    after_it = desk.buy(bob, "0.1", at="100")
    stop = Message(kind="state", id=halt.pk)

    (outcome,) = desk.run(message("place", before_it), stop, message("place", after_it))

    assert outcome.became == "halted"
    assert states([before_it, after_it]) == ["filled", "cancelled"]
    assert fresh(after_it).closed_why == "market_halted"
    assert purse(bob, "cny") == (9990, 0)
    halt.refresh_from_db()
    assert halt.done_seq == 2
    assert desk.market().halt_reason == "a drill"
    deed = AuditRecord.objects.get(action="market_halted")
    assert (deed.actor, deed.facts) == ("operator:7", {"why": "a drill"})

    with pytest.raises(orders.MarketHalted):
        desk.buy(bob, "0.1", at="100")
    desk.cancel(resting)  # cancels still work
    desk.run()
    assert fresh(resting).state == "cancelled"

    control.open_market(market_id="btccny", by="operator:7", reason="done", now=NOW)
    desk.run()
    market = desk.market()
    assert (market.state, market.halt_reason) == ("open", "")
    again = desk.buy(bob, "0.1", at="100")
    desk.run()
    assert fresh(again).state == "open"


def test_it_gives_back_all_that_waited_when_it_halted(desk: Desk, funded: Pair) -> None:
    alice, bob = funded
    waiting = [desk.sell(alice, "1", at="100"), desk.buy(bob, "1", at="100")]
    control.halt(market_id="btccny", by="operator:7", reason="a drill", now=NOW)

    desk.run()

    assert states(waiting) == ["cancelled", "cancelled"]
    assert purse(alice, "btc") == (10, 0)
    assert purse(bob, "cny") == (10000, 0)


def test_it_wants_a_reason_to_halt(db: None) -> None:
    with pytest.raises(control.ReasonMissing):
        control.halt(market_id="btccny", by="operator:7", reason=" ", now=NOW)
    with pytest.raises(UnknownMarket):
        control.open_market(market_id="nope", by="operator:7", reason="x", now=NOW)
