"""
The stream process's hub: one subscription to the news, one mirror of each market, and
a registry of sockets.

Everything but the reading of rows happens on the event loop, so nothing needs a lock:
a socket that joins gets a snapshot of the mirror and every delta after it. Rows are
read by one worker thread. An event is encoded once, whoever listens. A socket that does
not keep up is dropped, not buffered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from accounts import sign_in
from exchange.lib import bus
from exchange.lib.money import plain
from exchange.lib.transactions import transaction
from markets import book_feed, page_data, queries, tickers
from markets.book_feed import Mirror, levels_view
from markets.models import Market

log = logging.getLogger("markets.streams")

R = TypeVar("R")

Frames = tuple[str, ...]  # of one event

TOO_SLOW = 4008
QUEUE_MAX = 256  # events a socket may be behind before it is dropped
BEAT_SECONDS = 5.0
RETRY_SECONDS = 0.5
TICKERS_SECONDS = 1.0
# How long an ended session or key is still believed: two seconds at most are promised,
# and a thousand sessions are looked at in 30 ms.
RECHECK_SECONDS = 1.0
REFRESH_SECONDS = 10.0  # how often a 24-hour window is read again
TRADES_KEPT = page_data.TRADES
LEVELS_SENT = page_data.LEVELS
LEVELS_KEPT = 100_000  # of each side, so that a level that moves up is known


class Do(Enum):
    """What a socket's queue may hold besides frames."""

    RESYNC = auto()  # take a new snapshot and go on from there
    END = auto()  # close


class Socket:
    """A listener: what it has yet to be sent, and whose it is."""

    def __init__(self, member_id: int | None, session_key: str = "") -> None:
        self.member_id = member_id
        self.session_key = session_key  # what makes it theirs, for a page's socket
        self.queue: asyncio.Queue[Frames | Do] = asyncio.Queue(QUEUE_MAX)
        self.is_ended = False
        self.end_code = TOO_SLOW

    def push(self, *frames: str) -> None:
        """Queue the frames of one event; a socket whose queue is full is ended."""
        if self.is_ended or not frames:
            return
        try:
            self.queue.put_nowait(frames)
        except asyncio.QueueFull:
            self.order(Do.END)

    def order(self, what: Do) -> None:
        """Drop what waits and do this next; after the end there is nothing."""
        if not self.is_ended:
            self.drop()
            self.is_ended = what is Do.END
            self.queue.put_nowait(what)

    def end(self, code: int) -> None:
        """Close, whatever waits, and say why by a code."""
        self.end_code = code
        self.order(Do.END)

    def forget_member(self) -> None:
        """Go on as anybody's, from a new snapshot on."""
        self.member_id, self.session_key = None, ""
        self.order(Do.RESYNC)

    def drop(self) -> None:
        """Forget the frames that wait: a snapshot that is sent now has it all."""
        if not self.is_ended:
            while not self.queue.empty():
                self.queue.get_nowait()


@dataclass(slots=True)
class MarketStream:
    """One market as its watchers see it."""

    market: dict[str, Any]
    mirror: Mirror
    trades: list[dict[str, Any]]  # newest first
    ticker: dict[str, str | None]
    sockets: set[Socket] = field(default_factory=set)
    held: list[dict[str, Any]] | None = None  # news that waits for a reload

    def snapshot(self) -> dict[str, Any]:
        """Return the public part of a snapshot."""
        book = self.mirror.snapshot(limit=LEVELS_SENT)
        return {
            "type": "snapshot",
            "market": self.market,
            "seq": book.seq,
            "bids": levels_view(book.bids),
            "asks": levels_view(book.asks),
            "trades": self.trades,
            "ticker": self.ticker,
        }

    def push(self, message: dict[str, Any]) -> None:
        """Send a message to every watcher, encoded once."""
        if self.sockets:
            frame = bus.encode(message).decode()
            for socket in list(self.sockets):
                socket.push(frame)

    def count(self, trades: list[dict[str, Any]]) -> None:
        """Add trades to the list and to the ticker's window."""
        self.trades = [*reversed(trades), *self.trades][:TRADES_KEPT]
        ticker = self.ticker
        for trade in trades:
            price = Decimal(trade["price"])
            ticker["last"] = trade["price"]
            ticker["open"] = ticker["open"] or trade["price"]
            ticker["high"] = plain(max(price, Decimal(ticker["high"] or price)))
            ticker["low"] = plain(min(price, Decimal(ticker["low"] or price)))
            for name, value in (("volume", "amount"), ("funds", "funds")):
                total = Decimal(ticker[name] or 0) + Decimal(trade[value])
                ticker[name] = plain(total)
        for name in ("buy", "sell"):
            best = self.mirror.best(name)
            ticker[name] = None if best is None else plain(best)


