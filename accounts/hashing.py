"""
Hashing of passwords, where it cannot slow anybody down.

A hash takes a tenth of a second of one processor, on purpose, and a storm of sign-ins
asks for hundreds a second. So all hashing is done by a process or two of low priority
beside each web process (accounts.hasher), behind a short queue; who finds the queue
full is asked to come again. The queue is shorter than the web has threads: trading
always finds one that does not wait for a hash.

The door is Django's hasher itself, so nothing can hash in another way.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from functools import lru_cache
from queue import LifoQueue
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import hashers
from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Busy

_RETRY_AFTER_SECONDS = 5
_END_SECONDS_MAX = 5


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
        cost = self.time_cost, self.memory_cost, self.parallelism
        return "argon2" + str(_pool().ask("hashed", password, salt, *cost))

    def verify(self, password: str, encoded: str) -> bool:
        notation = encoded.removeprefix("argon2")
        return bool(_pool().ask("is_right", password, notation))


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
    """A few hashers, and how many may wait for them."""

    def __init__(self, processes: int, queue: int) -> None:
        self._lock = threading.Lock()
        self._room = processes + queue
        self._idle: LifoQueue[_Hasher] = LifoQueue()
        for _number in range(processes):
            self._idle.put(_Hasher())

    @property
    def is_full(self) -> bool:
        return self._room == 0

    def ask(self, *question: str | int) -> str | bool:
        with self._lock:
            if self._room == 0:
                raise HashingBusy
            self._room -= 1
        try:
            return self._ask_one(question)
        finally:
            with self._lock:
                self._room += 1

    def _ask_one(self, question: tuple[str | int, ...]) -> str | bool:
        hasher = self._idle.get()
        try:
            return hasher.ask(question)
        finally:
            self._idle.put(hasher)


class _Hasher:
    """One process of accounts.hasher; started when needed, and again when it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.end)

    def ask(self, question: tuple[str | int, ...]) -> str | bool:
        process = self._running()
        try:
            process.stdin.write(json.dumps(question) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]  # it has pipes
            answer: Any = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        except (OSError, ValueError) as error:
            self.end()
            raise HashingBusy from error
        return answer  # type: ignore[no-any-return]  # a text or yes or no, of ours

    def end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait(_END_SECONDS_MAX)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "accounts.hasher"],
                cwd=settings.BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        return self._process


@lru_cache(maxsize=1)
def _pool() -> _Pool:
    return _Pool(settings.HASHING_PROCESSES, settings.HASHING_QUEUE)
