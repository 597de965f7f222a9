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


class FloorStep(bootsteps.ConsumerStep):
    """Consumes the markets' queues beside the worker's own tasks."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, floor: bool = False, **options: Any) -> None:
        self.enabled = bool(floor)
        self._parent = parent
        self._waiting: list[Delivery] = []
        self._is_scheduled = False
        self._host: Host | None = None
        self._queues: dict[str, str] = {}
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:
        return self.enabled

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called at every (re)connect: what was not acknowledged comes again."""
        self._waiting.clear()
        if self._host is None:
            self._host = Host()
        self._queues = {bus.work_queue(market): market for market in all_market_ids()}
        queues = [
            Queue(name, durable=True, queue_arguments=WORK_QUEUE_ARGUMENTS)
            for name in self._queues
        ]
        return [
            Consumer(
                channel,
                queues=queues,
                on_message=self._arrived,
                # The next batch travels while this one is settled.
                prefetch_count=2 * settings.FEED_BATCH,
            )
        ]

    def _arrived(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._schedule(0)

    def _schedule(self, seconds: float) -> None:
        if self._is_scheduled:
            return
        self._is_scheduled = True
        hub = self._parent.hub
        if seconds:
            hub.call_later(seconds, self._flush)
        else:
            hub.call_soon(self._flush)

    def _flush(self) -> None:
        """Run what has arrived, market by market, and acknowledge what is settled."""
        self._is_scheduled = False
        batch = self._waiting[: settings.FEED_BATCH]
        self._waiting = self._waiting[settings.FEED_BATCH :]
        by_market: dict[str, list[Delivery]] = {}
        for delivery in batch:
            queue = delivery.delivery_info["routing_key"]
            by_market.setdefault(self._queues[queue], []).append(delivery)
        later = [
            delivery
            for market_id, deliveries in by_market.items()
            for delivery in self._run(market_id, deliveries)
        ]
        self._waiting = later + self._waiting
        if self._waiting:
            self._schedule(RETRY_SECONDS if later else 0)

    def _run(self, market_id: str, deliveries: list[Delivery]) -> list[Delivery]:
        """Handle one market's deliveries; return those to try again later."""
        if self._host is None:
            return deliveries
        messages = [feed.read(_bytes(delivery.body)) for delivery in deliveries]
        verdict = self._host.handle(market_id, messages, now=timezone.now())
        if verdict is Verdict.LATER:
            return deliveries
        for delivery in deliveries:
            if verdict is Verdict.DONE:
                delivery.ack()
            else:
                delivery.requeue()
        return []


def _bytes(body: bytes | memoryview | str | None) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def install(app: Celery) -> None:
    """Give the app's workers the option `--floor` and the step behind it."""
    option = click.Option(
        ["--floor"], is_flag=True, help="Run the markets' engines in this worker."
    )
    app.user_options["worker"].add(option)
    app.steps["consumer"].add(FloorStep)
