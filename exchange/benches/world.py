"""
The world that benches play in: a fresh database, names of their own on the broker, and
members with money.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import quote

import pika
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from accounts import members
from accounts.hashing import Argon2
from accounts.models.members import Member
from exchange.lib import bus, databases, postgres
from exchange.lib.bus_amqp import AmqpDriver, parameters
from markets.models import Market
from wallets import ledger

BROKER = "amqp://guest:guest@127.0.0.1:5672/%2F"
DATABASE = "pixiu_bench"
MARKET = "btccny"
MEMBERS = 50
READY_SECONDS_MAX = 60
POLL_SECONDS = 0.01


@contextmanager
def database() -> Iterator[None]:
    """Have a fresh database, and everybody in this process connected to it."""
    with ExitStack() as stack:
        if settings.EMBEDDED_POSTGRES:
            stack.enter_context(postgres.running(settings.DATA_DIR))
        with databases.administrator() as admin:
            if admin is None:
                raise SystemExit("The bench makes its database: DATABASE_ADMIN_URL?")
            with admin.cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        call_command("prepare_database", database=DATABASE, stdout=StringIO())
        before = settings.DATABASES["default"]["NAME"]
        connections.close_all()
        connection.settings_dict["NAME"] = DATABASE
        try:
            yield
        finally:
            connections.close_all()
            connection.settings_dict["NAME"] = before


@contextmanager
def broker() -> Iterator[None]:
    """Use RabbitMQ under names of our own, and leave nothing behind there."""
    before = settings.AMQP_URL, settings.BUS_NAMESPACE
    settings.AMQP_URL = before[0] or BROKER
    settings.BUS_NAMESPACE = f"pixiu_bench_{os.getpid()}"
    bus.driver.cache_clear()
    try:
        yield
    finally:
        with channel() as ours:
            for market_id in Market.objects.values_list("pk", flat=True):
                ours.queue_delete(bus.work_queue(market_id))
            ours.exchange_delete(bus.news())
        driver().close()
        settings.AMQP_URL, settings.BUS_NAMESPACE = before
        bus.driver.cache_clear()


def driver() -> AmqpDriver:
    """Return this process's bus, which must be RabbitMQ's."""
    found = bus.driver()
    if not isinstance(found, AmqpDriver):
        raise TypeError(f"The bench publishes through RabbitMQ, not {found}.")
    return found


@contextmanager
def channel() -> Iterator[Any]:
    """Open a channel of pika's to the broker."""
    connected = pika.BlockingConnection(parameters(settings.AMQP_URL))
    try:
        yield connected.channel()
    finally:
        connected.close()


def people() -> list[Member]:
    """Let members join, and give them more money than they can lose."""
    # Hashing is slow on purpose, and fifty times slower still buys nothing here.
    Argon2.time_cost, Argon2.memory_cost = 1, 64
    now = timezone.now()
    Market.objects.filter(pk=MARKET).update(open_orders_max=1_000_000)
    found = [
        members.create(
            email=f"bench{number}@example.com",
            password="a password nobody types",  # noqa: S106  opens nothing
            now=now,
        )
        for number in range(MEMBERS)
    ]
    for member in found:
        for currency in ("btc", "cny"):
            ledger.grant(
                member_id=member.pk,
                currency=currency,
                amount=Decimal(10**9),
                reference=f"bench:{member.pk}",
                now=now,
            )
    return found


def database_url() -> str:
    """Return the bench's database as DATABASE_URL, for processes it starts."""
    given = connection.settings_dict
    login = ":".join(quote(str(given[name]), safe="") for name in ("USER", "PASSWORD"))
    where = f"host={quote(str(given['HOST']), safe='')}&port={given['PORT'] or 5432}"
    return f"postgresql://{login}@/{given['NAME']}?{where}"


def until(condition: Callable[[], bool], seconds_max: float) -> None:
    """Wait until something is so; end the bench where it never is."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The bench did not come to its end in time.")
        time.sleep(POLL_SECONDS)
