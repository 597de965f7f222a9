"""Hashing happens on a few threads that let everybody else go first."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from pytest_django import Settings

from accounts import hashing
from accounts.hashing import Argon2, HashingBusy
from accounts.models.members import Member
from exchange.management.commands import run_exchange
from tests.makers import PASSWORD

OURS = (3, 64 * 1024, 1)
ENCODED = "argon2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + "A" * 43


@pytest.fixture
def fresh_pool(settings: Settings) -> Iterator[None]:
    """Have a pool of one thread and a queue of one, for this test alone."""
    settings.HASHING_THREADS, settings.HASHING_QUEUE = 1, 1
    hashing._pool.cache_clear()
    yield
    hashing._pool.cache_clear()


@pytest.fixture
def full(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[threading.Event]:
    """Have the thread and the queue taken, until the event."""
    begun, done = threading.Event(), threading.Event()

    def hash_slowly(*_: object) -> str:
        begun.set()
        assert done.wait(timeout=10)
        return "hash"

    monkeypatch.setattr(Argon2PasswordHasher, "encode", hash_slowly)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(hashing.hashed, PASSWORD)
        assert begun.wait(timeout=10)
        second = people.submit(hashing.hashed, PASSWORD)
        while not hashing._pool().is_full:
            threading.Event().wait(0.001)
        yield done
        done.set()
        answers = first.result(timeout=10), second.result(timeout=10)
        assert answers == ("hash", "hash")


@pytest.mark.promise("L-12")
def test_it_sends_away_who_finds_the_queue_full(full: threading.Event) -> None:
    with pytest.raises(HashingBusy) as refusal:
        hashing.hashed(PASSWORD)
    with pytest.raises(HashingBusy):
        hashing.check(PASSWORD, None)
    with pytest.raises(HashingBusy):
        hashing.demand_room()

    assert refusal.value.facts == {"retry_after_seconds": 5}


def test_it_has_room_again_afterwards(full: threading.Event) -> None:
    full.set()
    while hashing._pool().is_full:
        threading.Event().wait(0.001)

    hashing.demand_room()
    assert hashing.hashed(PASSWORD) == "hash"


@pytest.mark.promise("L-12")
def test_it_lets_everybody_else_go_first(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def niceness(*_: object) -> str:
        return str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    monkeypatch.setattr(Argon2PasswordHasher, "encode", niceness)
    ours = int(niceness())

    assert int(hashing.hashed(PASSWORD)) > ours
    assert int(niceness()) == ours


def test_it_lets_django_hash_in_no_other_way(full: threading.Event) -> None:
    with pytest.raises(HashingBusy):
        Member(password=ENCODED).check_password(PASSWORD)
    with pytest.raises(HashingBusy):
        Member().set_password(PASSWORD)


@pytest.mark.promise("L-12")
def test_it_leaves_the_web_threads_for_trading() -> None:
    taken = django_settings.HASHING_THREADS + django_settings.HASHING_QUEUE

    assert taken <= run_exchange._WEB_THREADS // 2


@pytest.mark.promise("S-6")
def test_it_hashes_with_argon2id_as_rfc_9106_recommends() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Argon2, "time_cost", OURS[0])
        patch.setattr(Argon2, "memory_cost", OURS[1])
        encoded = hashing.hashed(PASSWORD)

    assert encoded.startswith("argon2$argon2id$v=19$m=65536,t=3,p=1$")
    assert len(encoded.split("$")[-2]) >= 22  # 128 bits of salt
    assert hashing.check(PASSWORD, encoded).is_right
    assert not hashing.check(PASSWORD + "!", encoded).is_right


@pytest.mark.promise("S-6")
def test_it_knows_a_hash_of_other_parameters() -> None:
    ours = hashing.hashed(PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Argon2, "time_cost", 2)
        theirs = hashing.hashed(PASSWORD)

    assert hashing.check(PASSWORD, ours) == (True, False)
    assert hashing.check(PASSWORD, theirs) == (True, True)


def test_it_finds_no_password_right_where_there_is_none() -> None:
    assert hashing.check(PASSWORD, None) == (False, False)
    assert hashing.check("", "") == (False, False)
