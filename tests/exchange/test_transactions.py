"""Transactions: who opens them, what may happen inside, and what waits for the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import OperationalError, connection

from accounts.models.members import Member
from exchange.lib import transactions
from exchange.lib.errors import BrokenPromise, Busy
from exchange.lib.transactions import after_commit, savepoint, transaction

pytestmark = pytest.mark.django_db

Scope = Callable[[], AbstractContextManager[None]]


@transactions.transaction_required
def shared() -> str:
    return "done"


def fail_after(deed: Callable[[], object], inside: Scope = transaction) -> None:
    with inside():
        deed()
        raise ZeroDivisionError


def test_it_does_not_nest() -> None:
    with transaction(), pytest.raises(RuntimeError), transaction():
        pass


def test_it_asks_for_a_transaction_where_one_is_needed() -> None:
    with pytest.raises(BrokenPromise, match="shared"):
        shared()
    with pytest.raises(BrokenPromise), savepoint():
        pass

    with transaction():
        assert shared() == "done"


def test_it_undoes_everything_when_it_fails(alice: Member) -> None:
    alices = Member.objects.filter(pk=alice.pk)

    with pytest.raises(ZeroDivisionError):
        fail_after(lambda: alices.update(state="frozen"))

    alice.refresh_from_db()
    assert alice.state == "active"


def test_it_undoes_a_savepoint_alone(alice: Member) -> None:
    alices = Member.objects.filter(pk=alice.pk)

    with transaction():
        alices.update(display_name="Alice")
        with pytest.raises(ZeroDivisionError):
            fail_after(lambda: alices.update(state="frozen"), savepoint)

    alice.refresh_from_db()
    assert (alice.display_name, alice.state) == ("Alice", "active")


def test_it_lets_nothing_out_before_the_commit() -> None:
    done: list[str] = []

    with transaction():
        after_commit(lambda: done.append("inside"))
        assert done == []
    assert done == ["inside"]

    after_commit(lambda: done.append("outside"))
    with pytest.raises(ZeroDivisionError):
        fail_after(lambda: after_commit(lambda: done.append("never")))
    assert done == ["inside", "outside"]


@pytest.mark.promise("F-13")
@pytest.mark.parametrize(
    ("code", "is_passing"),
    [("55P03", True), ("40P01", True), ("40001", True), ("57014", False)],
)
def test_it_says_busy_where_trying_again_is_right(code: str, is_passing: bool) -> None:
    expected = Busy if is_passing else OperationalError

    with pytest.raises(expected), transaction(), connection.cursor() as cursor:
        cursor.execute(
            f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE='{code}'; END $$"
        )
