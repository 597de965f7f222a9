"""
The floor of embedded mode: all markets in one process, fed by LISTEN/NOTIFY.

In production the floor runs inside Celery workers instead (markets.floor_worker).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from datetime import timedelta
from typing import Any

import psycopg2
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection
from django.utils import timezone

from exchange.lib.bus import work_queue
from exchange.lib.bus_notify import WORK, NotifyReader
from markets import feed
from markets.feed import Message, Unreadable
from markets.floor import PASSING
from markets.floor_host import Host, Verdict
from markets.queries import all_market_ids

log = logging.getLogger("markets.floor")

RETRY_SECONDS = 0.5
SWEEP_SECONDS = 1.0


class Command(BaseCommand):
    help = "Run the engines of all markets (embedded mode)."

    def handle(self, *args: Any, **options: Any) -> None:
        self._wake, self._waker = os.pipe()
        self._is_stopping = False
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        self._host = Host()
        while not self._is_stopping:
            try:
                self._serve()
            except (psycopg2.OperationalError, psycopg2.InterfaceError, *PASSING) as e:
                log.warning("the database is away: %s", e)
                connection.close()
                time.sleep(RETRY_SECONDS)

    def _stop(self, *_: object) -> None:
        self._is_stopping = True
        os.write(self._waker, b".")

    def _serve(self) -> None:
        """Listen first, then run what waits in the rows: so nothing falls between."""
        reader = NotifyReader(WORK)
        try:
            self._sweep(older_than_seconds=0)
            swept_at = time.monotonic()
            while not self._is_stopping:
                self._run(self._read(reader))
                if time.monotonic() - swept_at >= SWEEP_SECONDS:
                    self._sweep(older_than_seconds=settings.SWEEP_AFTER_SECONDS)
                    swept_at = time.monotonic()
        finally:
            reader.close()

    def _read(self, reader: NotifyReader) -> dict[str, list[Message | Unreadable]]:
        found: dict[str, list[Message | Unreadable]] = {}
        for queue, body in reader.read(SWEEP_SECONDS, self._wake):
            if market_id := self._queues.get(queue):
                found.setdefault(market_id, []).append(feed.read(body))
        return found

    def _run(self, work: dict[str, list[Message | Unreadable]]) -> None:
        for market_id, messages in work.items():
            verdict = self._host.handle(market_id, messages, now=timezone.now())
            if verdict is Verdict.LOST:
                raise SystemExit(f"{market_id} is run by another floor")
            if verdict is Verdict.LATER:
                raise psycopg2.OperationalError("the batch is found again in the rows")

    def _sweep(self, *, older_than_seconds: int) -> None:
        """Run what waits in the rows, of markets that were just added, too."""
        now = timezone.now()
        self._queues = {work_queue(market): market for market in all_market_ids()}
        for market_id in self._queues.values():
            before = now - timedelta(seconds=older_than_seconds)
            waiting = feed.waiting(
                market_id, before=before if older_than_seconds else None
            )
            self._run({market_id: list(waiting)})
