"""The floor of production: Celery workers on RabbitMQ, killed and cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pika.exceptions
import pytest
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib import bus
from exchange.lib.models import AuditRecord
from markets import feed, orders
from markets.models import Floor, Order, Quarantined
from markets.orders import Terms
from tests.faults.broker import Broker, broker
from tests.faults.programs import Running, floor_command, running, until
from tests.faults.trading import (
    MARKET,
    accepted_order,
    all_filled,
    place,
    place_pairs,
    trades_count,
)
from tests.makers import fund
from tests.markets.desk import list_market

pytestmark = [pytest.mark.broker, pytest.mark.django_db]

StartFloor = Callable[[str], AbstractContextManager[Running]]


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[Broker]:
    with broker(amqp_url) as found:
        yield found


@pytest.fixture
def start_floor(rabbit: Broker, database_url: str, tmp_path: Path) -> StartFloor:
    """Return what starts a floor in a process of its own; it ends with its block."""

    def start(name: str) -> AbstractContextManager[Running]:
        environment = rabbit.environment() | {"DATABASE_URL": database_url}
        return running(floor_command(name), tmp_path / f"{name}.log", **environment)

    return start


@pytest.fixture(autouse=True)
def _money(alice: Member, bob: Member) -> None:
    fund(alice, "1000 btc", "1000000 cny")
    fund(bob, "1000 btc", "100000000 cny")


def is_ready(floor: Running) -> bool:
    """A broker does not count consumers that wait their turn; but they say it."""
    return " ready." in floor.words()


def nothing_waits(rabbit: Broker) -> bool:
    """Once its consumers have gone, a queue holds again what they did not confirm."""
    return not rabbit.declare(rabbit.queue).message_count


@pytest.mark.promise("F-4", "I-14")
def test_it_settles_what_waits_and_leaves_the_jobs_alone(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    ids = place_pairs(alice, bob, 20)

    with start_floor("a") as floor:
        until(lambda: all_filled(ids), why=floor.words)

    assert accepted_order() == ids
    assert trades_count() == 20
    # It gave nothing back when it ended: all was acknowledged.
    assert nothing_waits(rabbit)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        rabbit.admin.queue_declare(f"{rabbit.namespace}.jobs", passive=True)


@pytest.mark.promise("F-4", "F-22")
def test_a_waiting_floor_takes_over_at_once_and_in_order(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    with start_floor("a") as active:
        until(lambda: is_ready(active), why=active.words)
        with start_floor("b") as waiting:
            until(lambda: is_ready(waiting), why=waiting.words)
            before = place_pairs(alice, bob, 5)
            until(lambda: all_filled(before), why=active.words)
            epoch = Floor.objects.get(pk=MARKET).epoch

            active.kill()
            after = place_pairs(alice, bob, 10)

            until(lambda: all_filled(after), seconds=20, why=waiting.words)
    assert Floor.objects.get(pk=MARKET).epoch == epoch + 1
    assert accepted_order() == before + after
    assert trades_count() == 15


@pytest.mark.promise("F-18")
def test_it_quarantines_what_nobody_can_read_and_goes_on(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    bad = [
        b"{not json",
        b'{"kind":"rob","id":1}',
        b'{"kind":"place","id":1,"v":9}',
        b'{"kind":"place","id":99999999999999999999999999}',
        b'{"kind":"place","id":"7"}',
        b"",
        b"\x00\xff\x00",
        b"9" * 100_000,
    ]
    first = place(alice, "sell")
    until(lambda: rabbit.driver.confirmed() == (1, 0))
    for body in bad:
        rabbit.publish(rabbit.queue, body)
    rabbit.publish(rabbit.queue, b"???", headers={"compression": "application/x-gzip"})
    rabbit.publish(rabbit.queue, b"text", content_encoding="utf-8")
    rabbit.publish(rabbit.queue, b'{"kind":"place","id":123456789}')  # of no order
    second = place(bob, "buy")

    with start_floor("a") as floor:
        until(lambda: all_filled([first, second]), why=floor.words)

    assert Quarantined.objects.filter(market_id=MARKET).count() == len(bad) + 2
    alarms = AuditRecord.objects.filter(is_alarm=True, action="quarantined")
    assert alarms.count() == len(bad) + 2
    assert nothing_waits(rabbit)


@pytest.mark.promise("F-16")
def test_it_does_once_what_arrives_five_times(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    ids = place_pairs(alice, bob, 3)
    rests = place(alice, "sell", 31_000)
    for _ in range(4):
        for id in [*ids, rests]:
            bus.send(rabbit.queue, [feed.Message(kind="place", id=id)])

    with start_floor("a") as floor:
        until(lambda: all_filled(ids), why=floor.words)
        until(lambda: Order.objects.get(pk=rests).state == "open", why=floor.words)

    assert trades_count() == 3
    assert accepted_order() == [*ids, rests]


@pytest.mark.promise("F-14", "F-15")
def test_orders_wait_while_the_broker_is_away_and_keep_their_order(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    with start_floor("a") as floor:
        before = place_pairs(alice, bob, 1)
        until(lambda: all_filled(before), why=floor.words)

        rabbit.cable.cut()
        until(bus.is_out)
        during = place_pairs(alice, bob, 5)
        assert Order.objects.filter(pk__in=during, state="pending").count() == 10
        rabbit.cable.mend()
        until(lambda: not bus.is_out())
        # Nobody swept yet: the next message alone brings them, and is not served first.
        after = place_pairs(alice, bob, 1)

        until(lambda: all_filled(during + after), why=floor.words)
    assert accepted_order() == before + during + after


@pytest.mark.promise("F-14")
def test_orders_placed_before_there_is_a_broker_are_swept_to_the_floor(
    rabbit: Broker, start_floor: StartFloor, alice: Member, bob: Member
) -> None:
    rabbit.cable.cut()
    assert bus.is_out()
    ids = place_pairs(alice, bob, 5)
    with start_floor("a") as floor:
        rabbit.cable.mend()
        until(lambda: not bus.is_out())

        # The job that Celery's clock starts every other second.
        later = timezone.now() + timedelta(seconds=60)
        swept = feed.sweep(MARKET, now=later, after_seconds=1)

        until(lambda: all_filled(ids), why=floor.words)
    assert swept == 10
    assert accepted_order() == ids


def test_it_serves_a_market_that_was_added_while_it_runs(
    start_floor: StartFloor, alice: Member
) -> None:
    with start_floor("a") as floor:
        until(lambda: is_ready(floor), why=floor.words)
        market = list_market(("foo", 4), ("bar", 8), tick="0.01", lot="0.01")
        fund(alice, "10 foo")

        terms = Terms("sell", Order.Kind.LIMIT, Decimal(5), Decimal(1))
        order = orders.place(
            member=alice,
            market_id=market.pk,
            terms=terms,
            source="api",
            now=timezone.now(),
        )

        until(lambda: Order.objects.get(pk=order.pk).state == "open", why=floor.words)
