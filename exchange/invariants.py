"""
What is always true: I-1 to I-20 of the reference, as far as their subjects exist.

Each check returns the rows that break it. Run by `manage.py audit`, by a job, after
every fault test and after every database test. A break is never repaired here.

Not here: I-13, which needs a node to ask (`wallets.reconcile`). I-3 and I-16 are held
by the database itself, too; I-15 by unique keys; I-17 by the tests of the streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from exchange.lib import audit_chain
from exchange.lib.transactions import transaction
from markets import audit as markets
from markets import replay
from wallets import audit as books

Check = Callable[[], list[tuple[Any, ...]]]

CHECKS: list[tuple[str, Check]] = [
    ("I-1", books.unbalanced_currencies),
    ("I-1", books.entries_astray),
    ("I-1", markets.trades_unlike_entries),
    ("R-54", books.entries_too_fine),
    ("I-2", books.balances_unlike_entries),
    ("I-2", books.transfers_unlike_entries),
    ("I-3", books.below_zero),
    ("I-4", markets.locks_without_orders),
    ("I-5", markets.orders_unlike_trades),
    ("I-5", markets.orders_unlike_entries),
    ("I-5", markets.orders_in_disorder),
    ("I-6", markets.trades_beyond_limits),
    ("I-8", markets.crossed_books),
    ("I-9", markets.journals_with_gaps),
    ("I-11", books.withdrawals_unlike_payouts),
    ("I-11", books.withdrawals_unlike_entries),
    ("I-11", books.withdrawals_unlike_states),
    ("I-18", books.payouts_unlike_entries),
    ("I-18", books.treasury_unlike_entries),
    ("I-19", books.adjustments_unlike_entries),
    ("I-19", books.issued_otherwise),
    ("I-18", books.bank_unlike_entries),
    ("I-11", books.bank_unlike_states),
    ("open-orders", markets.miscounted_open_orders),
    ("I-12", books.deposits_unlike_entries),
    ("candles", markets.candles_unlike_trades),
    ("I-20", audit_chain.links_astray),
    ("I-20", audit_chain.checkpoints_astray),
    ("I-20", audit_chain.records_unchained),
]
# Walk every journal, and the trail, from the start: for the command and the tests.
TRAIL: tuple[str, Check] = ("I-20", audit_chain.links_ever_astray)
REPLAYS: list[tuple[str, Check]] = [("I-10", replay.journals_unlike_trades), TRAIL]


@dataclass(frozen=True, slots=True)
class Break:
    """One broken invariant: its id, who found it, and a row that breaks it."""

    id: str
    check: str
    what: str

    def as_json(self) -> dict[str, str]:
        return {"invariant": self.id, "check": self.check, "what": self.what}


def check_all(*, replaying: bool = True) -> list[Break]:
    """
    Check every invariant against one state of the database; return what is broken.
    Safe while the exchange runs: everything is read in one snapshot.
    """
    return _run(CHECKS + (REPLAYS if replaying else []))


def check_trail() -> list[Break]:
    """Check the chain of the audit trail alone, from its start."""
    return _run([each for each in CHECKS if each[0] == "I-20"] + [TRAIL])


def _run(checks: list[tuple[str, Check]]) -> list[Break]:
    with transaction():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [
            Break(id, check.__name__, repr(row))
            for id, check in checks
            for row in check()
        ]
