"""
A member's statement: what moved in and out of a balance, with the balance after it.

A page is read from its newest end, so that it costs no more for a member with a million
entries. The balance after an entry is the balance of now less all that came later, in
one statement of SQL, so that both are of the same moment.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from accounts.models.members import Member

_NEWEST = 2**63 - 1


class Line(NamedTuple):
    """
    One entry, as it changed a member's balance of one currency.

    `available` and `locked` are what it added to each pocket (below zero: took), and
    `available_after` and `locked_after` what was there then.
    """

    id: int
    at: datetime
    reason: str
    reference: str
    available: Decimal
    locked: Decimal
    available_after: Decimal
    locked_after: Decimal


def lines(
    member: Member, currency: str, *, before: int | None = None, limit: int
) -> list[Line]:
    """Return a page of a member's statement, newest first: what is older than an id."""
    facts: dict[str, int | str] = {
        "member": member.pk,
        "currency": currency,
        "before": _NEWEST if before is None else before,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, facts)
        return [Line(*row) for row in cursor.fetchall()]


def _change(pocket: str) -> str:
    """Return SQL for what an entry added to one of my pockets."""
    return f"""
        CASE WHEN target_id = mine.id AND target_pocket = '{pocket}'
            THEN amount ELSE 0 END
        - CASE WHEN source_id = mine.id AND source_pocket = '{pocket}'
            THEN amount ELSE 0 END
    """


_OLDER = """
    SELECT entry.* FROM wallets_entry AS entry JOIN mine ON {end}_id = mine.id
    WHERE entry.id < %(before)s ORDER BY entry.id DESC LIMIT %(limit)s
"""
_PAGE = f"""
WITH mine AS (
    SELECT account.id, balance.available, balance.locked
    FROM wallets_account AS account
    JOIN wallets_balance AS balance ON balance.account_id = account.id
    WHERE account.member_id = %(member)s AND account.currency_id = %(currency)s
), page AS (
    -- UNION, for what moves between two pockets of mine is found from both ends.
    ({_OLDER.format(end="source")}) UNION ({_OLDER.format(end="target")})
    ORDER BY id DESC LIMIT %(limit)s
), later AS (
    SELECT coalesce(sum({_change("a")}), 0) AS available,
        coalesce(sum({_change("l")}), 0) AS locked
    FROM wallets_entry AS entry, mine
    WHERE (source_id = mine.id OR target_id = mine.id) AND entry.id >= %(before)s
), lines AS (
    SELECT page.id, at, reason, reference, {_change("a")} AS available,
        {_change("l")} AS locked
    FROM page, mine
)
SELECT lines.id, at, reason, reference, lines.available, lines.locked,
    mine.available - later.available
        - coalesce(sum(lines.available) OVER newer, 0),
    mine.locked - later.locked - coalesce(sum(lines.locked) OVER newer, 0)
FROM lines, mine, later
WINDOW newer AS (
    ORDER BY lines.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
)
ORDER BY lines.id DESC
"""
