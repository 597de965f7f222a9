"""The bus of embedded mode, over a real PostgreSQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from exchange.lib import bus
from exchange.lib.bus_notify import WORK, NotifyListener, NotifyReader
from tests.faults.programs import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Iterator[NotifyReader]:
    opened = NotifyReader(WORK)
    yield opened
    opened.close()


def read(reader: NotifyReader, count: int) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []

    def is_enough() -> bool:
        found.extend(reader.read(0.05))
        return len(found) >= count

    until(is_enough)
    return found


def end_listeners() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_it_brings_work_in_order(reader: NotifyReader) -> None:
    bus.send("pixiu.market.btccny", [{"kind": "place", "id": id} for id in (3, 1, 2)])

    found = read(reader, 3)

    assert [name for name, _ in found] == ["pixiu.market.btccny"] * 3
    assert [bus.decode(body)["id"] for _, body in found] == [3, 1, 2]


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "貔貅" * 20_000, "a" * 6_990, "a" * 7_010, "é" * 3_500, ""],
    ids=["long", "wide", "nearly-one-part", "two-parts", "accents", "empty"],
)
def test_it_brings_long_messages_whole(reader: NotifyReader, text: str) -> None:
    bus.send("queue", [{"text": text}, {"text": "the next"}])

    found = read(reader, 2)

    assert [bus.decode(body)["text"] for _, body in found] == [text, "the next"]


def test_it_returns_early_when_somebody_wakes_it(reader: NotifyReader) -> None:
    end, other_end = os.pipe()
    os.write(other_end, b".")

    found = reader.read(60, end)

    os.close(end)
    os.close(other_end)
    assert found == []


def test_it_says_that_news_may_be_missed_and_goes_on_after_a_lost_connection() -> None:
    news: list[bytes] = []
    gaps: list[int] = []
    listener = NotifyListener()
    thread = threading.Thread(
        target=listener.run, args=(news.append, lambda: gaps.append(len(news)))
    )
    thread.start()
    try:
        until(lambda: gaps == [0])
        bus.announce("market", {"seq": 1})
        until(lambda: len(news) == 1)

        end_listeners()

        until(lambda: gaps == [0, 1])
        bus.announce("market", {"seq": 2})
        until(lambda: len(news) == 2)
    finally:
        listener.stop()
        thread.join()
    assert [bus.decode(body)["seq"] for body in news] == [1, 2]
