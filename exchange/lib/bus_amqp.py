"""
The bus over RabbitMQ, through pika.

Publishing: one background thread per process owns an asynchronous connection; callers
hand bodies over and go on. Confirms arrive in batches and are only counted: what the
broker did not take (nack, return, lost connection) stays `pending` in its row and is
re-fed by the sweeper. While the connection is down, nothing is queued here.

A work queue is durable, replicated (quorum), read by one active consumer at a time and
published `mandatory`: a confirm alone does not mean that a queue took the message.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import AMQPError

from exchange.lib.bus import news

log = logging.getLogger("exchange.bus")

HEARTBEAT_SECONDS = 4
GATHERING_SECONDS = 0.002
RECONNECT_SECONDS = 0.5
FIRST_TRY_SECONDS = 2  # what a fresh process waits for its connection, once
WORK_QUEUE_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
}
_PERSISTENT = pika.BasicProperties(
    content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent
)
_TRANSIENT = pika.BasicProperties(content_type="application/json")


def parameters(url: str) -> pika.URLParameters:
    """Return connection parameters with our heartbeat."""
    found = pika.URLParameters(url)
    found.heartbeat = HEARTBEAT_SECONDS
    found.blocked_connection_timeout = 5
    return found


class AmqpDriver:
    """Publishes from any thread of a process; after a fork each process has its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._pid = 0
        self._publisher: _Publisher | None = None

    def send(self, queue: str, bodies: list[bytes]) -> None:
        self._mine().submit([(queue, body) for body in bodies])

    def announce(self, topic: str, body: bytes) -> None:
        self._mine().submit([(None, body)])

    def is_out(self) -> bool:
        return self._mine().is_out()

    def backlog(self, queue: str) -> int | None:
        try:
            connection = pika.BlockingConnection(parameters(self._url))
        except (AMQPError, OSError):
            return None
        try:
            asked = connection.channel().queue_declare(
                queue, durable=True, arguments=WORK_QUEUE_ARGUMENTS
            )
            return int(asked.method.message_count)
        except (AMQPError, OSError):
            return None
        finally:
            if connection.is_open:
                connection.close()

    def close(self) -> None:
        """End the connection; for tests and benches, a process simply ends."""
        if self._publisher is not None:
            self._publisher.stop()
            self._publisher = None

    def confirmed(self) -> tuple[int, int]:
        """Return how many work messages the broker took, and how many it did not."""
        publisher = self._mine()
        return publisher.taken, publisher.refused

    def _mine(self) -> _Publisher:
        if self._publisher is None or self._pid != os.getpid():
            with self._lock:
                if self._publisher is None or self._pid != os.getpid():
                    self._publisher, self._pid = _Publisher(self._url), os.getpid()
                    self._publisher.start()
        return self._publisher


