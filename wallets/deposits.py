"""
What becomes of a deposit: seen, credited, and rarely taken back.

The scanner says what the chain says; here stands what follows from it. A deposit is
spendable only once it is as deep as its tier asks. What a reorganisation took away is
taken back from its owner as far as it is there, the house bears the rest, and the
account is frozen until somebody has looked.

Rows are locked in this order: the scan of the chain, deposits by id, the
owner of one that is taken back, balances by id.
All credits of a transaction are posted together, and each that is taken back has a
transaction of its own, so that nobody waits for a balance of ours while we wait for one
of theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import members, notices
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import Refused
from exchange.lib.money import EXACT, ZERO, plain
from exchange.lib.states import advance, advance_all, lock_row
from exchange.lib.transactions import transaction, transaction_required
from wallets import ledger, queries
from wallets.chains.base import Received
from wallets.ledger import AVAILABLE, House, Move, Reason
from wallets.models.coins import Rules
from wallets.models.deposits import Deposit

_BY = "system"
_CONFIRMATIONS = 6  # where nobody has set a tier
State = Deposit.State


class NothingToClaim(Refused):
    """The deposit has an owner, or is not in the books."""

    code = "nothing_to_claim"
    text = _("This deposit belongs to somebody, or is not credited.")


class Policy:
    """The operator's rules for deposits of one currency, read once for a scan."""

    def __init__(self, currency: str) -> None:
        found = Rules.objects.filter(pk=currency).prefetch_related("tiers")
        rules = found.order_by("pk").first()
        self.takes_deposits = rules is None or rules.takes_deposits
        self.minimum = rules.deposit_min if rules else ZERO
        tiers = rules.tiers.all() if rules else ()
        self._tiers = sorted((tier.amount_from, tier.confirmations) for tier in tiers)

    def required(self, amount: Decimal) -> int:
        """Return how many confirmations a deposit of this size needs."""
        fitting = [depth for start, depth in self._tiers if start <= amount]
        return fitting[-1] if fitting else _CONFIRMATIONS


@transaction_required
def notice(told: Iterable[tuple[Deposit, Received]]) -> None:
    """
    Write down what the chain says of deposits; no money moves. Safe to repeat.

    The rows are locked, and what is told of them is newer than what they say: the
    scanner sees to that.
    """
    changed, moves = [], defaultdict[str, list[Deposit]](list)
    for deposit, news in told:
        before = deposit.confirmations
        after = (news.confirmations, news.block_hash)
        if (before, deposit.block_hash) != after:
            deposit.confirmations, deposit.block_hash = after
            changed.append(deposit)
        is_unconfirmed = news.confirmations == 0 < before and not news.is_gone
        if deposit.state == State.CREDITED and is_unconfirmed:
            # Its block lost; very likely another one will take it.
            audit.alarm(audit.label(deposit), "credited_deposit_unconfirmed")
        elif deposit.state == State.SEEN and news.is_gone:
            moves["lose"].append(deposit)
        elif deposit.state == State.GONE and not news.is_gone:
            moves["reappear"].append(deposit)
    Deposit.objects.bulk_update(changed, ["confirmations", "block_hash"])
    for move, rows in moves.items():
        advance_all(_these(rows), move, by=_BY)


@transaction_required
def credit_due(
    deposits: Iterable[Deposit], policy: Policy, *, now: datetime
) -> list[Deposit]:
    """
    Credit those of a currency's deposits that are as deep as they must be; return them.

    What belongs to nobody is credited to `suspense`, and is an alarm.
    """
    due = [
        each
        for each in deposits
        if each.state in {State.SEEN, State.REVERSED}
        and each.confirmations >= each.required
    ]
    if not due or not policy.takes_deposits:
        return []
    _these(due).update(credited_at=now)
    credited = advance_all(_these(due), "credit", by=_BY)
    ledger.post_each(_credits(credited), at=now)
    for deposit in credited:
        _tell(deposit)
    return credited


@transaction_required
def take_back(deposit: Deposit, *, now: datetime) -> Deposit:
    """
    Undo the credit of a deposit that the chain has no longer.

    The owner gives what is there, the house the rest; the owner's account is frozen.
    Safe to repeat.
    """
    deposit = lock_row(deposit)
    if deposit.state != State.CREDITED:
        return deposit
    owner = deposit.member and members.lock_member(deposit.member)
    deposit = advance(deposit, "reverse", by=_BY)
    cause = f"deposit:{deposit.pk}:{deposit.credits}:reversed"
    moves = taking_back(
        member_id=deposit.member_id,
        currency=deposit.currency_id,
        amount=deposit.amount,
        holder=House.HOT,
        cause=cause,
    )
    ledger.post_once(cause, list(moves), at=now)
    audit.alarm(
        audit.label(deposit), "credited_deposit_gone", amount=plain(deposit.amount)
    )
    if owner is not None:
        freeze_owner(
            owner,
            reason=f"a credited deposit was taken back by the chain: {deposit.txid}",
        )
    return deposit


