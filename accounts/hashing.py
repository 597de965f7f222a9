"""
Hashing of passwords, where it cannot slow anybody down.

A hash takes a tenth of a second of one processor, on purpose, and a storm of sign-ins
asks for hundreds a second. So all hashing of a process happens on a thread or two of
low priority, behind a short queue; who finds the queue full is asked to come again. The
queue is shorter than the web has threads: trading always finds one that does not wait
for a hash.

The door is Django's hasher itself, so nothing can hash in another way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.contrib.auth import hashers
from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Busy

T = TypeVar("T")

# Of 19. Other threads weigh ten times as much where there is not enough for all; at 19
# a sign-in on a busy machine would take many seconds.
_NICENESS = 10
_RETRY_AFTER_SECONDS = 5


class HashingBusy(Busy):
    """More passwords wait to be looked at than we can look at soon."""

    code = "hashing_busy"
    text = _("Many people are signing in just now. Please try again in a moment.")

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=_RETRY_AFTER_SECONDS)


class Argon2(hashers.Argon2PasswordHasher):
    """
    Argon2id with RFC 9106's parameters for machines with little memory (three passes
    over 64 MiB), on one lane, so that a hash is one processor's work.
    """

    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        work = super().encode
        return str(_pool().run(lambda: work(password, salt)))

    def verify(self, password: str, encoded: str) -> bool:
        work = super().verify
        return bool(_pool().run(lambda: work(password, encoded)))


class Verdict(NamedTuple):
    """Whether a password is right, and its hash made with parameters of long ago."""

    is_right: bool
    is_outdated: bool


def hashed(password: str) -> str:
    """Return the hash to be stored for a password. Raises HashingBusy."""
    return hashers.make_password(password)


def check(password: str, encoded: str | None) -> Verdict:
    """
    Say whether a password is the one that was hashed; where nothing was (None) it is
    not, and finding out took as long. Raises HashingBusy.
    """
    if encoded is None:
        hashers.make_password(password)
        return Verdict(is_right=False, is_outdated=False)
    return Verdict(*hashers.verify_password(password, encoded))


def demand_room() -> None:
    """Raise HashingBusy if the queue is full: before anything else is done in vain."""
    if _pool().is_full:
        raise HashingBusy


class _Pool:
    """A few threads, and how many may wait for them."""

    def __init__(self, threads: int, queue: int) -> None:
        self._lock = threading.Lock()
        self._room = threads + queue
        self._threads = ThreadPoolExecutor(threads, "hashing", initializer=_step_back)

    @property
    def is_full(self) -> bool:
        return self._room == 0

    def run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._room == 0:
                raise HashingBusy
            self._room -= 1
        try:
            return self._threads.submit(work).result()
        finally:
            with self._lock:
                self._room += 1


@lru_cache(maxsize=1)
def _pool() -> _Pool:
    return _Pool(settings.HASHING_THREADS, settings.HASHING_QUEUE)


def _step_back() -> None:
    """Let all other work go first: on Linux, priorities are a thread's own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
