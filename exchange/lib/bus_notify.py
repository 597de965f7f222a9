"""
The bus over PostgreSQL's LISTEN/NOTIFY, for embedded mode.

NOTIFY takes at most 8,000 bytes, so longer bodies travel in numbered parts sent by one
statement: PostgreSQL delivers the notifications of one transaction together and in
order. Work for all markets shares one channel; the queue's name travels in front.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable

import psycopg2
from django.db import InterfaceError, OperationalError, connection

from exchange.lib.bus import news

log = logging.getLogger("exchange.bus")

WORK = "pixiu.work"
_PART = 7000  # bytes of a part; UTF-8 and the header fit into the 8,000
_RECONNECT_SECONDS = 0.5


class NotifyDriver:
    """Sends over the connection Django already has."""

    def send(self, queue: str, bodies: list[bytes]) -> None:
        self._notify(WORK, [f"{queue} {body.decode()}" for body in bodies])

    def announce(self, topic: str, body: bytes) -> None:
        self._notify(news(), [f"{topic} {body.decode()}"])

    def is_out(self) -> bool:
        return False  # it is as available as the truth itself

    def backlog(self, queue: str) -> int | None:
        return 0  # a notification waits for nobody

    def _notify(self, channel: str, texts: list[str]) -> None:
        parts = [part for text in texts for part in _cut(text)]
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_notify(%s, part)"
                    " FROM unnest(%s::text[]) WITH ORDINALITY AS parts (part, place)"
                    " ORDER BY place",
                    [channel, parts],
                )
        except (OperationalError, InterfaceError) as error:
            log.warning("notification lost, the sweeper will find it: %s", error)


class NotifyReader:
    """One connection that LISTENs; parts are put together again."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._buffer = ""
        params = connection.get_connection_params()
        params.pop("cursor_factory", None)
        self._connection = psycopg2.connect(**params)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(f'LISTEN "{channel}"')

    def read(self, timeout: float, *also: int) -> list[tuple[str, bytes]]:
        """
        Wait up to `timeout` seconds and return what arrived as (name, body), in order.
        Returns early when one of the file descriptors `also` becomes readable.
        """
        ready, _, _ = select.select([self._connection, *also], [], [], timeout)
        if self._connection not in ready:
            return []
        self._connection.poll()
        arrived, self._connection.notifies = self._connection.notifies, []
        return [
            message
            for notice in arrived
            if (message := self._join(notice.payload)) is not None
        ]

    def close(self) -> None:
        self._connection.close()

    def _join(self, part: str) -> tuple[str, bytes] | None:
        following, _, text = part.partition(":")
        if following != "0":
            self._buffer += text
            return None
        whole, self._buffer = self._buffer + text, ""
        name, _, body = whole.partition(" ")
        return name, body.encode()


class NotifyListener:
    """The news, read in a loop that survives the database going away."""

    def __init__(self) -> None:
        self._wake, self._waker = os.pipe()
        self._stopping = False

    def run(self, on_news: Callable[[bytes], None], on_gap: Callable[[], None]) -> None:
        while not self._stopping:
            try:
                reader = NotifyReader(news())
            except psycopg2.OperationalError:
                self._pause()
                continue
            on_gap()
            try:
                while not self._stopping:
                    for _, body in reader.read(60, self._wake):
                        on_news(body)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                log.warning("news interrupted: %s", error)
                self._pause()
            finally:
                reader.close()

    def stop(self) -> None:
        self._stopping = True
        os.write(self._waker, b".")

    def _pause(self) -> None:
        select.select([self._wake], [], [], _RECONNECT_SECONDS)


def _cut(text: str) -> list[str]:
    """
    Cut a text into parts that fit a notification, each headed by how many follow: of
    equal notifications in one transaction PostgreSQL delivers one.
    """
    size = _PART if text.isascii() else _PART // 4
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [f"{len(pieces) - n}:{piece}" for n, piece in enumerate(pieces, start=1)]