class Watcher(Protocol):
    """Who follows all markets at once, on the event loop, in the order of the news."""

    def on_reset(self, market_id: str, mirror: Mirror | None) -> None:
        """Begin with this book of a market; None when the market is no longer shown."""

    def on_changes(self, market_id: str, book: list[list[str]]) -> None:
        """Take in the levels that changed: side, price, new total."""

    def on_trades(self, members: Mapping[int, list[int]], trade_ids: list[int]) -> None:
        """Hear of trades, of whose orders they are, and of those orders."""


class Hub:
    """All streams of this process; one for each event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rows = ThreadPoolExecutor(1, thread_name_prefix="rows")
        self._streams: dict[str, MarketStream] = {}
        self._ticker_sockets: set[Socket] = set()
        self._watchers: list[Watcher] = []
        self._told: dict[str, dict[str, str | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._listener = bus.listener()
        threading.Thread(target=self._listen, name="news", daemon=True).start()
        chores = (self._beat, self._tell_tickers, self._refresh, self._look_again)
        for chore in chores:
            self.start(chore())

    async def market(self, market_id: str) -> MarketStream | None:
        """Return a market's stream, or None where there is no such market."""
        await self._ready.wait()
        return self._streams.get(market_id)

    async def join(self, watcher: Watcher) -> None:
        """Let a watcher begin with all books as they are, and follow from there."""
        await self._ready.wait()
        self._watchers.append(watcher)
        for market_id, stream in self._streams.items():
            watcher.on_reset(market_id, stream.mirror)

    async def join_tickers(self, socket: Socket) -> None:
        """Send all tickers, and from then on those that change."""
        await self._ready.wait()
        whole = {id: stream.ticker for id, stream in self._streams.items()}
        socket.push(bus.encode({"type": "tickers", "tickers": whole}).decode())
        self._ticker_sockets.add(socket)

    def leave_tickers(self, socket: Socket) -> None:
        """Forget a watcher of the tickers."""
        self._ticker_sockets.discard(socket)

    async def read(self, reader: Callable[..., R], *args: Any) -> R:
        """Read rows in the worker thread, as soon as the database lets us."""
        while True:
            try:
                return await self._loop.run_in_executor(
                    self._rows, _reading, reader, *args
                )
            except (OperationalError, InterfaceError) as error:
                log.warning("cannot read rows yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def stop(self) -> None:
        """End the subscription and the chores; for tests and shutdown."""
        self._listener.stop()
        for task in self._tasks:
            task.cancel()
        self._rows.submit(connection.close)
        self._rows.shutdown(wait=True)

    def start(self, chore: Coroutine[Any, Any, None]) -> None:
        """Run a chore on the event loop; it ends with the hub."""
        task = self._loop.create_task(chore)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen(self) -> None:
        def on_news(body: bytes) -> None:
            try:
                news = bus.decode(body)
            except ValueError as error:
                log.error("news nobody can read, markets are read anew: %s", error)
                on_gap()
                return
            self._loop.call_soon_threadsafe(self._take, news)

        def on_gap() -> None:
            self._loop.call_soon_threadsafe(lambda: self.start(self._reload_all()))

        while True:
            try:
                self._listener.run(on_news, on_gap)
            except Exception:
                # Silence here would be prices that stand still and look alive.
                log.exception("the news stopped; listening anew")
            else:
                return  # told to stop

    def _take(self, news: dict[str, Any]) -> None:
        if members := news.get("balances_of"):
            for each in self._streams.values():
                self._send_to(each, {member: [] for member in members}, [])
            return
        stream = self._streams.get(news["market"])
        if stream is None:
            return
        if stream.held is not None:
            stream.held.append(news)
            return
        self._apply(stream, news)

    def _apply(self, stream: MarketStream, news: dict[str, Any]) -> None:
        is_new = news["seq"] > stream.mirror.seq
        fits = stream.mirror.apply(
            prev=news["prev"], seq=news["seq"], book=news["book"]
        )
        if not fits:
            # What came was committed before it came, so the rows have it already.
            stream.held = []
            self.start(self._reload(news["market"]))
            return
        if is_new:
            for watcher in self._watchers:
                watcher.on_changes(news["market"], news["book"])
            stream.count(news["trades"])
            public = {name: news[name] for name in ("market", "prev", "seq", "book")}
            stream.push(
                {"type": "update"}
                | public
                | {"trades": news["trades"], "ticker": stream.ticker}
            )
        if news["state"] is not None:
            stream.market = stream.market | {"state": news["state"]}
            stream.push({"type": "state", "state": news["state"], "reason": ""})
        self._tell_members(stream, news)

    def _tell_members(self, stream: MarketStream, news: dict[str, Any]) -> None:
        members = {int(member): ids for member, ids in news["members"].items()}
        trades = [trade["id"] for trade in news["trades"]]
        if trades:
            for watcher in self._watchers:
                watcher.on_trades(members, trades)
        self._send_to(stream, members, trades)

    def _send_to(
        self, stream: MarketStream, members: dict[int, list[int]], trades: list[int]
    ) -> None:
        """Send those members who watch what changed for them: {member: order ids}."""
        watching = {socket.member_id for socket in stream.sockets}
        concerned = {id: orders for id, orders in members.items() if id in watching}
        if concerned:
            self.start(self._send_private(stream, concerned, trades))

    async def _send_private(
        self, stream: MarketStream, concerned: dict[int, list[int]], trades: list[int]
    ) -> None:
        views = await self.read(page_data.private_views, concerned, trades)
        for member_id, view in views.items():
            frame = bus.encode({"type": "member"} | view).decode()
            for socket in list(stream.sockets):
                if socket.member_id == member_id:
                    socket.push(frame)

    async def _reload_all(self) -> None:
        markets = await self.read(queries.visible_markets)
        for market_id in [market.pk for market in markets]:
            if stream := self._streams.get(market_id):
                stream.held = stream.held or []
            try:
                await self._reload(market_id)
            except queries.UnknownMarket:
                self._streams.pop(market_id, None)  # hidden just now
                for watcher in self._watchers:
                    watcher.on_reset(market_id, None)
        self._ready.set()

    async def _reload(self, market_id: str) -> None:
        """Read a market anew; news that came meanwhile is applied on top."""
        fresh = await self.read(_read_market, market_id)
        old = self._streams.get(market_id)
        self._streams[market_id] = fresh
        for watcher in self._watchers:
            watcher.on_reset(market_id, fresh.mirror)
        if old is None:
            return
        fresh.sockets, held = old.sockets, old.held or []
        for socket in fresh.sockets:
            socket.order(Do.RESYNC)
        for news in held:
            self._take(news)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for stream in self._streams.values():
                stream.push({"type": "beat", "seq": stream.mirror.seq})

    async def _tell_tickers(self) -> None:
        while True:
            await asyncio.sleep(TICKERS_SECONDS)
            changed = {
                id: stream.ticker
                for id, stream in self._streams.items()
                if self._told.get(id) != stream.ticker
            }
            if changed:
                self._told |= {id: dict(ticker) for id, ticker in changed.items()}
                _push_all(self._ticker_sockets, {"type": "tickers", "tickers": changed})

    async def _refresh(self) -> None:
        """A 24-hour window moves on without trades; read it again now and then."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            for found in await self.read(_read_tickers):
                if stream := self._streams.get(found.market_id):
                    stream.ticker = found.as_json()
                else:
                    await self._reload(found.market_id)  # it is new

    async def _look_again(self) -> None:
        """A session that ended must not go on being told what is private."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            streams = self._streams.values()
            private = [s for stream in streams for s in stream.sockets if s.session_key]
            if private:
                keys = {socket.session_key for socket in private}
                live = await self.read(live_sessions, keys)
                for socket in private:
                    if socket.session_key in keys - live:
                        socket.forget_member()


def live_sessions(keys: set[str]) -> set[str]:
    """Return those of the sessions that would open a page now."""
    return sign_in.still_signed_in(keys, now=timezone.now())


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """Return the hub of the running event loop, starting it at first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _reading(reader: Callable[..., R], *args: Any) -> R:
    """Read on this thread's own connection; drop it when it broke."""
    try:
        return reader(*args)
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def _read_market(market_id: str) -> MarketStream:
    """Read book, trades and ticker as of one moment: deltas after it count once."""
    with transaction():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return MarketStream(
            page_data.market_view(Market.objects.get(pk=market_id)),
            Mirror(book_feed.snapshot(market_id, limit=LEVELS_KEPT)),
            page_data.trade_views(market_id),
            tickers.ticker(market_id, timezone.now()).as_json(),
        )


def _read_tickers() -> list[tickers.Ticker]:
    return tickers.tickers(timezone.now())


def _push_all(sockets: Iterable[Socket], message: dict[str, Any]) -> None:
    frame = bus.encode(message).decode()
    for socket in list(sockets):
        socket.push(frame)
