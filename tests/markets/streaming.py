"""A stream server in a process of its own, and clients that follow what it says."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts.models.members import Member
from exchange.supervisor import module
from markets import book_feed, feed
from markets.book_feed import levels_view
from markets.floor_host import Host
from markets.streams import TOO_SLOW
from tests.faults.programs import Running, free_ports, running, until

RECEIVE_SECONDS_MAX = 20


@dataclass
class Stream:
    """A stream server that answers."""

    port: int
    process: Running

    @contextmanager
    def watch(self, path: str, **headers: str) -> Iterator[ClientConnection]:
        """Open a websocket; close it at the end of the block."""
        url = f"ws://127.0.0.1:{self.port}{path}"
        with connect(url, additional_headers=headers, close_timeout=1) as websocket:
            yield websocket

    @contextmanager
    def deaf_client(self, path: str) -> Iterator[socket.socket]:
        """Open a websocket by hand, and do not read what comes."""
        with socket.socket() as deaf:
            # Its side of the line holds little; ours is the server's business.
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
            deaf.connect(("127.0.0.1", self.port))
            deaf.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert b" 101 " in deaf.recv(4096)
            yield deaf

    @property
    def origin(self) -> str:
        """What a browser says on one of our own pages."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def stream_server(
    log: Path, application: str = "application", **environment: str
) -> Iterator[Stream]:
    """Run the stream, or another of the applications beside it, as production does."""
    (port,) = free_ports(1)
    command = module(
        *("granian", "--interface=asginl", "--host=127.0.0.1", f"--port={port}"),
        *("--workers=1", "--log-level=warning", f"exchange.asgi:{application}"),
    )
    with running(command, log, **environment) as process:
        until(lambda: is_listening(port), why=process.words)
        yield Stream(port, process)


def is_listening(port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def floor_host() -> Iterator[Host]:
    """Have the markets' floors in this process; they announce what they do."""
    try:
        yield Host()
    finally:
        gc.enable()
        gc.unfreeze()


def settle(host: Host, market_id: str = "btccny") -> None:
    """Let a floor decide all that waits."""
    host.handle(market_id, feed.waiting(market_id), now=timezone.now())


def cookie_of(member: Member) -> str:
    """Return the cookie of a browser in which the member is signed in."""
    browser = Client()
    browser.force_login(member)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"


def receive(websocket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a kind; others are skipped."""
    deadline = time.monotonic() + RECEIVE_SECONDS_MAX
    message: dict[str, Any] = {"type": ""}
    while message["type"] != kind:
        message = json.loads(websocket.recv(timeout=deadline - time.monotonic()))
    return message


def receive_any(websocket: ClientConnection) -> dict[str, Any]:
    """Return the next message that is no beat."""
    message: dict[str, Any] = {"type": "beat"}
    while message["type"] == "beat":
        message = json.loads(websocket.recv(timeout=RECEIVE_SECONDS_MAX))
    return message


def listen_to_the_end(websocket: ClientConnection, *, saying: str = "") -> int:
    """Read, and talk, until the server closes; return the code it gave."""
    deadline = time.monotonic() + RECEIVE_SECONDS_MAX
    try:
        while time.monotonic() < deadline:
            if saying:
                websocket.send(saying)
            websocket.recv(timeout=deadline - time.monotonic())
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 0
    raise AssertionError("The server did not close.")


def is_ended(deaf: socket.socket) -> bool:
    """Read what was on its way; say whether the server's goodbye, or the end, is it."""
    goodbye = b"\x88\x02" + TOO_SLOW.to_bytes(2, "big")  # a close frame with its code
    deadline, tail = time.monotonic() + RECEIVE_SECONDS_MAX, b""
    deaf.settimeout(RECEIVE_SECONDS_MAX)
    try:
        while not tail.endswith(goodbye) and (got := deaf.recv(1 << 20)):
            tail = (tail + got)[-len(goodbye) :]
            if time.monotonic() > deadline:
                return False
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


class Follower:
    """A client that keeps a book as ours in the page does: it tolerates no gap."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self.trades: list[int] = []
        self.snapshots = 0
        self._start(receive(websocket, "snapshot"))

    def follow_to(self, seq: int) -> None:
        """Take messages until the book is of this number or a later one."""
        while self.seq < seq:
            message = json.loads(self._websocket.recv(timeout=RECEIVE_SECONDS_MAX))
            if message["type"] == "snapshot":
                self._start(message)
            elif message["type"] == "update":
                self._update(message)

    def book(self) -> tuple[list[list[str]], list[list[str]]]:
        """Return bids and asks, best first."""
        bids = sorted(self._sides["buy"].items(), reverse=True)
        return levels_view(bids), levels_view(sorted(self._sides["sell"].items()))

    def _start(self, snapshot: dict[str, Any]) -> None:
        self.snapshots += 1
        self.seq = snapshot["seq"]
        self.trades = [trade["id"] for trade in reversed(snapshot["trades"])]
        self._sides = {
            "buy": _levels(snapshot["bids"]),
            "sell": _levels(snapshot["asks"]),
        }

    def _update(self, update: dict[str, Any]) -> None:
        assert update["prev"] == self.seq
        self.seq = update["seq"]
        self.trades += [trade["id"] for trade in update["trades"]]
        for side, price, amount in update["book"]:
            self._sides[side][Decimal(price)] = Decimal(amount)
            if Decimal(amount) == 0:
                del self._sides[side][Decimal(price)]


def _levels(levels: list[list[str]]) -> dict[Decimal, Decimal]:
    return {Decimal(price): Decimal(amount) for price, amount in levels}


def book_in_rows(market_id: str) -> tuple[int, list[list[str]], list[list[str]]]:
    """Return sequence, bids and asks as PostgreSQL has them."""
    book = book_feed.snapshot(market_id)
    return book.seq, levels_view(book.bids), levels_view(book.asks)
