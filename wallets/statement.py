"""
A member's statement: what moved in their pockets, and what they had after it.

Lines are read newest first and by key: each of a member's accounts has two indexes of
entries (out, in), and of each no more is read than the lines that were asked for. The
balance after a line is what there is now less what has moved since, so it is exact
whatever is left out between the lines. Who reads on passes on what they stand at
(`Reader`), so that no movement is summed twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.money import EXACT
from wallets.models.ledger import Account, Entry, Pocket, Reason

# What members read, and by what they filter: each reason is in one kind.
KINDS = {
    "deposit": _("Deposit"),
    "withdrawal": _("Withdrawal"),
    "trade": _("Trade"),
    "fee": _("Fee"),
    "order": _("Order"),
    "transfer": _("Transfer"),
    "other": _("Other"),
}
_KIND_OF = {
    Reason.DEPOSIT: "deposit",
    Reason.DEPOSIT_REVERSED: "deposit",
    Reason.DEPOSIT_CLAIMED: "deposit",
    Reason.DEPOSIT_LOST: "deposit",
    Reason.WITHDRAWAL_PLACED: "withdrawal",
    Reason.WITHDRAWAL_CLOSED: "withdrawal",
    Reason.WITHDRAWAL_SIGNED: "withdrawal",
    Reason.WITHDRAWAL_SENT: "withdrawal",
    Reason.WITHDRAWAL_RETURNED: "withdrawal",
    Reason.WITHDRAWAL_FEE: "fee",
    Reason.FEE_RETURNED: "fee",
    Reason.FEE: "fee",
    Reason.TRADE: "trade",
    Reason.PRICE_IMPROVEMENT: "order",
    Reason.ORDER_PLACED: "order",
    Reason.ORDER_CLOSED: "order",
    Reason.TRANSFER: "transfer",
}
WORDS = {
    Reason.DEPOSIT: _("Deposit credited"),
    Reason.DEPOSIT_REVERSED: _("Deposit taken back"),
    Reason.DEPOSIT_CLAIMED: _("Deposit found to be yours"),
    Reason.WITHDRAWAL_PLACED: _("Set aside for a withdrawal"),
    Reason.WITHDRAWAL_CLOSED: _("Withdrawal closed: free again"),
    Reason.WITHDRAWAL_SIGNED: _("Withdrawal"),
    Reason.WITHDRAWAL_RETURNED: _("Withdrawal come back: set aside again"),
    Reason.WITHDRAWAL_FEE: _("Fee of a withdrawal"),
    Reason.FEE_RETURNED: _("Fee of a withdrawal, given back"),
    Reason.FEE: _("Fee of a trade"),
    Reason.TRADE: _("Trade"),
    Reason.PRICE_IMPROVEMENT: _("Better price: free again"),
    Reason.ORDER_PLACED: _("Set aside for an order"),
    Reason.ORDER_CLOSED: _("Order closed: free again"),
    Reason.TRANSFER: _("Transfer"),
    Reason.GRANT: _("Demo money"),
    Reason.ADJUSTMENT: _("Correction"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: all that is not None narrows. `before` and `after` are ids."""

    currency: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """
    One movement. `available` and `locked` are what there was of the currency after it;
    `free` and `bound` are by how much it changed each.
    """

    id: int
    at: datetime
    currency: str
    reason: str
    reference: str
    free: Decimal
    bound: Decimal
    available: Decimal
    locked: Decimal

    @property
    def change(self) -> Decimal:
        """By how much the member has more; zero where it was set aside or freed."""
        with localcontext(EXACT):
            return self.free + self.bound

    @property
    def balance(self) -> Decimal:
        with localcontext(EXACT):
            return self.available + self.locked

    @property
    def kind(self) -> str:
        return kind_of(self.reason)

    @property
    def words(self) -> str:
        return words_of(self.reason)


def kind_of(reason: str) -> str:
    """Return the kind that a reason belongs to."""
    return _KIND_OF.get(Reason(reason), "other")


def words_of(reason: str) -> str:
    """Say why something moved, in the reader's language."""
    return str(WORDS.get(Reason(reason), KINDS[kind_of(reason)]))


def dictionary() -> dict[str, str]:
    """Return the words of every reason, in the language of this moment."""
    return {reason.value: words_of(reason) for reason in Reason}


