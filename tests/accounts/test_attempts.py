"""Attempts are counted before they are made, and made to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from accounts import attempts
from accounts.attempts import Pace, TooManyAttempts
from accounts.models.attempts import Attempts
from accounts.tasks import forget_old_attempts
from exchange.lib.errors import ExchangeError
from tests.races.crowd import at_once, count

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
PACE = Pace(3, timedelta(seconds=30), timedelta(minutes=4))


def knock(now: datetime = NOW, key: str = "door") -> int:
    return attempts.count(key, PACE, now=now)


def refused_for(now: datetime) -> int:
    with pytest.raises(TooManyAttempts) as refusal:
        knock(now)
    return int(str(refusal.value.facts["retry_after_seconds"]))


@pytest.mark.promise("S-10")
def test_it_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    now, waits = NOW, []
    assert [knock(), knock(), knock()] == [1, 2, 3]

    for _ in range(6):
        waits.append(refused_for(now))
        now += timedelta(seconds=waits[-1])
        knock(now)

    assert waits == [30, 60, 120, 240, 240, 240]


def test_it_counts_no_attempt_that_is_refused() -> None:
    for _ in range(3):
        knock()

    assert [refused_for(NOW) for _ in range(5)] == [30] * 5
    assert Attempts.objects.get().count == 3


def test_it_counts_each_door_alone() -> None:
    for _ in range(3):
        knock()

    assert knock(key="another door") == 1


def test_it_forgets_after_a_day_of_peace() -> None:
    for _ in range(3):
        knock()
    later = NOW + attempts.FORGOTTEN_AFTER + timedelta(seconds=1)

    assert knock(later) == 1
    assert Attempts.objects.get().since == later


def test_it_opens_for_an_attempt_that_is_taken_back() -> None:
    for _ in range(3):
        knock()

    attempts.take_back("door", now=NOW)

    assert knock() == 3


def test_it_is_open_again_once_forgotten() -> None:
    for _ in range(3):
        knock()

    assert attempts.forget("door")
    assert not attempts.forget("door")
    assert knock() == 1


def test_it_says_how_long_to_wait() -> None:
    assert str(TooManyAttempts(20)) == (
        "Too many attempts. Please try again in a minute."
    )
    assert str(TooManyAttempts(121)) == (
        "Too many attempts. Please try again in 3 minutes."
    )


@pytest.mark.races
def test_it_lets_only_the_free_ones_of_a_crowd_through() -> None:
    results: list[int | ExchangeError] = at_once(*[partial(knock, NOW)] * 12)

    assert sorted(each for each in results if isinstance(each, int)) == [1, 2, 3]
    assert count(results, TooManyAttempts) == 9


def test_it_does_not_mind_clocks_that_disagree() -> None:
    knock(NOW + timedelta(seconds=1))

    assert knock(NOW) == 2


def test_it_keeps_no_name_in_the_open() -> None:
    key = attempts.key_of("account", "alice@example.com")

    assert "alice" not in key
    assert key == attempts.key_of("account", "alice@example.com")
    assert key != attempts.key_of("mailbox", "alice@example.com")


def test_it_throws_away_what_is_over() -> None:
    knock(datetime(2020, 1, 1, tzinfo=UTC), "old")
    knock(datetime(2120, 1, 1, tzinfo=UTC), "young")

    assert (forget_old_attempts(), forget_old_attempts()) == (1, 0)
    assert Attempts.objects.get().key == "young"
