"""
The intake bench: requests over HTTP, from the socket to the answer.

Signed orders go to a web server that runs as production's does, on a database of the
bench's own, with PostgreSQL, RabbitMQ and the bench itself on the same machine. An
order counts once its 201 is here: by then its funds are locked and it is committed.
Afterwards the rows are counted against the answers.

Requests are signed and written before the clock starts, so that the bench takes as
little of the machine as it can; what it takes is in the figures, too.
"""

from __future__ import annotations

import os
import selectors
import socket
import statistics
import subprocess
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from accounts import tokens
from accounts.models.members import Member
from exchange.benches import world
from exchange.benches.world import MARKET
from exchange.management.commands.run_exchange import web
from markets import feed
from markets.floor_host import Host
from markets.models import Order, Side
from markets.orders import Terms, place

TARGETS = {"single": 700, "multi": 3000, "depth": 2000, "tickers": 2000}
ORDERS_AT_ONCE = 50
LEVELS = 300  # on each side of the book that is asked for
CONNECTIONS = 8
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--orders", type=int, default=5000, metavar="N")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes of the web"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of it all: does it run?"
    )


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Run all passes; `rate` is single orders a second, `ok` when all targets are."""
    count = int(options.get("orders") or 5000)
    workers = int(options.get("workers") or 2)
    if options.get("quick"):
        count = max(count // 10, 200)
    with world.database(), world.broker():
        bots = [Bot(member) for member in world.people()]
        _quote(bots)
        with serving(workers) as server:
            single = _orders(server, bots, count, at_once=1)
            multi = _orders(server, bots, count * 2, at_once=ORDERS_AT_ONCE)
            depth = _reads(server, count * 2, f"depth?market={MARKET}")
            tickers = _reads(server, count * 2, "tickers")
    passes = {"single": single, "multi": multi, "depth": depth, "tickers": tickers}
    rates = {name: each.things_per_second for name, each in passes.items()}
    return {
        "bench": "intake",
        "rate": round(rates["single"]),
        "rate_wanted": TARGETS["single"],
        "unit": "orders/s",
        "ok": all(
            passes[name].is_right and rates[name] >= wanted
            for name, wanted in TARGETS.items()
        ),
        "workers": workers,
        "wanted": TARGETS,
        "passes": {name: each.as_json() for name, each in passes.items()},
    }


@dataclass
class Pass:
    """What one kind of request did. A request may ask for many things."""

    things: int
    requests: int
    seconds: float
    answers: Counter[int]
    is_right: bool
    latencies: list[float]
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def things_per_second(self) -> float:
        return self.things / self.seconds

    def as_json(self) -> dict[str, Any]:
        cuts = statistics.quantiles(self.latencies, n=100)
        return {
            "per_second": round(self.things_per_second),
            "requests_per_second": round(self.requests / self.seconds),
            "answers": dict(self.answers),
            "as_asked": self.is_right,
            "p50_ms": round(1000 * cuts[49], 1),
            "p99_ms": round(1000 * cuts[98], 1),
            "cpu_us_per_request": {
                name: round(1e6 * spent / self.requests)
                for name, spent in self.cpu_seconds.items()
            },
        }


class Bot:
    """A member with keys, who signs before the clock starts."""

    def __init__(self, member: Member) -> None:
        self.member = member
        issued = tokens.issue(member=member, now=timezone.now())
        self._keys = issued.access_key, issued.secret_key
        self._tonce = 0

    def post(self, path: str, pairs: Sequence[tuple[str, str]]) -> bytes:
        """Write a whole signed request; lists in `pairs` stay as they stand."""
        access_key, secret_key = self._keys
        self._tonce = max(self._tonce + 1, time.time_ns() // 1_000_000)
        whole = [("access_key", access_key), ("tonce", str(self._tonce)), *pairs]
        whole.sort(key=lambda pair: pair[0].partition("[")[0])
        payload = "&".join(f"{name}={text}" for name, text in whole)
        message = f"POST|/api/v2/{path}|{payload}"
        whole.append(("signature", tokens.sign(message, secret_key=secret_key)))
        body = "&".join(f"{quote_plus(name)}={text}" for name, text in whole)
        return (
            f"POST /api/v2/{path} HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


# --- The world ----------------------------------------------------------------------


def _quote(bots: Sequence[Bot]) -> None:
    """Make a book of some hundred levels, settled as in life."""
    now, host = timezone.now(), Host()
    for level in range(1, LEVELS + 1):
        for side, price in ((Side.BUY, 29_000 - level), (Side.SELL, 31_000 + level)):
            place(
                member=bots[level % len(bots)].member,
                market_id=MARKET,
                terms=Terms(side, Order.Kind.LIMIT, Decimal(price), Decimal("0.5")),
                source="api",
                now=now,
            )
    while waiting := feed.waiting(MARKET):
        host.handle(MARKET, waiting, now=now)


@dataclass
class Server:
    """The web, and where it listens."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def serving(workers: int, **environment: str) -> Iterator[Server]:
    """Serve the web as `run_exchange` does, without limits of rate."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment |= {
        "AMQP_URL": settings.AMQP_URL,
        "BUS_NAMESPACE": settings.BUS_NAMESPACE,
        "DATABASE_URL": world.database_url(),
        "RATE_LIMIT_PER_KEY": "1000000000",
        "RATE_LIMIT_PER_ADDRESS": "1000000000",
        "LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(web(port, workers), env=os.environ | environment)
    try:
        world.until(lambda: _answers(process, port), world.READY_SECONDS_MAX)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(timeout=world.READY_SECONDS_MAX)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    if process.poll() is not None:
        raise SystemExit("The web did not start.")
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


# --- The passes ---------------------------------------------------------------------


def _orders(server: Server, bots: Sequence[Bot], count: int, *, at_once: int) -> Pass:
    """Place orders that rest, and hold the rows against the answers."""
    _send(server, [order_request(bot, 0, at_once) for bot in bots])  # warm it up
    before = _books()
    requests = [
        order_request(bots[number % len(bots)], number, at_once)
        for number in range(count // at_once)
    ]
    found = _send(server, requests)
    found.things = len(requests) * at_once
    orders, locked = _books()
    taken = found.answers[201] * at_once
    found.is_right = (
        found.answers[201] == len(requests)
        and orders - before[0] == taken
        and locked - before[1] == taken * Decimal("0.01")
    )
    return found


def order_request(bot: Bot, number: int, at_once: int) -> bytes:
    """Sell a little, somewhere above the market."""
    price = str(32_000 + number % 500)
    if at_once == 1:
        pairs = [("market", MARKET), ("price", price), ("side", "sell")]
        return bot.post("orders", [*pairs, ("volume", "0.01")])
    one = [("price", price), ("side", "sell"), ("volume", "0.01")]
    many = [(f"orders[][{name}]", text) for _ in range(at_once) for name, text in one]
    return bot.post("orders/multi", [("market", MARKET), *many])


def _books() -> tuple[int, Decimal]:
    """Return how many sell orders there are, and what they have locked."""
    sells = Order.objects.filter(market_id=MARKET, side=Side.SELL)
    return sells.count(), sells.aggregate(locked=Sum("locked"))["locked"]


def _reads(server: Server, count: int, path: str) -> Pass:
    request = f"GET /api/v2/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    _send(server, [request] * CONNECTIONS)
    found = _send(server, [request] * count)
    found.is_right = found.answers[200] == count
    return found


def _send(server: Server, requests: Sequence[bytes]) -> Pass:
    """Send requests over a few connections, each as soon as the one before is done."""
    cpu = _cpu_seconds(server)
    started = time.perf_counter()
    answers, latencies = converse(server.port, requests)
    seconds = time.perf_counter() - started
    spent = {name: after - cpu[name] for name, after in _cpu_seconds(server).items()}
    count = len(requests)
    return Pass(count, count, seconds, answers, False, latencies, spent)


def converse(
    port: int, requests: Iterable[bytes], connections: int = CONNECTIONS
) -> tuple[Counter[int], list[float]]:
    """Send requests as fast as they are answered; return the answers and latencies."""
    waiting = iter(requests)
    answers: Counter[int] = Counter()
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:

        def say_next(line: socket.socket) -> None:
            request = next(waiting, None)
            if request is None:
                selector.unregister(line)
                line.close()
                return
            line.sendall(request)
            sent_at = time.perf_counter()
            selector.modify(line, selectors.EVENT_READ, (bytearray(), sent_at))

        for _ in range(connections):
            line = socket.create_connection(("127.0.0.1", port))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(line, selectors.EVENT_READ)
            say_next(line)
        while selector.get_map():
            for key, _ in selector.select():
                heard, sent_at = key.data
                line = key.fileobj  # type: ignore[assignment]  # it is what we registered
                heard += line.recv(1 << 18)
                if (status := status_of(heard)) is not None:
                    latencies.append(time.perf_counter() - sent_at)
                    answers[status] += 1
                    say_next(line)
    return answers, latencies


def status_of(heard: bytearray) -> int | None:
    """Return the status of an answer that is here whole."""
    end = heard.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(heard[:end]).lower()
    _, _, rest = head.partition(b"content-length:")
    length = int(rest.split(b"\r\n", 1)[0] or 0)
    return int(head[9:12]) if len(heard) >= end + 4 + length else None


def _cpu_seconds(server: Server) -> dict[str, float]:
    """Return what each part has used of the processors so far."""
    children = _children()
    web_processes = {server.process.pid, *children.get(server.process.pid, ())}
    found = dict.fromkeys(("web", "postgres", "rabbitmq", "bench"), 0.0)
    for pid, (name, ticks) in _processes().items():
        if pid in web_processes:
            found["web"] += ticks / _TICKS_PER_SECOND
        elif name == "postgres":
            found["postgres"] += ticks / _TICKS_PER_SECOND
        elif name.startswith("beam"):
            found["rabbitmq"] += ticks / _TICKS_PER_SECOND
    found["bench"] = time.process_time()
    return found


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields:
            found.setdefault(int(fields[1]), []).append(int(path.parent.name))
    return found


def _processes() -> dict[int, tuple[str, int]]:
    """Return {pid: (name, clock ticks used)} of all processes."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields:
            name = (path.parent / "comm").read_text().strip()
            found[int(path.parent.name)] = name, int(fields[11]) + int(fields[12])
    return found


def _stat(path: Path) -> list[str]:
    """Return the fields behind a process's name; none when it has just ended."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
