"""
The ancestor's websocket API, for bots: a challenge, an answer, and then everything.

Frames are JSON objects whose one key is the type of the message. Books are told as one
order a price level, so that nobody's orders can be followed; own trades come with own
orders as REST v2 shows them. A key is looked at again every second: who lost it is let
go.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast

from django.utils import timezone

from accounts import throttling, tokens
from accounts.models.tokens import ApiToken
from exchange.lib import bus
from exchange.lib.errors import ExchangeError
from exchange.lib.money import plain
from markets.api import shapes
from markets.book_feed import Level, Mirror
from markets.consumers import TOO_MUCH, Pumped
from markets.models import Order, Trade
from markets.streams import LEVELS_KEPT, Frames, Hub, Socket, hub

# What a bot is told of its trades includes its orders: its key must open one of these.
SCOPES = ("history", "trade")

NOT_AUTHENTICATED = 4001
CHALLENGE_BYTES = 40
TRIES_MAX = 5
ANSWER_SECONDS_MAX = 60.0
# How long a key is still believed that was revoked, or lost what it needs here.
RECHECK_SECONDS = 1.0
MESSAGES_MAX = 60  # that a bot may send in a minute: one, ever, is enough
SIZE_MAX = 4096  # of each

_SIDES = {"sell": "ask", "buy": "bid"}


class Answer(NamedTuple):
    """What a bot says to be believed."""

    access_key: str
    answer: str


class BotSocket(Socket):
    """A bot that was believed: by which key, and where from."""

    def __init__(self, token: ApiToken, address: str) -> None:
        super().__init__(token.member_id)
        self.claim = tokens.Claim(token.pk, token.member_id, address, SCOPES)


class Levels:
    """One market's book as orders that are none: one for each price level."""

    # One sequence for all markets: an id means one level, for as long as it lasts.
    _ids = itertools.count(1)

    def __init__(self, market_id: str) -> None:
        self._market_id = market_id
        self._orders: dict[tuple[str, Decimal], dict[str, Any]] = {}

    def begin(self, mirror: Mirror | None) -> None:
        """Take over a book, forgetting the one before."""
        self._orders = {}
        if mirror is not None:
            book = mirror.snapshot(limit=LEVELS_KEPT)
            for side, levels in (("sell", book.asks), ("buy", book.bids)):
                for level in levels:
                    self._add(side, level)

    def reset(self) -> Frames:
        """Return the whole book, from an empty one on: best levels first."""
        empty = [
            _frame(
                "orderbook",
                {
                    "action": "new",
                    "market": self._market_id,
                    "side": side,
                    "locale": "en",
                },
            )
            for side in _SIDES.values()
        ]
        return (*empty, *(_book_frame("add", each) for each in self._orders.values()))

    def change(self, book: Iterable[list[str]]) -> Frames:
        """Take in changed levels (side, price, new total); return what to say."""
        frames = []
        for side, price, amount in book:
            key, total = (side, Decimal(price)), Decimal(amount)
            order = self._orders.get(key)
            if order is None:
                if total:
                    frames.append(_book_frame("add", self._add(side, (key[1], total))))
            elif total:
                order |= {"volume": plain(total), "timestamp": _seconds()}
                frames.append(_book_frame("update", order))
            else:
                frames.append(_book_frame("remove", self._orders.pop(key)))
        return tuple(frames)

    def _add(self, side: str, level: Level) -> dict[str, Any]:
        price, amount = level
        order = {
            "id": next(self._ids),
            "timestamp": _seconds(),
            "type": _SIDES[side],
            "volume": plain(amount),
            "price": plain(price),
            "market": self._market_id,
            "ord_type": "limit",
        }
        self._orders[side, price] = order
        return order


class Room:
    """All bots of this process, and the books they were told."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._books: dict[str, Levels] = {}
        self.sockets: set[BotSocket] = set()
        hub.start(self._look_again())

    def admit(self, socket: BotSocket) -> None:
        """Let a socket in, welcome it, and tell it all books; it misses nothing."""
        self.sockets.add(socket)
        socket.push(
            _frame("success", {"message": "Authenticated."}),
            *(frame for book in self._books.values() for frame in book.reset()),
        )

    def on_reset(self, market_id: str, mirror: Mirror | None) -> None:
        book = self._books.setdefault(market_id, Levels(market_id))
        book.begin(mirror)
        self._push(book.reset())

    def on_changes(self, market_id: str, book: list[list[str]]) -> None:
        self._push(self._books[market_id].change(book))

    def on_trades(self, members: Mapping[int, list[int]], trade_ids: list[int]) -> None:
        concerned = {socket.claim.member_id for socket in self.sockets} & members.keys()
        if concerned:
            self._hub.start(self._tell_trades(concerned, trade_ids))

    def _push(self, frames: Frames) -> None:
        for socket in self.sockets:
            socket.push(*frames)

    async def _tell_trades(self, member_ids: set[int], trade_ids: list[int]) -> None:
        told = await self._hub.read(_trade_frames, member_ids, trade_ids)
        for socket in list(self.sockets):
            socket.push(*told.get(socket.claim.member_id, ()))

    async def _look_again(self) -> None:
        """Let go who would not be believed any more."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if not self.sockets:
                continue
            claims = {socket.claim for socket in self.sockets}
            good = await self._hub.read(_still_good, claims)
            for socket in list(self.sockets):
                if socket.claim in claims - good:
                    socket.end(NOT_AUTHENTICATED)


