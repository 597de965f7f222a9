"""
`kill -9` of each process in turn while orders flow over REST, in both modes.

What was acknowledged is there afterwards, nothing is settled twice, everything drains,
and the books are clean. The supervisor starts again what was killed.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from exchange.lib import postgres
from exchange.lib.client import ApiError, Client
from tests.databases import ROOT
from tests.faults.programs import free_ports, running, until

PROCESSES = ["web", "stream", "floor", "jobs", "wallets", "clock", "postgres"]
# Enough to see that orders flow again, few enough to be quick.
ORDERS_AFTER = 12

_SETUP = """
import json
from decimal import Decimal
from django.utils import timezone
from accounts import members, tokens
from wallets import ledger
now = timezone.now()
keys = {}
for name, currency in (("alice", "btc"), ("bob", "cny")):
    email = f"{name}@flood.example"
    member = members.create(email=email, password="correct horse battery", now=now)
    ledger.grant(member_id=member.pk, currency=currency, amount=Decimal(10**9),
        reference="test", now=now)
    issued = tokens.issue(member=member, now=now)
    keys[name] = [issued.access_key, issued.secret_key]
print(json.dumps(keys))
"""


@dataclass
class Flood:
    """Orders of two members who trade with each other, from a thread each."""

    url: str
    keys: dict[str, list[str]]
    acknowledged: list[int] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Have orders flow for the length of a block."""
        self.stopping.clear()
        threads = [
            threading.Thread(
                target=self._run, args=(Client(self.url, *self.keys[name]), side)
            )
            for name, side in (("alice", "sell"), ("bob", "buy"))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()

    def more(self) -> None:
        """Wait until so many more orders were acknowledged."""
        then = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= then + ORDERS_AFTER)

    def _run(self, client: Client, side: str) -> None:
        with closing(client):
            while not self.stopping.is_set():
                self._place(client, side)

    def _place(self, client: Client, side: str) -> None:
        try:
            order = client.post(
                "orders", market="btccny", side=side, price="30000", volume="0.01"
            )
            self.acknowledged.append(order["id"])
        except (ApiError, OSError, http.client.HTTPException):
            self.stopping.wait(0.05)  # a bot tries again


@dataclass
class House:
    """A running exchange of the test's own."""

    data: Path
    port: int
    stream_port: int
    environment: dict[str, str]
    flood: Flood

    def pid(self, name: str) -> int:
        return int((self.data / "pids" / name).read_text())

    def is_back(self, name: str, old: int) -> bool:
        try:
            return self.pid(name) != old
        except (OSError, ValueError):
            return False

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with (
            closing(postgres.connect(self.data, database="pixiu")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return list(cursor.fetchall())

    def demand_all(self) -> None:
        """Everything drains, every acknowledged order is there, and none twice."""
        pending = "SELECT FROM markets_order WHERE state = 'pending'"
        until(lambda: not self.query(pending))

        known = {id for (id,) in self.query("SELECT id FROM markets_order")}
        assert set(self.flood.acknowledged) <= known
        assert len(set(self.flood.acknowledged)) == len(self.flood.acknowledged)

    def settled_seq(self) -> int:
        sql = "SELECT settled_seq FROM markets_floor WHERE market_id = 'btccny'"
        return int(self.query(sql)[0][0])

    def shown_seq(self) -> int:
        """Return the sequence of the stream's snapshot; -1 while it is not there."""
        url = f"ws://127.0.0.1:{self.stream_port}/ws/markets/btccny"
        try:
            with connect(url) as socket:
                return int(json.loads(socket.recv(timeout=20))["seq"])
        except (OSError, WebSocketException):
            return -1

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("broker", marks=pytest.mark.broker)],
)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    data = tmp_path_factory.mktemp("house")
    port, stream_port = free_ports(2)
    environment = {
        "PIXIU_DATA": str(data),
        "PORT": str(port),
        "STREAM_PORT": str(stream_port),
        "WS_PORT": "0",
        "DEMO": "0",
        "DATABASE_URL": "",
        "DATABASE_ADMIN_URL": "",
        "RATE_LIMIT_PER_KEY": "1000000",
        "RATE_LIMIT_PER_ADDRESS": "1000000",
    }
    if request.param == "broker":
        environment["AMQP_URL"] = request.getfixturevalue("amqp_url")
    command = [sys.executable, "manage.py", "run_exchange"]
    with running(command, data / "run.log", **environment) as process:
        until(lambda: "ready:" in process.words(), why=process.words)
        flood = Flood(f"http://127.0.0.1:{port}", {})
        house = House(data, port, stream_port, environment, flood)
        made = house.manage("shell", "--verbosity=0", "-c", _SETUP)
        flood.keys = json.loads(made.stdout.splitlines()[-1])
        yield house


@pytest.mark.promise("F-2", "F-4", "F-5", "F-6", "F-10")
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("name", PROCESSES)
def test_it_loses_nothing_when_a_process_is_killed(house: House, name: str) -> None:
    old = house.pid(name)

    with house.flood.flowing():
        house.flood.more()
        os.kill(old, signal.SIGKILL)
        until(lambda: house.is_back(name, old))
        house.flood.more()

    house.demand_all()
    until(lambda: house.shown_seq() == house.settled_seq())


@pytest.mark.promise("I-14", "F-42")
@pytest.mark.xdist_group("faults")
def test_it_is_clean_after_everything_was_killed(house: House) -> None:
    with house.flood.flowing():
        house.flood.more()
        for name in PROCESSES:
            os.kill(house.pid(name), signal.SIGKILL)
        house.flood.more()

    house.demand_all()
    audit = house.manage("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
