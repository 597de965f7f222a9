"""The streams, from a real server process to a real client."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from accounts import members
from accounts.models.members import Member
from accounts.models.sessions import Session
from exchange.lib import bus
from markets import orders, tickers
from markets.floor_host import Host
from markets.models import Trade
from tests.faults.broker import broker
from tests.faults.trading import MARKET, place, place_pairs
from tests.makers import fund
from tests.markets.streaming import (
    Follower,
    Stream,
    book_in_rows,
    cookie_of,
    floor_host,
    is_ended,
    listen_to_the_end,
    receive,
    receive_any,
    settle,
    stream_server,
)

pytestmark = pytest.mark.django_db

PATH = f"/ws/markets/{MARKET}"


@pytest.fixture
def stream(database_url: str, tmp_path: Path) -> Iterator[Stream]:
    with stream_server(tmp_path / "stream.log", DATABASE_URL=database_url) as found:
        yield found


@pytest.fixture
def stream_on_rabbitmq(
    amqp_url: str, database_url: str, tmp_path: Path
) -> Iterator[Stream]:
    log = tmp_path / "stream.log"
    with (
        broker(amqp_url) as rabbit,
        stream_server(log, DATABASE_URL=database_url, **rabbit.environment()) as found,
    ):
        yield found


@pytest.fixture
def host() -> Iterator[Host]:
    with floor_host() as found:
        yield found


@pytest.fixture(autouse=True)
def _money(alice: Member, bob: Member) -> None:
    fund(alice, "1000 btc", "1000000 cny")
    fund(bob, "1000 btc", "100000000 cny")


def trade_at_random(members: list[Member], chance: random.Random) -> None:
    """Place some orders, and take some of them back."""
    for _ in range(6):
        side, away = chance.choice(["buy", "sell"]), chance.randint(-2, 5)
        price = 30_000 - away if side == "buy" else 30_000 + away
        place(chance.choice(members), side, price, f"0.{chance.randint(1, 9)}")
    orders.cancel_all(
        member=chance.choice(members), side=chance.choice(["buy", "sell"]), **now()
    )


def now() -> dict[str, Any]:
    return {"now": timezone.now()}


def follow_the_market(stream: Stream, host: Host, members: list[Member]) -> None:
    chance = random.Random(17)
    with stream.watch(PATH) as early, stream.watch(PATH) as late:
        first = Follower(early)
        for round_ in range(12):
            trade_at_random(members, chance)
            settle(host)
            if round_ == 6:
                second = Follower(late)
        seq, bids, asks = book_in_rows(MARKET)
        for follower in (first, second):
            follower.follow_to(seq)
            assert (follower.seq, *follower.book()) == (seq, bids, asks)
        assert first.snapshots == 1
        trades = Trade.objects.order_by("pk").values_list("pk", flat=True)
        assert first.trades == list(trades)


@pytest.mark.promise("I-17")
def test_snapshot_and_updates_are_the_book_in_the_rows(
    stream: Stream, host: Host, alice: Member, bob: Member
) -> None:
    follow_the_market(stream, host, [alice, bob])


@pytest.mark.broker
@pytest.mark.promise("I-17")
def test_it_is_so_over_rabbitmq_too(
    stream_on_rabbitmq: Stream, host: Host, alice: Member, bob: Member
) -> None:
    follow_the_market(stream_on_rabbitmq, host, [alice, bob])


@pytest.mark.promise("F-7")
def test_it_sends_a_new_snapshot_when_asked_and_when_a_number_was_missed(
    stream: Stream, host: Host, alice: Member, bob: Member
) -> None:
    place(alice, "sell")
    settle(host)
    with stream.watch(PATH) as websocket:
        assert receive(websocket, "snapshot")["asks"] == [["30000.0", "0.1"]]

        websocket.send('{"type":"resync"}')

        assert receive(websocket, "snapshot")["seq"] == 1
        # A number that reaches nobody: the floor dies between commit and announcement.
        place_pairs(alice, bob, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bus, "announce", lambda *_: None)
            settle(host)
        place(alice, "sell", 30_005)
        settle(host)
        snapshot = receive(websocket, "snapshot")
        assert (snapshot["seq"], snapshot["bids"], snapshot["asks"]) == book_in_rows(
            MARKET
        )
        # And it goes on from there.
        place(alice, "sell", 30_006)
        settle(host)
        assert receive(websocket, "update")["prev"] == snapshot["seq"]


def test_it_survives_news_of_numbers_that_never_were(
    stream: Stream, host: Host, alice: Member
) -> None:
    place(alice, "sell")
    settle(host)
    with stream.watch(PATH) as websocket:
        receive(websocket, "snapshot")

        bus.announce("market", fake_news(prev=998, seq=999))

        assert receive(websocket, "snapshot")["seq"] == 1
        place(alice, "sell", 30_005)
        settle(host)
        assert receive(websocket, "update")["seq"] == 2


def test_it_survives_news_nobody_can_read(
    stream: Stream, host: Host, alice: Member
) -> None:
    with stream.watch(PATH) as websocket:
        receive(websocket, "snapshot")

        bus.driver().announce("market", b"garbage")

        assert receive(websocket, "snapshot")["seq"] == 0
    with stream.watch(PATH) as websocket:
        receive(websocket, "snapshot")
        place(alice, "sell")
        settle(host)
        assert receive(websocket, "update")["seq"] == 1


def fake_news(*, prev: int, seq: int, trades: int = 0) -> dict[str, Any]:
    at = "2026-11-22T10:00:00Z"
    trade = {"id": 1, "price": "1.0", "amount": "1.0", "funds": "1.0", "at": at}
    return {
        "market": MARKET,
        "prev": prev,
        "seq": seq,
        "book": [],
        "trades": [trade | {"side": "buy", "pad": "x" * 1000}] * trades,
        "members": {},
        "state": None,
    }


@pytest.mark.promise("S-58")
def test_private_messages_reach_their_owner_alone(
    stream: Stream, host: Host, alice: Member, bob: Member, mallory: Member
) -> None:
    def as_member(member: Member) -> dict[str, str]:
        return {"Cookie": cookie_of(member), "Origin": stream.origin}

    order = place(alice, "sell")
    with (
        stream.watch(PATH, **as_member(alice)) as alices,
        stream.watch(PATH, **as_member(bob)) as bobs,
        stream.watch(PATH, **as_member(mallory)) as mallorys,
        stream.watch(PATH) as anybodys,
        stream.watch(PATH, Cookie=cookie_of(bob)) as bobs_program,
    ):
        mine = receive(alices, "snapshot")["me"]
        assert [row["id"] for row in mine["orders"]] == [order]
        assert receive(bobs, "snapshot")["me"]["orders"] == []
        receive(mallorys, "snapshot")
        # Without an origin a cookie counts for nothing: any page could send it.
        for public in (anybodys, bobs_program):
            assert receive(public, "snapshot")["me"] is None

        place(bob, "buy")
        settle(host)

        while not (told := receive(alices, "member"))["orders"]:
            pass
        assert [(row["id"], row["state"]) for row in told["orders"]] == [
            (order, "filled")
        ]
        assert [trade["my_side"] for trade in told["trades"]] == ["sell"]
        assert {"currency": "btc", "available": "999.9", "locked": "0.0"} in told[
            "balances"
        ]
        while not (told := receive(bobs, "member"))["trades"]:
            pass
        assert told["trades"][0]["role"] == "taker"
        # The next thing the others hear is public.
        bus.announce("market", fake_news(prev=2, seq=3))
        for other in (mallorys, anybodys, bobs_program):
            kinds = [receive_any(other)["type"] for _ in range(2)]
            assert kinds == ["update", "update"]


def test_it_tells_balances_that_change_without_a_trade(
    stream: Stream, alice: Member, mallory: Member
) -> None:
    headers = {"Origin": stream.origin}
    with (
        stream.watch(PATH, Cookie=cookie_of(alice), **headers) as alices,
        stream.watch(PATH, Cookie=cookie_of(mallory), **headers) as mallorys,
    ):
        receive(alices, "snapshot")
        receive(mallorys, "snapshot")

        fund(alice, "5 btc")

        wanted = {"currency": "btc", "available": "1005.0", "locked": "0.0"}
        while wanted not in (told := receive(alices, "member"))["balances"]:
            pass
        assert (told["orders"], told["trades"]) == ([], [])
        bus.announce("market", fake_news(prev=0, seq=1))
        assert receive_any(mallorys)["type"] == "update"


@pytest.mark.promise("S-17", "S-18", "S-58")
@pytest.mark.parametrize("ending", ["signed out", "idle", "closed", "new password"])
def test_it_tells_nothing_private_after_the_session(
    stream: Stream, host: Host, alice: Member, ending: str
) -> None:
    cookie = cookie_of(alice)
    with stream.watch(PATH, Cookie=cookie, Origin=stream.origin) as websocket:
        assert receive(websocket, "snapshot")["me"] is not None

        ended_at = time.monotonic()
        match ending:
            case "signed out":
                Session.objects.all().delete()
            case "idle":
                Session.objects.update(seen_at=timezone.now() - timedelta(hours=1))
            case "closed":
                members.close(
                    member=alice, by="test", reason="test", now=timezone.now()
                )
            case _:
                alice.set_password("another one, just as long")
                alice.save()

        assert receive(websocket, "snapshot")["me"] is None
        assert time.monotonic() - ended_at < 2
        bus.announce("market", fake_news(prev=0, seq=1) | {"members": {alice.pk: []}})
        bus.announce("market", fake_news(prev=1, seq=2))
        assert [receive_any(websocket)["seq"] for _ in range(2)] == [1, 2]


@pytest.mark.promise("S-16", "S-17")
def test_a_session_that_was_idle_opens_nothing_private(
    stream: Stream, alice: Member
) -> None:
    cookie = cookie_of(alice)
    Session.objects.update(seen_at=timezone.now() - timedelta(hours=1))

    with stream.watch(PATH, Cookie=cookie, Origin=stream.origin) as websocket:
        assert receive(websocket, "snapshot")["me"] is None


@pytest.mark.promise("S-58")
def test_it_refuses_pages_of_strangers(stream: Stream, alice: Member) -> None:
    headers = {"Cookie": cookie_of(alice), "Origin": "https://evil.example"}

    with (
        pytest.raises(InvalidStatus) as refused,
        stream.watch(PATH, **headers),
    ):
        pass

    assert refused.value.response.status_code == 403


def test_it_closes_unknown_markets_and_too_many_questions(stream: Stream) -> None:
    with stream.watch("/ws/markets/nosuch") as unknown:
        assert listen_to_the_end(unknown) == 4004
    with stream.watch(PATH) as nosy:
        assert listen_to_the_end(nosy, saying='{"type":"resync"}') == 4029


def test_it_sends_all_tickers_and_then_those_that_change(
    stream: Stream, host: Host, alice: Member, bob: Member
) -> None:
    with stream.watch("/ws/tickers") as websocket:
        assert set(receive(websocket, "tickers")["tickers"]) == {
            *("btccny", "btcusd", "ltccny", "ltcbtc")
        }

        place_pairs(alice, bob, 1)
        settle(host)

        told = receive(websocket, "tickers")["tickers"]
        while MARKET not in told or told[MARKET]["last"] is None:
            told = receive(websocket, "tickers")["tickers"]
        assert told[MARKET] == tickers.ticker(MARKET, timezone.now()).as_json()
        assert Decimal(told[MARKET]["volume"]) == Decimal("0.1")

        place(alice, "sell", 30_100)
        settle(host)

        told = receive(websocket, "tickers")["tickers"]
        assert set(told) == {MARKET}
        assert told[MARKET]["sell"] == "30100.0"


@pytest.mark.promise("S-58")
def test_it_drops_who_does_not_listen_and_serves_the_others(
    stream: Stream, host: Host, alice: Member
) -> None:
    """
    Large messages fill whatever lies between the server and a client that does not
    read; what the server would have to keep then, it drops together with the client.
    """
    place(alice, "sell")
    settle(host)
    with stream.deaf_client(PATH) as deaf, stream.watch(PATH) as keen:
        seq = receive(keen, "snapshot")["seq"]
        for number in range(seq, seq + 500):
            news = fake_news(prev=number, seq=number + 1, trades=60)
            bus.announce("market", news)
            receive(keen, "update")

        assert is_ended(deaf)


def test_it_goes_on_when_postgresql_ended_its_sessions(
    stream: Stream, host: Host, alice: Member
) -> None:
    with stream.watch(PATH) as websocket:
        receive(websocket, "snapshot")

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        receive(websocket, "snapshot")
        place(alice, "sell")
        settle(host)

        assert receive(websocket, "update")["book"] == [["sell", "30000.0", "0.1"]]
