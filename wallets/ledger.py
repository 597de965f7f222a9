"""
The bookkeeper: the only writer of balances and entries.

Money goes from somewhere to somewhere, under a lock, with a reason, for ever. Callers
say which moves; this module locks the balances touched (in id order, late), changes
them and writes the entries, in the caller's transaction.

For the hot path `locking()` returns SQL instead: a piece of a WITH clause into which
markets splices its own inserts, so that taking an order is one statement.

Note [House accounts have no balance row]: a row that every trade changes would make all
markets queue on it. House accounts are summed from their entries when somebody asks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from django.db import connection
from django.utils.translation import gettext_lazy as _

from exchange.lib import bus
from exchange.lib.columns import column
from exchange.lib.errors import BrokenPromise, Conflict, Refused
from exchange.lib.money import EXACT, ZERO, is_multiple, plain
from exchange.lib.transactions import (
    after_commit,
    transaction,
    transaction_required,
)
from wallets.models.currencies import Currency
from wallets.models.ledger import Account, House, Pocket, Reason

__all__ = ["House", "Reason"]  # the words of the books, for those who post

AVAILABLE = Pocket.AVAILABLE.value
LOCKED = Pocket.LOCKED.value


class InsufficientFunds(Refused):
    """The pocket holds less than asked for. Facts: currency, needed, available."""

    code = "insufficient_funds"
    text = _("You do not have that much available.")


class UnknownCurrency(Refused):
    """There is no such currency here."""

    code = "unknown_currency"
    text = _("This currency is not listed here.")


class BadAmount(Refused):
    """Nothing, or more digits than the ledger keeps of the currency. Facts: digits."""

    code = "bad_amount"


class AlreadyPosted(Conflict):
    """The books have this already. Facts: cause."""

    code = "already_posted"
    text = _("This has been booked already.")


class BadMove(BrokenPromise):
    """A move that cannot be: its accounts are missing or of two currencies."""


class Move(NamedTuple):
    """A positive amount from one pocket to another; becomes one entry."""

    source: int
    source_pocket: str
    target: int
    target_pocket: str
    amount: Decimal
    reason: str
    reference: str


@dataclass(frozen=True, slots=True)
class NewBalance:
    """A member's balance after a posting."""

    account_id: int
    member_id: int
    currency: str
    available: Decimal
    locked: Decimal


def account_of(*, member_id: int, currency: str) -> int:
    """
    Return the id of a member's account, opening it (with an empty balance) on first
    touch. Safe to race: both callers get the same account.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM wallets_account WHERE member_id = %s AND currency_id = %s",
            [member_id, currency],
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute(_OPEN_ACCOUNT, {"member": member_id, "currency": currency})
            row = cursor.fetchone()
        return int(row[0])


# The no-op update makes RETURNING answer for the loser of a race, too.
_OPEN_ACCOUNT = """
WITH account AS (
    INSERT INTO wallets_account (member_id, currency_id)
    VALUES (%(member)s, %(currency)s)
    ON CONFLICT (member_id, currency_id)
        DO UPDATE SET currency_id = excluded.currency_id
    RETURNING id
), balance AS (
    INSERT INTO wallets_balance (account_id, available, locked)
    SELECT id, 0, 0 FROM account ON CONFLICT DO NOTHING
)
SELECT id FROM account
"""


def accounts_of(
    *, member_ids: Iterable[int], currencies: Sequence[str]
) -> dict[tuple[int, str], int]:
    """
    Return {(member id, currency): account id} for every combination, opening the
    missing ones on first touch.
    """
    wanted = {(member, currency) for member in member_ids for currency in currencies}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT member_id, currency_id, id FROM wallets_account"
            " WHERE member_id = ANY(%s) AND currency_id = ANY(%s)",
            [sorted({member for member, _ in wanted}), list(currencies)],
        )
        found = {(member, currency): id for member, currency, id in cursor.fetchall()}
    for member, currency in sorted(wanted - found.keys()):
        found[member, currency] = account_of(member_id=member, currency=currency)
    return found


def house(purpose: House, currency: str) -> int:
    """Return the id of one of the house's own accounts, opening it on first touch."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM wallets_account WHERE house = %s AND currency_id = %s",
            [purpose.value, currency],
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute(
                "INSERT INTO wallets_account (house, currency_id) VALUES (%s, %s)"
                " ON CONFLICT (house, currency_id)"
                " DO UPDATE SET currency_id = excluded.currency_id"
                " RETURNING id",
                [purpose.value, currency],
            )
            row = cursor.fetchone()
        return int(row[0])


