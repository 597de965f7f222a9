"""
The sign-in storm: what orders feel of hundreds who try to sign in at once.

Signed orders come at a steady rate, in quiet and then while strangers sign in at the
same web process, 500 a second: unknown members, wrong passwords, each from an address
of its own, each worth a whole hash. An order's latency counts from when it should have
been sent, so that a server which stalls cannot hide it.

"Does not slow trading" means: with the storm, p50 and p99 are at most twice what they
are without it, and 25 ms more; and every order is taken. Quiet is measured before and
after, and the calmer one counts: a hiccup of the machine must not excuse the storm.
What happens when the strangers send as fast as they are answered is measured, too; that
is a flood, and for the proxy to stop.
"""

from __future__ import annotations

import multiprocessing
import os
import selectors
import socket
import statistics
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice, takewhile
from typing import Any

from exchange.benches import world
from exchange.benches.intake import (
    CONNECTIONS,
    Bot,
    Server,
    converse,
    order_request,
    serving,
    status_of,
)

ORDERS_PER_SECOND = 100
SIGN_INS_PER_SECOND = 500  # L-12
STRANGERS = 64  # at the same time
FACTOR_MAX = 2
EXTRA_MS_MAX = 25
_AHEAD_SECONDS = 1  # the weather is there before the first order


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument(
        "--seconds", type=int, default=20, metavar="N", help="of each kind of weather"
    )
    parser.add_argument("--quick", action="store_true", help="short: does it run?")


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Run in quiet, storm and flood; `rate` is the storm's sign-ins a second."""
    seconds = 3 if options.get("quick") else int(options.get("seconds") or 20)
    proxied = {"TRUSTED_PROXIES": "127.0.0.1"}  # so that addresses may be made up
    with world.database(), world.broker():
        bots = [Bot(member) for member in world.people()]
        with serving(1, **proxied) as server:
            _trade(server, bots, 2)
            quiet_before = _trade(server, bots, seconds)
            with _strangers(_storm, server, seconds) as storming:
                in_storm = _trade(server, bots, seconds)
            with _strangers(_flood, server, seconds) as flooding:
                in_flood = _trade(server, bots, seconds)
            quiet_after = _trade(server, bots, seconds)
    found = (quiet_before, in_storm, in_flood, quiet_after)
    first, storm, flood, last = map(_as_json, found)
    before = min(first, last, key=lambda each: float(each["p99_ms"]))
    return {
        "bench": "sign_in_storm",
        "rate": round(storming.total() / (seconds + _AHEAD_SECONDS)),
        "rate_wanted": SIGN_INS_PER_SECOND,
        "unit": "sign-ins/s",
        "ok": all(_is_unmoved(before[cut], storm[cut]) for cut in ("p50_ms", "p99_ms"))
        and all(set(answers) == {201} for answers, _ in found),
        "wanted": f"at most {FACTOR_MAX} times as long and {EXTRA_MS_MAX} ms",
        "orders_per_second": ORDERS_PER_SECOND,
        "quiet": before,
        "storm": storm | _compared(before, storm, storming),
        "flood": flood | _compared(before, flood, flooding),
    }


Found = tuple[Counter[int], list[float]]


def _is_unmoved(before_ms: float, during_ms: float) -> bool:
    return during_ms <= FACTOR_MAX * before_ms + EXTRA_MS_MAX


def _as_json(found: Found) -> dict[str, Any]:
    answers, latencies = found
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "answers": {str(status): count for status, count in answers.items()},
        "p50_ms": round(1000 * cuts[49], 1),
        "p99_ms": round(1000 * cuts[98], 1),
    }


def _compared(
    before: dict[str, Any], during: dict[str, Any], sign_ins: Counter[int]
) -> dict[str, Any]:
    return {
        "p50_ratio": round(during["p50_ms"] / before["p50_ms"], 2),
        "p99_ratio": round(during["p99_ms"] / before["p99_ms"], 2),
        "sign_ins": {str(status): count for status, count in sorted(sign_ins.items())},
    }


# --- The weather --------------------------------------------------------------------


@contextmanager
def _strangers(
    weather: Callable[[int, int], Counter[int]], server: Server, seconds: int
) -> Iterator[Counter[int]]:
    """Let strangers sign in from another process; how they fared is told at the end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def beat() -> None:
        os.nice(10)  # it stands for other machines, which take nothing of this one
        theirs.send(weather(server.port, seconds + _AHEAD_SECONDS))
        os._exit(0)  # what we share with the bench, the bench closes

    process = context.Process(target=beat)
    process.start()
    time.sleep(_AHEAD_SECONDS)
    answers: Counter[int] = Counter()
    yield answers
    answers.update(ours.recv())
    process.join(timeout=world.READY_SECONDS_MAX)


def _storm(port: int, seconds: int) -> Counter[int]:
    """Sign in at the storm's rate."""
    requests = list(islice(_sign_ins(), seconds * SIGN_INS_PER_SECOND))
    answers, _ = _steadily(port, requests, SIGN_INS_PER_SECOND, STRANGERS)
    return answers


def _flood(port: int, seconds: int) -> Counter[int]:
    """Sign in as fast as the connections allow."""
    until = time.monotonic() + seconds
    requests = takewhile(lambda _: time.monotonic() < until, _sign_ins())
    answers, _ = converse(port, requests, STRANGERS)
    return answers


def _sign_ins() -> Iterator[bytes]:
    """Sign in as somebody new each time, from everywhere, with the form's token."""
    token = "t" * 32
    for number in count():
        where = f"100.{64 + number // 65536 % 64}.{number // 256 % 256}.{number % 256}"
        body = (
            f"email=stranger{number}%40example.com&password=wrong+password"
            f"&csrfmiddlewaretoken={token}"
        )
        yield (
            "POST /signin HTTP/1.1\r\nHost: localhost\r\n"
            f"Cookie: csrftoken={token}\r\nX-Forwarded-For: {where}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def _trade(server: Server, bots: Sequence[Bot], seconds: int) -> Found:
    requests = [
        order_request(bots[number % len(bots)], number, 1)
        for number in range(seconds * ORDERS_PER_SECOND)
    ]
    return _steadily(server.port, requests, ORDERS_PER_SECOND, CONNECTIONS)


def _steadily(
    port: int, requests: Sequence[bytes], per_second: int, connections: int
) -> Found:
    """Send requests when they are due, on any connection that is free by then."""
    answers: Counter[int] = Counter()
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        free = [_connect(port) for _ in range(connections)]
        started, sent = time.perf_counter(), 0
        while len(latencies) < len(requests):
            due_at = started + sent / per_second
            is_waiting = sent < len(requests) and bool(free)
            wait = due_at - time.perf_counter() if is_waiting else None
            if wait is not None and wait <= 0:
                line = free.pop()
                line.sendall(requests[sent])
                selector.register(line, selectors.EVENT_READ, (bytearray(), due_at))
                sent += 1
                continue
            for key, _ in selector.select(wait):
                heard, due_at = key.data
                line = key.fileobj  # type: ignore[assignment]  # what we registered
                heard += line.recv(1 << 18)
                if (status := status_of(heard)) is not None:
                    latencies.append(time.perf_counter() - due_at)
                    answers[status] += 1
                    selector.unregister(line)
                    free.append(line)
        for line in free:
            line.close()
    return answers, latencies


def _connect(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line
