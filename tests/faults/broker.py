"""The bus over RabbitMQ, in this process, with a cable to it that can be cut."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest
from django.conf import settings

from exchange.lib import bus
from exchange.lib.bus_amqp import WORK_QUEUE_ARGUMENTS, AmqpDriver
from tests.faults.proxy import Proxy, proxy

_numbers = itertools.count(1)


@dataclass
class Broker:
    """RabbitMQ as the exchange sees it (`url`), and as it is (`admin`)."""

    url: str
    namespace: str
    cable: Proxy
    admin: Any

    @property
    def queue(self) -> str:
        """The work queue of the market the tests trade in."""
        return bus.work_queue("btccny")

    @property
    def driver(self) -> AmqpDriver:
        driver = bus.driver()
        assert isinstance(driver, AmqpDriver)
        return driver

    def environment(self) -> dict[str, str]:
        """Return what a process needs to use the same broker."""
        return {"AMQP_URL": self.url, "BUS_NAMESPACE": self.namespace}

    def publish(self, queue: str, body: bytes, **properties: Any) -> None:
        """Put anything at all on a queue."""
        self.admin.basic_publish("", queue, body, pika.BasicProperties(**properties))

    def declare(self, queue: str) -> Any:
        """Make a work queue, and say what it holds."""
        return self.admin.queue_declare(
            queue, durable=True, arguments=WORK_QUEUE_ARGUMENTS
        ).method

    def take(self, queue: str) -> list[Any]:
        """Take what waits on a queue off it."""
        count = self.declare(queue).message_count
        messages = itertools.islice(self.admin.consume(queue), count)
        found = [bus.decode(body) for _, _, body in messages]
        self.admin.cancel()
        return found


@contextmanager
def broker(amqp_url: str) -> Iterator[Broker]:
    """Use RabbitMQ in this process, under names nobody else has."""
    real = urlsplit(amqp_url)
    namespace = f"test_{os.getpid()}_{next(_numbers)}"
    admin = pika.BlockingConnection(pika.URLParameters(amqp_url))
    with (
        proxy(real.hostname or "127.0.0.1", real.port or 5672) as cable,
        pytest.MonkeyPatch.context() as patch,
    ):
        host = f"{real.username}:{real.password}@127.0.0.1:{cable.port}"
        url = urlunsplit(real._replace(netloc=host))
        patch.setattr(settings, "AMQP_URL", url)
        patch.setattr(settings, "BUS_NAMESPACE", namespace)
        bus.driver.cache_clear()
        found = Broker(url, namespace, cable, admin.channel())
        found.admin.confirm_delivery()
        try:
            yield found
        finally:
            found.driver.close()
            bus.driver.cache_clear()
            admin.close()
