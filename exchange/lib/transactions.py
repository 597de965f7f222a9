"""
Transactions in honest words.

`transaction()` opens one and may not nest: the public operation owns it.
`@transaction_required` marks what only works inside one. `after_commit` is the one
way out of a transaction for mail, messages and calls to other systems: nothing
leaves the building before the books are closed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection
from django.db import transaction as django_transaction

from exchange.lib.errors import BrokenPromise, Busy

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL's names for: lock_not_available, deadlock_detected, serialization_failure.
_PASSING = {"55P03", "40P01", "40001"}


class NoTransaction(BrokenPromise):
    """A verb that must share its caller's transaction was called outside of one."""


@contextmanager
def transaction() -> Iterator[None]:
    """
    Open a database transaction; refuse to be nested in another one.

    Raises Busy when a lock could not be had in time or two transactions collided:
    nothing has happened, and trying again is right.
    """
    with _busy_where_it_passes(), django_transaction.atomic(durable=True):
        yield


@contextmanager
def statement() -> Iterator[None]:
    """
    Run one statement that is a transaction of its own, committed when it returns.

    As `transaction`, but for a single statement PostgreSQL needs no BEGIN and COMMIT,
    and they cost as much as a small one itself.
    """
    if connection.in_atomic_block:
        raise BrokenPromise("A statement of its own runs outside a transaction.")
    with _busy_where_it_passes():
        yield


@contextmanager
def _busy_where_it_passes() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) in _PASSING:
            raise Busy from error
        raise


@contextmanager
def savepoint() -> Iterator[None]:
    """Open a savepoint inside the transaction at hand."""
    _demand("savepoint")
    with django_transaction.atomic():
        yield


def transaction_required(verb: Callable[P, R]) -> Callable[P, R]:
    """Make calling the verb outside a transaction a BrokenPromise."""

    @functools.wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        _demand(verb.__qualname__)
        return verb(*args, **kwargs)

    return guarded


def after_commit(deed: Callable[[], None]) -> None:
    """Run the deed once the transaction at hand has committed; at once outside one."""
    django_transaction.on_commit(deed)


def _demand(name: str) -> None:
    if not connection.in_atomic_block:
        raise NoTransaction(f"{name} runs inside a transaction only.")
