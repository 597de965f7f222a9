"""
What the books say that we owe, at one instant.

One transaction, REPEATABLE READ and READ ONLY, reads every member's balance (available
and locked: what waits to be withdrawn is still owed), the house's accounts, and what
the audit finds, so that all of it is of the same moment, whatever is traded meanwhile.
Nobody is left out: members who are frozen, closed or operators are owed as anybody is,
and an empty account is a leaf of nothing.

Amounts are whole base units (10^-scale of the currency).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from exchange.lib.transactions import transaction
from wallets import audit
from wallets.models.currencies import Currency
from wallets.solvency.planting import Debts, Handles


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The books at one instant."""

    entry: int  # the highest id of an entry
    position: str  # PostgreSQL's own name of the instant: which transactions it saw
    handles: Handles
    debts: list[Debts]
    house: dict[str, dict[str, Decimal]]  # by currency and purpose
    breaks: dict[str, int]  # how many rows break each rule of the audit


def handle(*, email: str, sn: str, salt: str) -> str:
    """
    Return by what a member is called in one snapshot: SHA-256 of the e-mail address,
    the member number and the snapshot's salt, joined by line feeds.

    The member can compute it. Both parts are unique among members, so that no two are
    shown the same leaf.
    """
    return hashlib.sha256(f"{email}\n{sn}\n{salt}".encode()).hexdigest()


def take(*, salt: str) -> Snapshot:
    """Read the books. Raises Busy."""
    with transaction(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(
            "SELECT pg_current_snapshot()::text, coalesce(max(id), 0)"
            " FROM wallets_entry"
        )
        position, entry = cursor.fetchone()
        debts = [
            _debts(cursor, code, scale)
            for code, scale in Currency.objects.order_by("code").values_list(
                "code", "scale"
            )
        ]
        return Snapshot(
            entry=entry,
            position=position,
            handles=_handles(cursor, salt),
            debts=[each for each in debts if each.members],
            house=_house(cursor),
            breaks={
                "unbalanced_currencies": len(audit.unbalanced_currencies()),
                "balances_unlike_entries": len(audit.balances_unlike_entries()),
                "below_zero": len(audit.below_zero()),
            },
        )


def _debts(cursor: Any, code: str, scale: int) -> Debts:
    members, amounts = array("q"), array("Q")

    def add(row: list[str]) -> None:
        members.append(int(row[0]))
        amounts.append(int(row[1]))  # fails where the books are finer than the scale

    _copy(
        cursor,
        "SELECT account.member_id,"
        # In whole units: the ledger keeps no more digits than the scale.
        f" trim_scale((balance.available + balance.locked) * {10**scale})"
        " FROM wallets_account AS account"
        " JOIN wallets_balance AS balance ON balance.account_id = account.id"
        f" WHERE account.currency_id = '{code}' ORDER BY account.member_id",
        add,
    )
    return Debts(code, scale, members, amounts)


def _handles(cursor: Any, salt: str) -> Handles:
    members, digests = array("q"), bytearray()

    def add(row: list[str]) -> None:
        members.append(int(row[0]))
        digests.extend(bytes.fromhex(handle(email=row[1], sn=row[2], salt=salt)))

    _copy(
        cursor,
        "SELECT id, email, sn FROM accounts_member AS member WHERE EXISTS"
        " (SELECT FROM wallets_account WHERE member_id = member.id) ORDER BY id",
        add,
    )
    return Handles(members, digests)


def _house(cursor: Any) -> dict[str, dict[str, Decimal]]:
    cursor.execute(
        """
        SELECT account.currency_id, account.house,
            coalesce((SELECT sum(amount) FROM wallets_entry
                WHERE target_id = account.id), 0)
            - coalesce((SELECT sum(amount) FROM wallets_entry
                WHERE source_id = account.id), 0)
        FROM wallets_account AS account WHERE account.house IS NOT NULL
        ORDER BY account.currency_id, account.house
        """
    )
    found: dict[str, dict[str, Decimal]] = {}
    for currency, purpose, amount in cursor.fetchall():
        found.setdefault(currency, {})[purpose] = amount
    return found


class _Rows:
    """What COPY writes to: it calls with one row at a time."""

    def __init__(self, add: Callable[[list[str]], None]) -> None:
        self._add = add

    def write(self, line: bytes) -> None:
        self._add(line.decode().rstrip("\n").split("\t"))


def _copy(cursor: Any, query: str, add: Callable[[list[str]], None]) -> None:
    cursor.copy_expert(f"COPY ({query}) TO STDOUT", _Rows(add))