@transaction_required
def taking_back(
    *, member_id: int | None, currency: str, amount: Decimal, holder: House, cause: str
) -> Iterable[Move]:
    """
    Yield what undoes a credit, and lock the balance for it: from the owner what is
    there, else from the house, to where we held it. Nobody's is in `suspense`.
    """
    held_at = ledger.house(holder, currency)
    there = amount
    if member_id is None:
        owner = ledger.house(House.SUSPENSE, currency)
    else:
        owner = ledger.account_of(member_id=member_id, currency=currency)
        ledger.lock(member_id=member_id, currencies=[currency])
        there = min(queries.balance(member_id, currency).available, amount)
    if there:
        yield Move(
            *(owner, AVAILABLE, held_at, AVAILABLE, there),
            *(Reason.DEPOSIT_REVERSED.value, cause),
        )
    if lost := EXACT.subtract(amount, there):
        losses = ledger.house(House.LOSSES, currency)
        yield Move(
            *(losses, AVAILABLE, held_at, AVAILABLE, lost),
            *(Reason.DEPOSIT_LOST.value, cause),
        )


@transaction_required
def freeze_owner(owner: Member, *, reason: str) -> None:
    """Freeze the account of a deposit that was taken back, until somebody looked."""
    if owner.state == Member.State.ACTIVE:
        members.move(owner, Member.State.FROZEN, by=_BY, reason=reason)


def shaky_of(member: Member) -> list[Deposit]:
    """Return what was credited to a member and is in no block at the moment."""
    rows = Deposit.objects.filter(
        member=member, state=State.CREDITED, confirmations__lte=0
    )
    return list(rows.order_by("pk"))


def of(member: Member, currency: str | None = None) -> list[Deposit]:
    """Return a member's deposits, newest first."""
    rows = Deposit.objects.filter(member=member)
    if currency is not None:
        rows = rows.filter(currency=currency)
    return list(rows.order_by("-pk"))


def claim(
    *, deposit: Deposit, member: Member, by: str, reason: str, now: datetime
) -> Deposit:
    """
    Give a deposit of an unknown owner to the member it belongs to.

    Raises NothingToClaim.
    """
    with transaction():
        deposit = lock_row(deposit)
        if deposit.member_id is not None or deposit.state != State.CREDITED:
            raise NothingToClaim
        deposit.member = member
        deposit.save(update_fields=["member"])
        currency = deposit.currency_id
        move = Move(
            ledger.house(House.SUSPENSE, currency),
            AVAILABLE,
            ledger.account_of(member_id=member.pk, currency=currency),
            AVAILABLE,
            deposit.amount,
            Reason.DEPOSIT_CLAIMED.value,
            f"deposit:{deposit.pk}:claimed",
        )
        ledger.post_once(move.reference, [move], at=now)
        audit.record(
            by,
            "deposit_claimed",
            audit.label(deposit),
            member=member.pk,
            amount=plain(deposit.amount),
            reason=reason,
        )
    return deposit


def _these(rows: Iterable[Deposit]) -> QuerySet[Deposit]:
    keys = [row.pk for row in rows]
    return Deposit.objects.filter(pk__in=keys).select_related("member")


def _credits(rows: Sequence[Deposit]) -> dict[str, list[Move]]:
    """Return what credits deposits of one currency, by cause."""
    currency = rows[0].currency_id
    hot = ledger.house(House.HOT, currency)
    owners = {row.member_id for row in rows if row.member_id is not None}
    accounts = ledger.accounts_of(member_ids=owners, currencies=[currency])
    postings = {}
    for row in rows:
        if row.member_id is None:
            owner = ledger.house(House.SUSPENSE, currency)
        else:
            owner = accounts[row.member_id, currency]
        cause = f"deposit:{row.pk}:{row.credits}"
        ends = (hot, AVAILABLE, owner, AVAILABLE)
        postings[cause] = [Move(*ends, row.amount, Reason.DEPOSIT.value, cause)]
    return postings


def _tell(deposit: Deposit) -> None:
    if deposit.member is None:
        audit.alarm(audit.label(deposit), "deposit_of_nobody", address=deposit.address)
        return
    notices.tell(
        deposit.member,
        notices.Event.DEPOSIT_CREDITED,
        amount=plain(deposit.amount),
        currency=deposit.currency_id.upper(),
        txid=deposit.txid,
    )