@transaction_required
def post(moves: Sequence[Move], *, at: datetime) -> list[NewBalance]:
    """
    Write the moves into the books, all or none, and return the balances they changed.

    Locks the balances concerned in id order first. Moves of nothing must be left out by
    the caller: an entry is positive.

    Raises InsufficientFunds when a pocket would go below zero (the caller's transaction
    must then end), BadMove when an account is missing.
    """
    if not moves:
        return []
    changes = _changes(moves)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id FROM wallets_balance"
            " WHERE account_id = ANY(%s::bigint[])"
            " ORDER BY account_id FOR NO KEY UPDATE",
            [column(sorted(changes))],
        )
        members = {row[0] for row in cursor.fetchall()}
        _demand_house(cursor, changes.keys() - members)
        balances = _apply(cursor, {id: changes[id] for id in members})
        cursor.execute(_INSERT_ENTRIES, [at, *_columns(moves)])
    return balances


@transaction_required
def post_once(cause: str, moves: Sequence[Move], *, at: datetime) -> list[NewBalance]:
    """
    As `post`, for what may only ever happen once, whoever asks for it again.

    Raises AlreadyPosted, and the caller's transaction must then end.
    """
    return post_each({cause: moves}, at=at)


@transaction_required
def post_each(
    postings: Mapping[str, Sequence[Move]], *, at: datetime
) -> list[NewBalance]:
    """
    As `post_once` for many causes: all or none, and all balances locked in id order.
    Whose balances changed is announced after commit; of trades the floor tells more.

    Raises AlreadyPosted with the first cause, and the caller's transaction must then
    end.
    """
    causes = sorted(postings)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO wallets_posting (cause, at)"
            " SELECT cause, %s FROM unnest(%s::text[]) AS cause"
            " ON CONFLICT DO NOTHING RETURNING cause",
            [at, column(causes)],
        )
        written = {cause for (cause,) in cursor.fetchall()}
    if len(written) < len(causes):
        raise AlreadyPosted(cause=min(set(causes) - written))
    balances = post([move for moves in postings.values() for move in moves], at=at)
    _tell(balances)
    return balances


@transaction_required
def lock(*, member_id: int, currencies: Iterable[str]) -> None:
    """Lock a member's balances of several currencies, in id order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id FROM wallets_balance WHERE account_id IN"
            " (SELECT id FROM wallets_account"
            " WHERE member_id = %s AND currency_id = ANY(%s))"
            " ORDER BY account_id FOR NO KEY UPDATE",
            [member_id, sorted(currencies)],
        )


@transaction_required
def lock_house(account_id: int) -> None:
    """
    Lock an account of the house against others who lock it so: for corrections, which
    must not go below its sum. Postings do not wait for it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM wallets_account WHERE id = %s FOR NO KEY UPDATE", [account_id]
        )


def locking(*, wanted: str, reason: Reason) -> str:
    """
    Return SQL that sets funds aside, to be spliced into a WITH clause.

    `wanted` names an earlier part of that clause with the columns id, account_id,
    amount, reference and at: one row per thing that locks. The text defines `held`
    (account_id, available, locked: the balances after) and `noted` (the entries).
    Amounts are summed per balance first: an UPDATE … FROM takes only the first of
    several rows that join. `held` has fewer rows than `needed` when a balance holds too
    little; the caller must then roll back. Where several balances are concerned, the
    caller calls `lock` first: one statement locks rows in no order of ours.
    """
    return f"""
needed AS (
    SELECT account_id, sum(amount) AS amount FROM {wanted} GROUP BY account_id
), held AS (
    UPDATE wallets_balance AS balance
    SET available = balance.available - needed.amount,
        locked = balance.locked + needed.amount
    FROM needed
    WHERE balance.account_id = needed.account_id
        AND balance.available >= needed.amount
    RETURNING balance.account_id, balance.available, balance.locked
), noted AS (
    INSERT INTO wallets_entry (at, amount, source_id, source_pocket, target_id,
        target_pocket, reason, reference)
    SELECT {wanted}.at, {wanted}.amount, held.account_id, '{AVAILABLE}',
        held.account_id, '{LOCKED}', '{reason.value}', {wanted}.reference
    FROM {wanted} JOIN held USING (account_id) ORDER BY {wanted}.id
)"""