class BotConsumer(Pumped):
    """One bot. What it says before it is believed may be anything."""

    _is_believed = False
    _tries = 0
    _patience: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        self._challenge = secrets.token_urlsafe(CHALLENGE_BYTES)
        self._address = _address(self.scope)
        self._patience = asyncio.get_running_loop().create_task(self._lose_patience())
        await self._say("challenge", self._challenge)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Hear an answer; whatever else comes is passed over, as it always was."""
        size = len(text_data or bytes_data or "")
        if self.asks_too_often(MESSAGES_MAX) or size > SIZE_MAX:
            await self.close(code=TOO_MUCH)
        elif not self._is_believed and (answer := _answer_in(text_data)):
            await self._judge(answer)

    async def _judge(self, answer: Answer) -> None:
        room = await _room()
        try:
            token = await hub().read(_verify, answer, self._challenge, self._address)
        except ExchangeError:
            # Why is nobody's business: it would tell one half of a pair from the other.
            self._tries += 1
            await self._say("error", {"message": "Authentication failed."})
            if self._tries >= TRIES_MAX:
                await self.close(code=NOT_AUTHENTICATED)
            return
        self._is_believed = True
        self._stop_waiting()
        self.socket = BotSocket(token, self._address)
        room.admit(self.socket)
        self.start()

    async def _lose_patience(self) -> None:
        await asyncio.sleep(ANSWER_SECONDS_MAX)
        self.hang_up(NOT_AUTHENTICATED)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    async def _say(self, kind: str, body: object) -> None:
        await self.send(text_data=_frame(kind, body))

    def leave(self) -> None:
        self._stop_waiting()
        if self._is_believed:
            _rooms[hub()].sockets.discard(cast(BotSocket, self.socket))


_rooms: dict[Hub, Room] = {}


async def _room() -> Room:
    """Return the room of the running event loop, opening it at first use."""
    if hub() not in _rooms:
        room = _rooms[hub()] = Room(hub())
        await hub().join(room)
    return _rooms[hub()]


def _answer_in(text: str | None) -> Answer | None:
    """Read a message whose type is `auth`, however that is written."""
    try:
        message = bus.decode(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not message:
        return None
    kind, body = next(iter(message.items()))
    if kind.lower() != "auth" or not isinstance(body, dict):
        return None
    access_key, answer = body.get("access_key"), body.get("answer")
    if not (isinstance(access_key, str) and isinstance(answer, str)):
        return None
    return Answer(access_key, answer)


def _verify(answer: Answer, challenge: str, address: str) -> ApiToken:
    now = timezone.now()
    throttling.count_address(address, now=now, bucket="answers")
    if not (answer.access_key.isalnum() and answer.answer.isascii()):
        raise tokens.UnknownKey  # a NUL, say, which PostgreSQL takes in no text
    return tokens.verify_answer(
        access_key=answer.access_key,
        challenge=challenge,
        answer=answer.answer,
        scopes=SCOPES,
        address=address,
        now=now,
    )


def _still_good(claims: set[tokens.Claim]) -> set[tokens.Claim]:
    return tokens.still_good(claims, now=timezone.now())


def _trade_frames(member_ids: set[int], trade_ids: list[int]) -> dict[int, Frames]:
    """Read trades and what became of their orders, as each of these members is told."""
    trades = list(Trade.objects.filter(pk__in=trade_ids).order_by("pk"))
    order_ids = {
        id for trade in trades for id in (trade.maker_order_id, trade.taker_order_id)
    }
    orders = Order.objects.in_bulk(list(order_ids))
    return {
        member_id: tuple(
            _frame("trade", shapes.streamed_trade(trade, member_id, orders))
            for trade in trades
            if member_id in {trade.maker_id, trade.taker_id}
        )
        for member_id in member_ids
    }


def _address(scope: Mapping[str, Any]) -> str:
    """Say where a socket comes from, by the same rule as for a request."""
    address, _ = scope.get("client") or ("", 0)
    hops = [v.decode("latin-1") for k, v in scope["headers"] if k == b"x-forwarded-for"]
    meta = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": ",".join(hops)}
    return throttling.client_address(meta)


def _book_frame(action: str, order: dict[str, Any]) -> str:
    return _frame("orderbook", {"action": action, "order": order, "locale": "en"})


def _frame(kind: str, body: object) -> str:
    return bus.encode({kind: body}).decode()


def _seconds() -> int:
    return int(time.time())
