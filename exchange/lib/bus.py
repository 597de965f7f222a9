"""
The bus: work that must arrive, and news that may be missed.

`send` puts a message on a work queue; `announce` tells whoever listens. Neither is the
truth: the rows are. A lost work message is found by the sweeper, lost news by the gap
in its numbers. Both are called after commit (`transactions.after_commit`).

Two drivers behind one interface: RabbitMQ through pika (`bus_amqp`) and PostgreSQL's
LISTEN/NOTIFY (`bus_notify`), chosen by AMQP_URL. Topic and queue names live here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string


def news() -> str:
    """Return the name all announcements go by: an AMQP exchange, a NOTIFY channel."""
    return f"{settings.BUS_NAMESPACE}.news"


def work_queue(market_id: str) -> str:
    """Return the name of a market's queue of commands."""
    return f"{settings.BUS_NAMESPACE}.market.{market_id}"


class Driver(Protocol):
    """What a bus can do. Bodies are JSON."""

    def send(self, queue: str, bodies: list[bytes]) -> None:
        """Hand work over; returns before it is confirmed. May lose it, never raises."""

    def announce(self, topic: str, body: bytes) -> None:
        """Tell all listeners. May lose it, never raises."""

    def is_out(self) -> bool:
        """Say whether the bus is known to be down at the moment."""

    def backlog(self, queue: str) -> int | None:
        """Return how many messages wait in a queue; None when nobody can say."""


class Listener(Protocol):
    """A subscription to the news, run by the caller's thread until told to stop."""

    def run(self, on_news: Callable[[bytes], None], on_gap: Callable[[], None]) -> None:
        """Call `on_news` for each message, `on_gap` when some may have been missed."""

    def stop(self) -> None:
        """Make `run` return soon; may be called from any thread."""


def send(queue: str, messages: list[Any]) -> None:
    """Put JSON-able messages on a work queue, in order."""
    if messages:
        driver().send(queue, [encode(message) for message in messages])


def announce(topic: str, event: Any) -> None:
    """Tell all listeners a JSON-able event."""
    driver().announce(topic, encode(event))


def is_out() -> bool:
    """Say whether the bus is known to be down: then only the sweeper sends work."""
    return driver().is_out()


def backlog(queue: str) -> int | None:
    """Return how many messages wait in a queue; None when nobody can say."""
    return driver().backlog(queue)


def listener() -> Listener:
    """Return a new subscription to all news."""
    found: Listener = _of_the_driver("Listener")
    return found


@functools.cache
def driver() -> Driver:
    """Return this process's driver."""
    found: Driver = _of_the_driver("Driver")
    return found


def _of_the_driver(name: str) -> Any:
    if settings.AMQP_URL:
        return import_string(f"exchange.lib.bus_amqp.Amqp{name}")(settings.AMQP_URL)
    return import_string(f"exchange.lib.bus_notify.Notify{name}")()


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
