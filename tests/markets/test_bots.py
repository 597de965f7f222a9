"""
The ancestor's websocket API, from a real server process to a client that knows only
what the ancestor's documents said.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from asgiref.testing import ApplicationCommunicator
from django.utils import timezone
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from accounts import keys as keys_of_members
from accounts import members, tokens
from accounts.models.members import Member
from accounts.tokens import Issued
from exchange.lib import bus
from exchange.routing import bots as application
from markets import bots, streams
from markets.api import shapes
from markets.consumers import TOO_MUCH
from markets.floor_host import Host
from markets.models import Market, Order, Trade
from tests.faults.trading import MARKET, place
from tests.makers import fund, make_token
from tests.markets.streaming import (
    RECEIVE_SECONDS_MAX,
    Stream,
    floor_host,
    listen_to_the_end,
    settle,
    stream_server,
)

pytestmark = pytest.mark.django_db

PATH = "/ws/v2"
FAILED = {"error": {"message": "Authentication failed."}}
WELCOME = {"success": {"message": "Authenticated."}}


@pytest.fixture
def stream(database_url: str, tmp_path: Path) -> Iterator[Stream]:
    with stream_server(tmp_path / "stream.log", DATABASE_URL=database_url) as found:
        yield found


@pytest.fixture
def host() -> Iterator[Host]:
    with floor_host() as found:
        yield found


@pytest.fixture(autouse=True)
def _money(alice: Member, bob: Member) -> None:
    fund(alice, "1000 btc", "1000000 cny")
    fund(bob, "1000 btc", "100000000 cny")


def answer(access_key: str, secret_key: str, challenge: str) -> str:
    message = (access_key + challenge).encode()
    return hmac.new(secret_key.encode(), message, hashlib.sha256).hexdigest()


def receive(websocket: ClientConnection, kind: str | None = None) -> dict[str, Any]:
    """Return the next frame, or the next of a kind."""
    deadline = time.monotonic() + RECEIVE_SECONDS_MAX
    while True:
        frame = json.loads(websocket.recv(timeout=deadline - time.monotonic()))
        assert len(frame) == 1
        if kind is None or kind in frame:
            found: dict[str, Any] = frame
            return found


def authenticate(
    websocket: ClientConnection, keys: Issued, word: str = "auth", **changes: Any
) -> dict[str, Any]:
    """Answer the challenge; return what the server says to it."""
    challenge = receive(websocket)["challenge"]
    right = answer(keys.access_key, keys.secret_key, challenge)
    body = {"access_key": keys.access_key, "answer": right} | changes
    websocket.send(json.dumps({word: body}))
    return receive(websocket)


@contextmanager
def bot(stream: Stream, keys: Issued) -> Iterator[ClientConnection]:
    """Be an authenticated bot that has heard all books as they are."""
    with stream.watch(PATH) as websocket:
        assert authenticate(websocket, keys) == WELCOME
        yield websocket


def book_after(websocket: ClientConnection, markets: int = 4) -> list[dict[str, Any]]:
    """Return the pseudo orders that follow the resets of all markets."""
    orders, resets = [], 0
    while resets < 2 * markets:
        message = receive(websocket)["orderbook"]
        resets += message["action"] == "new"
        if message["action"] == "add":
            orders.append(message["order"])
    return orders


def test_it_answers_as_the_ancestors_vector_does() -> None:
    expected = "52ca0e5beab532532c62155e78d81c7dc8ad6d6f744cf3797668cf52dd2f9a41"

    assert tokens.sign("abc" + "def", secret_key="ghi") == expected
    assert answer("abc", "ghi", "def") == expected


def test_it_gives_everybody_a_challenge_of_their_own(stream: Stream) -> None:
    with stream.watch(PATH) as one, stream.watch(PATH) as other:
        first, second = receive(one), receive(other)

    assert set(first) == {"challenge"}
    assert len(first["challenge"]) == len(second["challenge"]) == 54
    assert first != second


def test_it_welcomes_whoever_knows_the_secret(stream: Stream, alice: Member) -> None:
    keys = make_token(alice)
    for word in ("auth", "AUTH", "Auth"):
        with stream.watch(PATH) as websocket:
            assert authenticate(websocket, keys, word) == WELCOME, word


@pytest.mark.parametrize("kind", ["expired", "revoked", "disabled", "closed", "scope"])
def test_it_refuses_a_key_that_opens_nothing(
    stream: Stream, alice: Member, kind: str
) -> None:
    now = timezone.now()
    which: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": now - timedelta(seconds=1)},
        "scope": {"scopes": ["profile"]},
    }
    terms = which.get(kind, {})
    keys = make_token(alice, **terms)
    if kind == "revoked":
        tokens.revoke(token=keys.token, by="test", now=now)
    elif kind == "disabled":
        Member.objects.filter(pk=alice.pk).update(api_disabled=True)
    elif kind == "closed":
        members.close(member=alice, by="test", reason="test", now=timezone.now())

    with stream.watch(PATH) as websocket:
        assert authenticate(websocket, keys) == FAILED


def test_it_refuses_strangers_in_the_same_words(stream: Stream, alice: Member) -> None:
    keys = make_token(alice)
    elsewhere = make_token(alice, trusted_ips=["203.0.113.0/24"])
    wrong = [
        {"access_key": "nobody"},
        {"access_key": "a\0b"},
        {"answer": "0" * 64},
        {"answer": "\u0661"},
        {"answer": ""},
    ]
    for changes in wrong:
        with stream.watch(PATH) as websocket:
            assert authenticate(websocket, keys, **changes) == FAILED, changes
    with stream.watch(PATH) as websocket:
        assert authenticate(websocket, elsewhere) == FAILED


def test_it_lets_a_bot_try_again_a_few_times(stream: Stream, alice: Member) -> None:
    keys = make_token(alice)
    with stream.watch(PATH) as websocket:
        challenge = receive(websocket)["challenge"]

        def say(text: str) -> dict[str, Any]:
            body = {"access_key": keys.access_key, "answer": text}
            websocket.send(json.dumps({"auth": body}))
            return receive(websocket)

        assert say("wrong") == FAILED
        right = answer(keys.access_key, keys.secret_key, challenge)
        assert say(right) == WELCOME
    with stream.watch(PATH) as websocket:
        receive(websocket)
        for _ in range(bots.TRIES_MAX):
            assert say("wrong") == FAILED
        assert listen_to_the_end(websocket) == bots.NOT_AUTHENTICATED


def test_an_answer_opens_no_other_socket(stream: Stream, alice: Member) -> None:
    keys = make_token(alice)
    with stream.watch(PATH) as one, stream.watch(PATH) as other:
        challenge = receive(one)["challenge"]
        right = answer(keys.access_key, keys.secret_key, challenge)

        assert authenticate(other, keys, answer=right) == FAILED


OTHERS = [
    *("", "x", "[]", "{}", "1", "null", '"auth"', '{"auth":1}', '{"auth":null}'),
    *('{"auth":{}}', '{"auth":{"access_key":1,"answer":2}}', "[" * 2000),
    *('{"subscribe":{"auth":{}}}', '{"x":1,"auth":{"access_key":"a","answer":"b"}}'),
]


def test_it_passes_over_whatever_else_is_said(stream: Stream, alice: Member) -> None:
    keys = make_token(alice)
    with stream.watch(PATH) as websocket:
        challenge = receive(websocket)["challenge"]
        for text in OTHERS:
            websocket.send(text)
        websocket.send(b"\x00\xff")
        right = answer(keys.access_key, keys.secret_key, challenge)
        body = {"access_key": keys.access_key, "answer": right}

        websocket.send(json.dumps({"auth": body}))

        assert receive(websocket) == WELCOME
        # And twice is once: what comes next is the books, not a second welcome.
        websocket.send(json.dumps({"auth": body}))
        book_after(websocket)
        websocket.send(json.dumps({"auth": body}))


def test_it_closes_on_whoever_says_too_much(stream: Stream) -> None:
    for words in (["x"] * (bots.MESSAGES_MAX + 1), ["x" * (bots.SIZE_MAX + 1)]):
        with stream.watch(PATH) as websocket:
            for word in words:
                websocket.send(word)
            assert listen_to_the_end(websocket) == TOO_MUCH


def test_it_tells_books_by_the_level(
    stream: Stream, host: Host, alice: Member, bob: Member, mallory: Member
) -> None:
    fund(mallory, "1 btc")
    place(alice, "sell", 30_005, "0.5")
    place(mallory, "sell", 30_005, "0.25")
    place(bob, "buy", 29_990, "1")
    settle(host)
    with bot(stream, make_token(alice)) as websocket:
        first = receive(websocket)

        assert first == {
            "orderbook": {
                "action": "new",
                "market": "btccny",
                "side": "ask",
                "locale": "en",
            }
        }
        receive(websocket)
        ask = receive(websocket)["orderbook"]
        bid = receive(websocket)["orderbook"]["order"]
        order = ask["order"]
        assert list(ask) == ["action", "order", "locale"]
        assert list(order.items()) == [
            ("id", order["id"]),
            ("timestamp", order["timestamp"]),
            ("type", "ask"),
            ("volume", "0.75"),
            ("price", "30005.0"),
            ("market", "btccny"),
            ("ord_type", "limit"),
        ]
        assert (bid["type"], bid["price"], bid["volume"]) == ("bid", "29990.0", "1.0")
        assert order["id"] != bid["id"]
        assert abs(order["timestamp"] - time.time()) < 60

        def told() -> tuple[str, int, str]:
            message = receive(websocket, "orderbook")["orderbook"]
            while message["action"] == "new":
                message = receive(websocket, "orderbook")["orderbook"]
            found = message["order"]
            return message["action"], found["id"], found["volume"]

        resting = place(alice, "sell", 30_005, "0.25")
        settle(host)
        assert told() == ("update", order["id"], "1.0")
        place(alice, "sell", 30_010, "2")
        settle(host)
        action, new_id, volume = told()
        assert (action, volume) == ("add", "2.0")
        assert new_id not in {order["id"], bid["id"]}
        place(bob, "buy", 30_005, "1")
        settle(host)
        assert told() == ("remove", order["id"], "1.0")
        # The level comes back as another one.
        place(alice, "sell", 30_005, "0.25")
        settle(host)
        assert told()[1] not in {order["id"], bid["id"], new_id}
        assert resting not in {order["id"], bid["id"], new_id}


def test_every_bot_is_told_the_same_ids(
    stream: Stream, host: Host, alice: Member, bob: Member
) -> None:
    for price in (30_005, 30_006):
        place(alice, "sell", price)
    settle(host)
    with bot(stream, make_token(alice)) as one, bot(stream, make_token(bob)) as other:
        first, second = book_after(one), book_after(other)

    assert [order["price"] for order in first] == ["30005.0", "30006.0"]
    assert first == second


def test_it_begins_books_anew_after_a_gap(
    stream: Stream, host: Host, alice: Member
) -> None:
    with bot(stream, make_token(alice)) as websocket:
        book_after(websocket)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bus, "announce", lambda *_: None)
            place(alice, "sell", 30_005)
            settle(host)
        place(alice, "sell", 30_006)
        settle(host)

        orders = book_after(websocket, markets=1)
        while len(orders) < 2:
            orders.append(receive(websocket)["orderbook"]["order"])
        assert [order["price"] for order in orders] == ["30005.0", "30006.0"]


def test_it_tells_own_trades_to_their_owners_alone(
    stream: Stream, host: Host, alice: Member, bob: Member, mallory: Member
) -> None:
    with (
        bot(stream, make_token(alice, scopes=["history"])) as alices,
        bot(stream, make_token(bob, scopes=["trade"])) as bobs,
        bot(stream, make_token(mallory)) as mallorys,
    ):
        sold = place(alice, "sell", 30_000, "0.5")
        bought = place(bob, "buy", 30_000, "0.2")
        settle(host)

        trade = receive(alices, "trade")["trade"]
        row = Trade.objects.get()
        assert list(trade.items()) == [
            ("id", row.pk),
            ("price", "30000.0"),
            ("volume", "0.2"),
            ("funds", "6000.0"),
            ("market", MARKET),
            ("created_at", trade["created_at"]),
            ("side", "ask"),
            ("ask", shapes.order(Order.objects.get(pk=sold))),
        ]
        assert trade["ask"]["remaining_volume"] == "0.3"
        hers = receive(bobs, "trade")["trade"]
        assert (hers["side"], hers["bid"]["id"]) == ("bid", bought)
        assert "ask" not in hers
        # Mallory hears of the book, and of nothing else.
        place(alice, "sell", 30_009, "0.1")
        settle(host)
        heard = receive(mallorys)["orderbook"]
        while heard["action"] != "add" or heard["order"]["price"] != "30009.0":
            heard = receive(mallorys)["orderbook"]


def test_a_trade_with_oneself_has_both_sides(alice: Member) -> None:
    """The engine makes none; the shape must hold for those of older books."""
    orders = {
        id: Order(
            pk=id,
            member_id=alice.pk,
            side=side,
            kind="limit",
            amount=1,
            price=1,
            market_id=MARKET,
            created_at=timezone.now(),
        )
        for id, side in ((1, "sell"), (2, "buy"))
    }
    trade = Trade(
        pk=9,
        maker_order_id=1,
        taker_order_id=2,
        taker_side="buy",
        price=1,
        amount=1,
        funds=1,
        market_id=MARKET,
        created_at=timezone.now(),
    )

    shown = shapes.streamed_trade(trade, alice.pk, orders)

    assert shown["side"] == "both"
    assert (shown["ask"]["id"], shown["bid"]["id"]) == (1, 2)


@pytest.mark.promise("S-49")
@pytest.mark.parametrize("kind", ["revoked", "disabled", "expired", "narrowed"])
def test_it_lets_go_who_lost_the_key(stream: Stream, alice: Member, kind: str) -> None:
    now = timezone.now()
    soon = now + timedelta(seconds=2)
    keys = make_token(alice, expires_at=soon if kind == "expired" else None)
    with bot(stream, keys) as websocket:
        if kind == "revoked":
            tokens.revoke(token=keys.token, by="test", now=now)
        elif kind == "disabled":
            Member.objects.filter(pk=alice.pk).update(api_disabled=True)
        elif kind == "narrowed":
            terms = keys_of_members.Terms("Ledger", ["profile"])
            key_id = keys.token.pk
            keys_of_members.change(member=alice, key_id=key_id, terms=terms, now=now)

        assert listen_to_the_end(websocket) == bots.NOT_AUTHENTICATED


def test_it_shows_no_hidden_market(stream: Stream, host: Host, alice: Member) -> None:
    Market.objects.filter(pk="ltcbtc").update(is_visible=False)
    with stream.watch(PATH) as websocket:
        # The hub reads the markets before its first word.
        assert authenticate(websocket, make_token(alice)) == WELCOME
        markets = {receive(websocket)["orderbook"]["market"] for _ in range(6)}

    assert markets <= {"btccny", "btcusd", "ltccny"}


def test_it_needs_no_origin_and_minds_none(stream: Stream, alice: Member) -> None:
    with stream.watch(PATH, Origin="https://bot.example") as websocket:
        assert authenticate(websocket, make_token(alice)) == WELCOME


def test_it_answers_at_any_path_on_its_own_port(
    database_url: str, tmp_path: Path, alice: Member
) -> None:
    log = tmp_path / "stream.log"
    with stream_server(log, "bots", DATABASE_URL=database_url) as stream:
        for path in ("/", "", "/socket", "/ws/v2"):
            with stream.watch(path) as websocket:
                assert authenticate(websocket, make_token(alice)) == WELCOME


def test_it_says_to_plain_http_what_is_spoken_here(stream: Stream) -> None:
    for path in ("/", "/ws/v2"):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"http://127.0.0.1:{stream.port}{path}", timeout=5)

        assert refused.value.code == 426
        assert refused.value.headers["upgrade"] == "websocket"
        refused.value.close()


def test_it_refuses_other_paths_without_an_alarm(stream: Stream) -> None:
    with pytest.raises(InvalidStatus) as refused, stream.watch("/ws/nothing"):
        pass

    assert refused.value.response.status_code == 403
    assert "Traceback" not in "".join(stream.process.words())


def test_it_holds_nothing_of_who_left(alice: Member) -> None:
    """In this process, with the application's own objects to look at."""
    keys = make_token(alice)

    async def come_and_go() -> tuple[int, int, int]:
        before = len(asyncio.all_tasks())
        scope = {"type": "websocket", "path": "/", "headers": [], "client": ("::1", 1)}
        make: Any = ApplicationCommunicator
        caller = make(application, scope)

        async def heard() -> Any:
            return json.loads((await caller.receive_output(10))["text"])

        await caller.send_input({"type": "websocket.connect"})
        assert (await caller.receive_output(10))["type"] == "websocket.accept"
        challenge = (await heard())["challenge"]
        right = answer(keys.access_key, keys.secret_key, challenge)
        body = json.dumps({"auth": {"access_key": keys.access_key, "answer": right}})
        await caller.send_input({"type": "websocket.receive", "text": body})
        assert await heard() == WELCOME
        room = bots._rooms[streams.hub()]
        inside = len(room.sockets)
        await caller.send_input({"type": "websocket.disconnect", "code": 1000})
        await caller.wait(10)
        outside = len(room.sockets)
        streams.hub().stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        return inside, outside, len(asyncio.all_tasks()) - before

    assert asyncio.run(come_and_go()) == (1, 0, 0)