class _Publisher(threading.Thread):
    """The thread that owns the connection. Everything but `submit` runs inside it."""

    def __init__(self, url: str) -> None:
        super().__init__(name="amqp-publisher", daemon=True)
        self._url = url
        self._connection: SelectConnection | None = None
        self._channel: Any = None
        self._declared: set[str] = set()
        self._waiting: dict[int, str] = {}  # delivery tag -> queue
        self._next_tag = 1
        self._first_try = threading.Event()
        self._stopping = threading.Event()
        self._patience_ends_at = time.monotonic() + FIRST_TRY_SECONDS
        self._outbox: list[tuple[str | None, bytes]] = []
        self._outbox_lock = threading.Lock()
        self.is_connected = False
        self.taken = 0
        self.refused = 0

    def is_out(self) -> bool:
        """Say whether we know to be without the broker; called from any thread."""
        if not self._first_try.is_set():
            patience = self._patience_ends_at - time.monotonic()
            self._first_try.wait(timeout=max(patience, 0))
        return not self.is_connected

    def submit(self, messages: list[tuple[str | None, bytes]]) -> None:
        """Hand messages over; called from any thread."""
        if self.is_out() or self._connection is None:
            return
        with self._outbox_lock:
            is_first = not self._outbox
            self._outbox.extend(messages)
        if is_first:
            # Under load a moment's messages go out together: waking this thread for
            # each takes more time than all else about it.
            self._connection.ioloop.add_callback_threadsafe(self._flush_soon)

    def stop(self) -> None:
        """End the connection and the thread; called from another one."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.ioloop.add_callback_threadsafe(self._close)
        self.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connection = SelectConnection(
                    parameters(self._url),
                    on_open_callback=self._opened,
                    on_open_error_callback=self._failed,
                    on_close_callback=self._closed,
                )
                self._connection.ioloop.start()
            except (AMQPError, OSError) as error:
                log.warning("broker connection failed: %s", error)
            self._lost()
            if self._connection is not None:
                self._connection.ioloop.close()
            self._stopping.wait(RECONNECT_SECONDS)

    def _close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _opened(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._ready)

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        self._declared.clear()
        self._waiting.clear()
        self._next_tag = 1
        channel.confirm_delivery(self._confirmed)
        channel.add_on_return_callback(self._returned)
        channel.add_on_close_callback(self._channel_closed)
        channel.exchange_declare(
            news(), "fanout", durable=True, callback=lambda _: self._open_for_business()
        )

    def _open_for_business(self) -> None:
        self.is_connected = True
        self._first_try.set()
        log.info("broker connected")
        self._flush()  # what was handed over while the connection before was ending

    def _flush_soon(self) -> None:
        if self._connection is not None:
            self._connection.ioloop.call_later(GATHERING_SECONDS, self._flush)

    def _flush(self) -> None:
        with self._outbox_lock:
            messages, self._outbox = self._outbox, []
        if not self.is_connected:
            return
        for queue, body in messages:
            if queue is None:
                self._channel.basic_publish(news(), "", body, _TRANSIENT)
            else:
                self._declare(queue)
                self._waiting[self._next_tag] = queue
                self._channel.basic_publish("", queue, body, _PERSISTENT, True)
            self._next_tag += 1

    def _declare(self, queue: str) -> None:
        if queue not in self._declared:
            self._channel.queue_declare(
                queue, durable=True, arguments=WORK_QUEUE_ARGUMENTS
            )
            self._declared.add(queue)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        tags = (
            # Tags grow, and a dictionary keeps their order.
            list(itertools.takewhile(method.delivery_tag.__ge__, self._waiting))
            if method.multiple
            else [method.delivery_tag]
        )
        known = [tag for tag in tags if self._waiting.pop(tag, None) is not None]
        if method.NAME == "Basic.Ack":
            self.taken += len(known)
        else:
            self.refused += len(known)

    def _returned(self, channel: Any, method: Any, _properties: Any, _b: bytes) -> None:
        log.warning("no queue %s took a message; it will be re-fed", method.routing_key)
        self._declared.discard(method.routing_key)
        self.refused += 1
        self.taken -= 1  # an unroutable message is confirmed, too: that will not count

    def _failed(self, connection: SelectConnection, error: Any) -> None:
        log.warning("broker unreachable: %s", error)
        connection.ioloop.stop()

    def _closed(self, connection: SelectConnection, reason: Any) -> None:
        log.warning("broker connection closed: %s", reason)
        connection.ioloop.stop()

    def _channel_closed(self, channel: Any, reason: Any) -> None:
        self._close()

    def _lost(self) -> None:
        self.is_connected = False
        self._first_try.set()
        self.refused += len(self._waiting)
        self._waiting.clear()
        with self._outbox_lock:
            self._outbox.clear()


class AmqpListener:
    """The news: an exclusive queue on the fanout, reconnecting for ever."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = threading.Event()
        self._connection: pika.BlockingConnection | None = None

    def run(self, on_news: Callable[[bytes], None], on_gap: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                self._consume(on_news, on_gap)
            except (AMQPError, OSError) as error:
                log.warning("news interrupted: %s", error)
            self._stopping.wait(RECONNECT_SECONDS)

    def stop(self) -> None:
        self._stopping.set()

    def _consume(
        self, on_news: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None:
        connection = pika.BlockingConnection(parameters(self._url))
        try:
            channel = connection.channel()
            channel.exchange_declare(news(), "fanout", durable=True)
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, news())
            on_gap()
            # News may be missed: a reconnect takes a new snapshot anyway.
            for _, _, body in channel.consume(
                queue, auto_ack=True, inactivity_timeout=0.5
            ):
                if self._stopping.is_set():
                    return
                if body is not None:
                    on_news(body)
        finally:
            if connection.is_open:
                connection.close()