@dataclass(slots=True)
class Reader:
    """Reads a member's statement from the newest line on, a few lines at a time."""

    member: Member
    wanted: Wanted
    # By account: below which entry the reader stands, and what there was before it.
    _stands: dict[int, tuple[int, Decimal, Decimal]] = field(default_factory=dict)
    _next: int | None = None

    def read(self, limit: int) -> list[Line]:
        """Return the next lines, fewer than `limit` only where there are no more."""
        accounts = self._accounts()
        found = self._entries(accounts, limit)
        if not found:
            return []
        self._next = found[-1].pk
        lines: list[Line] = []
        for account, currency in accounts.items():
            ours = [row for row in found if account in (row.source_id, row.target_id)]
            lines += self._lines(account, currency, ours)
        return sorted(lines, key=lambda line: -line.id)

    def all(self, at_once: int = 1000) -> Iterator[Line]:
        """Yield every line, and hold few of them."""
        while lines := self.read(at_once):
            yield from lines

    def _accounts(self) -> dict[int, str]:
        rows = Account.objects.filter(member=self.member)
        if self.wanted.currency is not None:
            rows = rows.filter(currency=self.wanted.currency)
        return dict(rows.order_by("pk").values_list("pk", "currency_id"))

    def _entries(self, accounts: Collection[int], limit: int) -> list[Entry]:
        """Read by both indexes of each account, and keep the newest of all."""
        parts: list[QuerySet[Entry]] = []
        for account in accounts:
            incoming = self._narrowed(Entry.objects.filter(target_id=account))
            outgoing = self._narrowed(Entry.objects.filter(source_id=account))
            parts.append(incoming.order_by("-target_id", "-pk")[:limit])
            # What moves between one's own pockets is among those already.
            others = outgoing.exclude(target_id=account)
            parts.append(others.order_by("-source_id", "-pk")[:limit])
        if not parts:
            return []
        first, *more = parts
        return list(first.union(*more, all=True).order_by("-id")[:limit])

    def _narrowed(self, rows: QuerySet[Entry]) -> QuerySet[Entry]:
        wanted = self.wanted
        before = wanted.before if self._next is None else self._next
        narrow = Q()
        if wanted.kind is not None:
            narrow &= Q(reason__in=_reasons(wanted.kind))
        if wanted.since is not None:
            narrow &= Q(at__gte=wanted.since)
        if wanted.until is not None:
            narrow &= Q(at__lt=wanted.until)
        if wanted.after is not None:
            narrow &= Q(pk__gt=wanted.after)
        if before is not None:
            narrow &= Q(pk__lt=before)
        return rows.filter(narrow)

    def _lines(self, account: int, currency: str, rows: list[Entry]) -> Iterator[Line]:
        if not rows:
            return
        stand = self._stands.get(account)
        before = _before(account, [row.pk for row in rows], stand)
        for row in rows:
            free, bound = _change(row, account)
            self._stands[account] = (row.pk, *before[row.pk])
            with localcontext(EXACT):
                available = before[row.pk][0] + free
                locked = before[row.pk][1] + bound
            yield Line(
                id=row.pk,
                at=row.at,
                currency=currency,
                reason=row.reason,
                reference=row.reference,
                free=free,
                bound=bound,
                available=available,
                locked=locked,
            )


def _reasons(kind: str) -> list[str]:
    return [reason.value for reason in Reason if kind_of(reason) == kind]


def _change(row: Entry, account: int) -> tuple[Decimal, Decimal]:
    """Return by how much an entry changed what is available, and what is locked."""
    changes = dict.fromkeys(Pocket.values, Decimal(0))
    with localcontext(EXACT):
        if row.target_id == account:
            changes[row.target_pocket] += row.amount
        if row.source_id == account:
            changes[row.source_pocket] -= row.amount
    return changes[Pocket.AVAILABLE], changes[Pocket.LOCKED]


_END = 2**63 - 1  # after every entry

# What has moved from each of the ids (ascending) up to the next one: bucket 1 begins at
# the first. One statement, so that this and the balance are of one instant.
_MOVED = """
WITH moved AS (
    SELECT id, amount * (target_pocket = 'a')::int AS free,
               amount * (target_pocket = 'l')::int AS bound
      FROM wallets_entry
     WHERE target_id = %(account)s AND id >= %(low)s AND id < %(top)s
    UNION ALL
    SELECT id, -amount * (source_pocket = 'a')::int,
               -amount * (source_pocket = 'l')::int
      FROM wallets_entry
     WHERE source_id = %(account)s AND id >= %(low)s AND id < %(top)s
), summed AS (
    SELECT width_bucket(id, %(ids)s::bigint[]) AS bucket,
           sum(free) AS free, sum(bound) AS bound
      FROM moved GROUP BY 1
)
SELECT bucket, summed.free, summed.bound, balance.available, balance.locked
  FROM summed, wallets_balance AS balance
 WHERE balance.account_id = %(account)s
 ORDER BY bucket DESC
"""


def _before(
    account: int, ids: list[int], stand: tuple[int, Decimal, Decimal] | None
) -> dict[int, tuple[Decimal, Decimal]]:
    """Return by entry what was available and locked before it."""
    ids = sorted(ids)
    terms: dict[str, Any] = {
        "account": account,
        "ids": ids,
        "low": ids[0],
        "top": stand[0] if stand else _END,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, terms)
        rows = cursor.fetchall()
    available, locked = stand[1:] if stand else rows[0][3:]
    found = {}
    with localcontext(EXACT):
        for bucket, free, bound, *_balance in rows:
            available, locked = available - free, locked - bound
            found[ids[bucket - 1]] = (available, locked)
    return found