def grant(
    *, member_id: int, currency: str, amount: Decimal, reference: str, now: datetime
) -> NewBalance:
    """
    Give a member demo money from the house's `grants` account.

    Raises UnknownCurrency, BadAmount. Where real money is held, callers must refuse
    before.
    """
    demand_sound(currency, amount)
    with transaction():
        move = Move(
            house(House.GRANTS, currency),
            AVAILABLE,
            account_of(member_id=member_id, currency=currency),
            AVAILABLE,
            amount,
            Reason.GRANT.value,
            reference,
        )
        balances = post([move], at=now)
        _tell(balances)
        return balances[0]


def demand_sound(code: str, amount: Decimal) -> None:
    """
    Raise UnknownCurrency or BadAmount unless an amount of this currency can be booked.
    """
    currency = Currency.objects.filter(pk=code).order_by("pk").first()
    if currency is None:
        raise UnknownCurrency(currency=code)
    if not amount > 0 or not is_multiple(amount, currency.unit):
        raise BadAmount(
            _(
                "An amount of %(currency)s is above zero and has at most %(digits)s"
                " digits after the point."
            )
            % {"currency": code.upper(), "digits": currency.scale},
            digits=currency.scale,
        )


def _tell(balances: Sequence[NewBalance]) -> None:
    """Announce who holds something else now; how much they read from the rows."""
    if members := sorted({balance.member_id for balance in balances}):
        news = {"balances_of": members}
        after_commit(functools.partial(bus.announce, "balances", news))


def _changes(moves: Sequence[Move]) -> dict[int, list[Decimal]]:
    """Sum what the moves do to each account: {account: [available, locked]}."""
    changes: dict[int, list[Decimal]] = {}
    with localcontext(EXACT):  # 28 digits, the usual, are fewer than an amount may have
        for source, out_of, target, into, amount, _, _ in moves:
            changes.setdefault(source, [ZERO, ZERO])[out_of == LOCKED] -= amount
            changes.setdefault(target, [ZERO, ZERO])[into == LOCKED] += amount
    return changes


def _demand_house(cursor: object, ids: set[int]) -> None:
    """What has no balance row must be an account of the house."""
    if not ids:
        return
    cursor.execute(  # type: ignore[attr-defined]  # Django's cursor wrapper
        "SELECT count(*) FROM wallets_account WHERE id = ANY(%s) AND house IS NOT NULL",
        [list(ids)],
    )
    if cursor.fetchone()[0] != len(ids):  # type: ignore[attr-defined]
        raise BadMove(f"Not all of these accounts exist: {sorted(ids)}")


def _apply(cursor: object, changes: dict[int, list[Decimal]]) -> list[NewBalance]:
    ids = sorted(changes)
    cursor.execute(  # type: ignore[attr-defined]
        _CHANGE_BALANCES,
        [
            column(ids),
            column(changes[id][0] for id in ids),
            column(changes[id][1] for id in ids),
        ],
    )
    balances = [NewBalance(*row) for row in cursor.fetchall()]  # type: ignore[attr-defined]
    if len(balances) == len(ids):
        return balances
    short = min(set(ids) - {balance.account_id for balance in balances})
    raise _shortage(short, changes[short])


# The guard keeps a shortage an answer instead of a violated CHECK; the CHECK stays as
# the last word of the database.
_CHANGE_BALANCES = """
UPDATE wallets_balance AS balance
SET available = balance.available + change.available,
    locked = balance.locked + change.locked
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[])
        AS change (account_id, available, locked),
    wallets_account AS account
WHERE balance.account_id = change.account_id AND account.id = change.account_id
    AND balance.available + change.available >= 0
    AND balance.locked + change.locked >= 0
RETURNING balance.account_id, account.member_id, account.currency_id,
    balance.available, balance.locked
"""

_INSERT_ENTRIES = """
INSERT INTO wallets_entry (at, amount, source_id, source_pocket, target_id,
    target_pocket, reason, reference)
SELECT %s, move.amount, move.source, move.source_pocket, move.target,
    move.target_pocket, move.reason, move.reference
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::numeric[],
        %s::text[], %s::text[]) WITH ORDINALITY
    AS move (source, source_pocket, target, target_pocket, amount, reason, reference,
        place)
ORDER BY move.place
"""


def _columns(moves: Sequence[Move]) -> list[str]:
    return [column(values) for values in zip(*moves, strict=True)]


def _shortage(account_id: int, change: list[Decimal]) -> InsufficientFunds:
    account = Account.objects.select_related("balance").get(pk=account_id)
    return InsufficientFunds(
        currency=account.currency_id,
        needed=plain(max(-change[0], -change[1])),
        available=plain(account.balance.available),
    )
