"""
The floor inside a Celery worker: raw messages from the markets' queues, in batches.

Start a worker with `--floor`. Each market's queue has one active consumer; a second
worker waits and takes over when the first is gone. A market's book is loaded at the
first message, because a waiting worker must not take a market from the active one.

A batch is what has already arrived when the event loop comes round: nobody sleeps to
fill one. It is acknowledged after its transaction committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import click
from celery import Celery, bootsteps
from django.conf import settings
from django.db import connection
from django.utils import timezone
from kombu import Consumer, Queue
from kombu.message import Message as Delivery

from exchange.lib import bus
from exchange.lib.bus_amqp import WORK_QUEUE_ARGUMENTS
from markets import feed
from markets.floor import PASSING
from markets.floor_host import Host, Verdict
from markets.queries import all_market_ids

log = logging.getLogger("markets.floor")

RETRY_SECONDS = 0.5
TURN_SECONDS = 1.0  # then heartbeats and signals are looked at
LOOK_SECONDS = 5  # how soon a market that was just added is served
PREFETCH_MIN = 100  # the broker writes acknowledgements down before it sends more


class FloorStep(bootsteps.ConsumerStep):
    """Consumes the markets' queues, and nothing else: jobs have other workers."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, floor: bool = False, **options: Any) -> None:
        self.enabled = bool(floor)
        self._parent = parent
        self._connection: Any = None
        self._host: Host | None = None
        self._lines: list[_Line] = []
        self._is_scheduled = False
        self._is_looking = False
        if self.enabled:
            queues = parent.app.amqp.queues
            queues.deselect(list(queues.consume_from))
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:
        return self.enabled

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called at every (re)connect: what was not acknowledged comes again."""
        if self._host is None:
            self._host = Host()
        self._connection = channel.connection.client
        self._lines = []
        if not self._is_looking:
            self._is_looking = True
            self._parent.hub.call_repeatedly(LOOK_SECONDS, self._look)
        return self._open_lines(self._host)

    def _open_lines(self, host: Host) -> list[Consumer]:
        """Open a line for every market that has none yet; return their consumers."""
        served = {line.market_id for line in self._lines}
        fresh = [
            _Line(market_id, self._connection.channel(), host, self._schedule)
            for market_id in _market_ids()
            if market_id not in served
        ]
        self._lines += fresh
        return [line.consumer for line in fresh]

    def _look(self) -> None:
        """Serve the markets that an operator has added since."""
        if self._host is None:
            return
        try:
            fresh = self._open_lines(self._host)
        except PASSING as error:
            log.warning("cannot look for new markets: %s", error)
            connection.close()
            return
        for consumer in fresh:
            consumer.consume()
        self.consumers = [*(self.consumers or []), *fresh]

    def _schedule(self, seconds: float = 0) -> None:
        if seconds:
            self._parent.hub.call_later(seconds, self._work)
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._parent.hub.call_soon(self._work)

    def _work(self) -> None:
        """
        Run batches, market by market, until nothing waits or the event loop must have
        its turn: between two turns it may rest, although something waits.
        """
        self._is_scheduled = False
        ends_at = time.monotonic() + TURN_SECONDS
        self._drain()
        while sum(line.run_batch() for line in self._lines):
            if time.monotonic() > ends_at:
                self._schedule()
                return
            self._drain()

    def _drain(self) -> None:
        """
        Take what has arrived already. Left alone, the event loop would bring one
        message a turn, and every batch would be of one.
        """
        try:
            while not any(line.is_full() for line in self._lines):
                self._connection.drain_events(timeout=0)
        except (TimeoutError, BlockingIOError):
            return


class _Line:
    """
    One market's queue. It has a channel to itself, so that acknowledging the last
    message of a batch acknowledges the batch and nothing else.
    """

    def __init__(
        self, market_id: str, channel: Any, host: Host, schedule: Callable[..., None]
    ) -> None:
        self.market_id = market_id
        self._host = host
        self._schedule = schedule
        self._waiting: list[Delivery] = []
        self._retry_at = 0.0
        queue = Queue(
            bus.work_queue(market_id),
            durable=True,
            queue_arguments=WORK_QUEUE_ARGUMENTS,
        )
        self.consumer = Consumer(
            channel,
            queues=[queue],
            on_message=self._arrived,
            on_decode_error=lambda delivery, _: self._arrived(delivery),
            # The next batch travels while this one is settled.
            prefetch_count=max(2 * settings.FEED_BATCH, PREFETCH_MIN),
        )

    def is_full(self) -> bool:
        """Say whether a whole batch waits."""
        return len(self._waiting) >= settings.FEED_BATCH

    def run_batch(self) -> bool:
        """Run what waits, up to a batch; acknowledge it once it is settled."""
        batch = self._waiting[: settings.FEED_BATCH]
        if not batch or time.monotonic() < self._retry_at:
            return False
        messages = [feed.read(_body(delivery)) for delivery in batch]
        verdict = self._host.handle(self.market_id, messages, now=timezone.now())
        if verdict is Verdict.LATER:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._schedule(RETRY_SECONDS)
            return False
        del self._waiting[: len(batch)]
        if verdict is Verdict.DONE:
            batch[-1].ack(multiple=True)
        else:
            for delivery in batch:
                delivery.requeue()
        return True

    def _arrived(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._schedule()


def _market_ids() -> list[str]:
    """Read the markets' names, on a new session where the one at hand is dead."""
    try:
        return all_market_ids()
    except PASSING:
        connection.close()
        return all_market_ids()


def _body(delivery: Delivery) -> bytes:
    """Return what was sent; a header of the sender's may have made a text of it."""
    body: Any = delivery.body
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def install(app: Celery) -> None:
    """Give the app's workers the option `--floor` and the step behind it."""
    option = click.Option(
        ["--floor"], is_flag=True, help="Run the markets' engines in this worker."
    )
    app.user_options["worker"].add(option)
    app.steps["consumer"].add(FloorStep)
