"""Websockets of the markets. They hold no truth: a snapshot, then numbered deltas."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from exchange.lib import bus
from markets import page_data
from markets.streams import (
    TOO_SLOW,
    Do,
    Frames,
    MarketStream,
    Socket,
    hub,
    live_sessions,
)

UNKNOWN_MARKET = 4004
TOO_MUCH = 4029
SEND_SECONDS_MAX = 5  # behind by megabytes, and taking nothing: that is too slow
_ASKS_MAX = 60  # messages one socket may send in a minute: resyncs are rare


class Pumped(AsyncWebsocketConsumer):
    """A consumer whose socket is fed by the hub."""

    socket: Socket
    _application: asyncio.Task[Any] | None = None
    _pump: asyncio.Task[None] | None = None
    _goodbye: int | None = None
    _minute, _asked = 0.0, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._application = asyncio.current_task()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if self._goodbye is None or self._application is None:
                raise
            self._application.uncancel()
            self.leave()
            await self._say_goodbye(send, self._goodbye)

    def hang_up(self, code: int) -> None:
        """
        Close from another task than the application's. The server cannot close while
        somebody waits for a message, so the application is told to stop waiting first.
        """
        self._goodbye = code
        if self._application is not None:
            self._application.cancel()

    async def _say_goodbye(self, send: Any, code: int) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await send({"type": "websocket.close", "code": code})
        except TimeoutError:
            pass  # who takes nothing does not take a goodbye, either

    async def open_socket(self) -> None:
        """Have a socket: a member's, where their session would open a page, too."""
        user = self.scope["user"]
        self.socket = Socket(None)
        if user.is_authenticated:
            key = str(self.scope["session"].session_key)
            if await hub().read(live_sessions, {key}):
                self.socket = Socket(user.pk, key)

    def start(self) -> None:
        self._pump = asyncio.get_running_loop().create_task(self._forward())

    async def _forward(self) -> None:
        try:
            while (what := await self.socket.queue.get()) is not Do.END:
                await self._deliver(what)
        except TimeoutError:
            self.socket.end_code = TOO_SLOW
        self.hang_up(self.socket.end_code)

    async def _deliver(self, what: Frames | Do) -> None:
        if isinstance(what, Do):
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.resync()
            return
        for frame in what:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.send(text_data=frame)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        if self.asks_too_often(_ASKS_MAX):
            await self.close(code=TOO_MUCH)
        elif text_data is not None and len(text_data) < 200 and "resync" in text_data:
            self.socket.order(Do.RESYNC)

    def asks_too_often(self, most: int) -> bool:
        """Count a message; say whether there were too many within a minute."""
        now = time.monotonic()
        if now - self._minute >= 60:
            self._minute, self._asked = now, 0
        self._asked += 1
        return self._asked > most

    async def resync(self) -> None:
        """Send a new snapshot; called by the pump, so that it is first in line."""

    def leave(self) -> None:
        """Forget the socket."""

    async def disconnect(self, code: int) -> None:
        self.leave()
        if self._pump is not None:
            self._pump.cancel()


class MarketConsumer(Pumped):
    """`/ws/markets/<id>`: the public stream, and the member's own part of it."""

    stream: MarketStream | None = None

    async def connect(self) -> None:
        self.market_id = self.scope["url_route"]["kwargs"]["market_id"]
        await self.accept()
        if await hub().market(self.market_id) is None:
            await self.close(code=UNKNOWN_MARKET)
            return
        await self.open_socket()
        self.socket.order(Do.RESYNC)
        self.start()

    async def resync(self) -> None:
        """
        Send a snapshot. The socket joins in the same step in which the snapshot is
        taken, so that every later delta is behind it in the queue.
        """
        stream = await hub().market(self.market_id)
        if stream is None:
            return
        self.leave()
        self.stream = stream
        self.socket.drop()
        snapshot: dict[str, Any] = stream.snapshot() | {"me": None}
        stream.sockets.add(self.socket)
        if self.socket.member_id is not None:
            snapshot["me"] = await hub().read(
                page_data.private_of, self.socket.member_id, self.market_id
            )
        await self.send(text_data=bus.encode(snapshot).decode())

    def leave(self) -> None:
        if self.stream is not None:
            self.stream.sockets.discard(self.socket)


class TickersConsumer(Pumped):
    """`/ws/tickers`: all tickers, then those that change."""

    async def connect(self) -> None:
        await self.accept()
        await self.open_socket()
        await hub().join_tickers(self.socket)
        self.start()

    def leave(self) -> None:
        if hasattr(self, "socket"):
            hub().leave_tickers(self.socket)
