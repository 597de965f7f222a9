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
from typing import Any

import click
from celery import Celery, bootsteps
from django.conf import settings
from django.utils import timezone
from kombu import Consumer, Queue
from kombu.message import Message as Delivery

from exchange.lib import bus
from exchange.lib.bus_amqp import WORK_QUEUE_ARGUMENTS
from markets import feed
from markets.floor_host import Host, Verdict
from markets.queries import all_market_ids

log = logging.getLogger("markets.floor")

RETRY_SECONDS = 0.5
PREFETCH_MIN = 100  # the broker writes acknowledgements down before it sends more


class FloorStep(bootsteps.ConsumerStep):
    """Consumes the markets' queues, and nothing else: jobs have other workers."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, floor: bool = False, **options: Any) -> None:
        self.enabled = bool(floor)
        self._parent = parent
        self._host: Host | None = None
        self._lines: list[_Line] = []
        if self.enabled:
            queues = parent.app.amqp.queues
            queues.deselect(list(queues.consume_from))
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:
        return self.enabled

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called at every (re)connect: what was not acknowledged comes again."""
        for line in self._lines:
            line.forget()
        if self._host is None:
            self._host = Host()
        client = channel.connection.client
        self._lines = [
            _Line(market_id, client.channel(), self._host, self._parent.hub)
            for market_id in all_market_ids()
        ]
        return [line.consumer for line in self._lines]


class _Line:
    """
    One market's queue. It has a channel to itself, so that acknowledging the last
    message of a batch acknowledges the batch and nothing else.
    """

    def __init__(self, market_id: str, channel: Any, host: Host, hub: Any) -> None:
        self._market_id = market_id
        self._connection = channel.connection.client
        self._host = host
        self._hub = hub
        self._waiting: list[Delivery] = []
        self._is_scheduled = False
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

    def forget(self) -> None:
        """Drop what waits: its connection is gone, and it will come again."""
        self._waiting.clear()

    def _arrived(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._schedule()

    def _schedule(self, seconds: float = 0) -> None:
        if self._is_scheduled:
            return
        self._is_scheduled = True
        if seconds:
            self._hub.call_later(seconds, self._flush)
        else:
            self._hub.call_soon(self._flush)

    def _flush(self) -> None:
        """Run what has arrived, and acknowledge it once it is settled."""
        self._drain()
        self._is_scheduled = False
        batch = self._waiting[: settings.FEED_BATCH]
        if not batch:
            return
        messages = [feed.read(_body(delivery)) for delivery in batch]
        verdict = self._host.handle(self._market_id, messages, now=timezone.now())
        if verdict is Verdict.LATER:
            self._schedule(RETRY_SECONDS)
            return
        del self._waiting[: len(batch)]
        if verdict is Verdict.DONE:
            batch[-1].ack(multiple=True)
        else:
            for delivery in batch:
                delivery.requeue()
        if self._waiting:
            self._schedule()

    def _drain(self) -> None:
        """
        Take what has arrived already. Left alone, the event loop would bring one
        message a turn, and every batch would be of one.
        """
        try:
            while len(self._waiting) < settings.FEED_BATCH:
                self._connection.drain_events(timeout=0)
        except (TimeoutError, BlockingIOError):
            return


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
