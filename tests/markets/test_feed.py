"""The feed: messages after the commit, and a sweeper for those that were lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models.members import Member
from exchange.lib import bus
from markets import control, feed
from markets.models import Order
from tests.makers import fund
from tests.markets.desk import NOW, Desk, message


class Sent:
    """Stands in the bus's place and remembers what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.out = False
        self.waiting: int | None = 0
        monkeypatch.setattr(bus, "driver", lambda: self)

    def send(self, queue: str, bodies: list[bytes]) -> None:
        self.bodies += [(queue, body) for body in bodies]

    def announce(self, topic: str, body: bytes) -> None:
        assert topic == "balances", "intake announces nothing"

    def is_out(self) -> bool:
        return self.out

    def backlog(self, queue: str) -> int | None:
        return self.waiting

    def messages(self) -> list[feed.Message | feed.Unreadable]:
        found = [feed.read(body) for _, body in self.bodies]
        self.bodies.clear()
        return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


@pytest.fixture
def order(bob: Member, sent: Sent) -> Order:
    fund(bob, "1000 cny")
    return Desk().buy(bob, "1", at="100")


def test_it_tells_the_markets_floor_of_each_order(order: Order, sent: Sent) -> None:
    assert [queue for queue, _ in sent.bodies] == ["pixiu.market.btccny"]
    assert sent.messages() == [message("place", order)]

    Desk().cancel(order)
    assert sent.messages() == [message("cancel", order)]

    halt = control.halt(market_id="btccny", by="operator:1", reason="x", now=NOW)
    assert sent.messages() == [feed.Message(kind="state", id=halt.pk)]


def test_it_tells_nothing_of_what_was_refused(bob: Member, sent: Sent) -> None:
    with pytest.raises(Exception, match="available"):
        Desk().buy(bob, "1", at="100")

    assert sent.messages() == []


@pytest.mark.promise("F-2", "F-14", "I-14")
def test_it_leaves_the_feeding_to_the_sweeper_while_the_bus_is_out(
    bob: Member, sent: Sent
) -> None:
    fund(bob, "1000 cny")
    sent.out = True

    order = Desk().buy(bob, "1", at="100")

    assert sent.messages() == []
    later = NOW + timedelta(seconds=10)
    assert feed.sweep("btccny", now=later, after_seconds=3) == 1
    assert sent.messages() == [message("place", order)]


def test_it_sweeps_only_what_has_waited_and_is_not_queued(
    order: Order, sent: Sent
) -> None:
    sent.bodies.clear()

    assert feed.sweep("btccny", now=NOW, after_seconds=3) == 0
    assert feed.sweep("btcusd", now=NOW + timedelta(hours=1), after_seconds=3) == 0
    sent.waiting = 7  # the floor is behind, and will come to it
    assert feed.sweep("btccny", now=NOW + timedelta(hours=1), after_seconds=3) == 0
    assert sent.messages() == []


@pytest.mark.promise("I-14")
def test_it_finds_all_that_waits_in_the_order_of_acceptance(
    alice: Member, bob: Member, sent: Sent
) -> None:
    desk = Desk()
    fund(alice, "10 btc")
    fund(bob, "1000 cny")
    resting = desk.sell(alice, "1", at="200")
    done = desk.sell(alice, "1", at="300")
    desk.run()
    desk.cancel(done)
    desk.run()
    desk.cancel(resting)
    pending = [desk.buy(bob, "1", at="100"), desk.sell(alice, "1", at="150")]
    halt = control.halt(market_id="btccny", by="operator:1", reason="x", now=NOW)

    found = feed.waiting("btccny")

    assert found == [
        feed.Message(kind="state", id=halt.pk),
        *[message("place", order) for order in pending],
        message("cancel", resting),
    ]
    assert feed.waiting("btccny", before=NOW) == []
    desk.run()
    assert feed.waiting("btccny") == []
