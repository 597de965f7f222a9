"""The bus of production, over a real RabbitMQ that can be taken away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from exchange.lib import bus
from exchange.lib.bus_amqp import AmqpDriver, AmqpListener
from tests.faults.broker import Broker, broker
from tests.faults.programs import free_ports, until

pytestmark = pytest.mark.broker


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[Broker]:
    with broker(amqp_url) as found:
        yield found


def test_it_counts_what_the_broker_confirms(rabbit: Broker) -> None:
    for start in range(0, 300, 100):
        bus.send(rabbit.queue, [{"id": start + n} for n in range(100)])

    until(lambda: rabbit.driver.confirmed() == (300, 0))
    assert [message["id"] for message in rabbit.take(rabbit.queue)] == [*range(300)]


def test_it_sends_the_first_message_of_a_process(rabbit: Broker) -> None:
    assert not bus.is_out()

    bus.send(rabbit.queue, [{"id": 1}])

    until(lambda: rabbit.driver.confirmed() == (1, 0))


@pytest.mark.promise("R-40")
def test_it_counts_an_unroutable_message_as_refused(rabbit: Broker) -> None:
    bus.send(rabbit.queue, [{"id": 1}])
    until(lambda: rabbit.driver.confirmed() == (1, 0))
    rabbit.admin.queue_delete(rabbit.queue)

    bus.send(rabbit.queue, [{"id": 2}])

    until(lambda: rabbit.driver.confirmed() == (1, 1))
    bus.send(rabbit.queue, [{"id": 3}])  # by now it has made the queue anew
    until(lambda: rabbit.driver.confirmed() == (2, 1))
    assert rabbit.take(rabbit.queue) == [{"id": 3}]


def test_it_neither_waits_nor_raises_where_there_is_no_broker() -> None:
    (port,) = free_ports(1)
    driver = AmqpDriver(f"amqp://guest:guest@127.0.0.1:{port}/%2F")
    try:
        assert driver.is_out()
        started = time.monotonic()
        for _ in range(100):
            driver.send("work", [b"{}"])
            driver.announce("market", b"{}")

        assert time.monotonic() - started < 1
        assert driver.confirmed() == (0, 0)
        assert driver.backlog("work") is None
    finally:
        driver.close()


@pytest.mark.promise("F-14")
def test_it_knows_when_the_broker_is_out_and_finds_it_again(rabbit: Broker) -> None:
    bus.send(rabbit.queue, [{"id": 1}])
    until(lambda: rabbit.driver.confirmed() == (1, 0))

    rabbit.cable.cut()

    until(bus.is_out)
    bus.send(rabbit.queue, [{"id": 2}])  # lost, and found again in its row
    rabbit.cable.mend()
    until(lambda: not bus.is_out())
    bus.send(rabbit.queue, [{"id": 3}])
    until(lambda: rabbit.driver.confirmed() == (2, 0))
    assert rabbit.take(rabbit.queue) == [{"id": 1}, {"id": 3}]


def test_it_makes_durable_replicated_queues_with_one_active_consumer(
    rabbit: Broker,
) -> None:
    bus.send(rabbit.queue, [{"id": 1}])
    until(lambda: rabbit.driver.confirmed() == (1, 0))

    # The broker refuses to declare a queue with other properties than it has.
    assert rabbit.declare(rabbit.queue).message_count == 1


def test_it_counts_what_waits(rabbit: Broker) -> None:
    bus.send(rabbit.queue, [{"id": 1}, {"id": 2}])

    until(lambda: bus.backlog(rabbit.queue) == 2)


@pytest.mark.promise("F-14")
def test_it_brings_news_and_says_when_some_may_be_missing(rabbit: Broker) -> None:
    news: list[int] = []
    gaps: list[int] = []
    listener = bus.listener()
    assert isinstance(listener, AmqpListener)
    thread = threading.Thread(
        target=listener.run,
        args=(
            lambda body: news.append(bus.decode(body)["seq"]),
            lambda: gaps.append(len(news)),
        ),
    )
    thread.start()
    try:
        until(lambda: gaps == [0])
        bus.announce("market", {"seq": 1})
        until(lambda: news == [1])

        rabbit.cable.cut()
        until(bus.is_out)
        rabbit.cable.mend()

        until(lambda: gaps == [0, 1] and not bus.is_out())
        bus.announce("market", {"seq": 2})
        until(lambda: news == [1, 2])
    finally:
        listener.stop()
        thread.join()
