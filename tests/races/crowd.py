"""Many at once: real threads with a database session each, let go together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

from django.db import connection

from exchange.lib.errors import ExchangeError

T = TypeVar("T")

# Longer than any lock is waited for: a thread that hangs fails the test.
_SECONDS_MAX = 30


def at_once(*deeds: Callable[[], T]) -> list[T | ExchangeError]:
    """
    Do all deeds at the same moment; return what each gave, or how it was refused.
    What is no refusal flies.
    """
    start = Barrier(len(deeds), timeout=_SECONDS_MAX)

    def run(deed: Callable[[], T]) -> T | ExchangeError:
        try:
            # Beforehand: it would take longer than the deed.
            connection.ensure_connection()
        except BaseException:
            start.abort()  # nobody waits for somebody who does not come
            raise
        start.wait()
        try:
            return deed()
        except ExchangeError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(deeds)) as pool:
        runs = [pool.submit(run, deed) for deed in deeds]
        wait(runs, timeout=_SECONDS_MAX)
        failures = [each.exception(timeout=0) for each in runs]
        for failure in failures:  # what broke the start, not that it was broken
            if failure is not None and not isinstance(failure, BrokenBarrierError):
                raise failure
        return [each.result(timeout=0) for each in runs]


def count(results: list[T | ExchangeError], kind: type) -> int:
    return sum(isinstance(result, kind) for result in results)
