"""
What becomes of a deposit: seen, credited, and rarely taken back.

The scanner says what the chain says; here stands what follows from it. A deposit is
spendable only once it is as deep as its tier asks. What a reorganisation took away is
taken back from its owner as far as it is there, the house bears the rest, and the
account is frozen until somebody has looked.

Rows are locked in this order: the scan of the chain, the deposit, its owner, balances.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from accounts import members, notices
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import Refused
from exchange.lib.money import ZERO, plain
from exchange.lib.states import advance, lock_row
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
def follow(
    deposit: Deposit, told: Received, policy: Policy, *, now: datetime
) -> Deposit:
    """
    Let one deposit become what the chain says of it. Safe to repeat.

    `told` is newer than what the row says: the scanner sees to that.
    """
    before = deposit.confirmations
    if (before, deposit.block_hash) != (told.confirmations, told.block_hash):
        deposit.confirmations = told.confirmations
        deposit.block_hash = told.block_hash
        deposit.save(update_fields=["confirmations", "block_hash"])
    if told.is_gone:
        return _gone(deposit, now)
    if deposit.state == State.CREDITED:
        if told.confirmations == 0 < before:
            # Its block lost; very likely another one will take it.
            audit.alarm(audit.label(deposit), "credited_deposit_unconfirmed")
        return deposit
    if deposit.state == State.GONE:
        deposit = advance(deposit, "reappear", by=_BY)
    is_deep = told.confirmations >= deposit.required
    if deposit.state != State.TOO_SMALL and is_deep and policy.takes_deposits:
        return _credit(deposit, now)
    return deposit


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


def _credit(deposit: Deposit, now: datetime) -> Deposit:
    deposit.credited_at = now
    deposit.save(update_fields=["credited_at"])
    deposit = advance(deposit, "credit", by=_BY)
    currency, cause = deposit.currency_id, f"deposit:{deposit.pk}:{deposit.credits}"
    move = Move(
        ledger.house(House.HOT, currency),
        AVAILABLE,
        _owner(deposit),
        AVAILABLE,
        deposit.amount,
        Reason.DEPOSIT.value,
        cause,
    )
    ledger.post_once(cause, [move], at=now)
    if deposit.member is None:
        audit.alarm(audit.label(deposit), "deposit_of_nobody", address=deposit.address)
    else:
        notices.tell(
            deposit.member,
            notices.Event.DEPOSIT_CREDITED,
            amount=plain(deposit.amount),
            currency=currency.upper(),
            txid=deposit.txid,
        )
    return deposit


def _gone(deposit: Deposit, now: datetime) -> Deposit:
    if deposit.state == State.SEEN:
        return advance(deposit, "lose", by=_BY)
    if deposit.state != State.CREDITED:
        return deposit
    owner = deposit.member and members.lock_member(deposit.member)
    deposit = advance(deposit, "reverse", by=_BY)
    cause = f"deposit:{deposit.pk}:{deposit.credits}:reversed"
    ledger.post_once(cause, list(_take_back(deposit, cause)), at=now)
    audit.alarm(
        audit.label(deposit), "credited_deposit_gone", amount=plain(deposit.amount)
    )
    if owner is not None and owner.state == Member.State.ACTIVE:
        members.move(
            owner,
            Member.State.FROZEN,
            by=_BY,
            reason=f"a credited deposit was taken back by the chain: {deposit.txid}",
        )
    return deposit


def _take_back(deposit: Deposit, cause: str) -> Iterable[Move]:
    """Yield what undoes a credit: from the owner what is there, else from the house."""
    currency, owner = deposit.currency_id, _owner(deposit)
    hot = ledger.house(House.HOT, currency)
    there = deposit.amount
    if deposit.member is not None:
        ledger.lock(member_id=deposit.member.pk, currencies=[currency])
        held = queries.balance(deposit.member.pk, currency)
        there = min(held.available, deposit.amount)
    if there:
        yield Move(
            *(owner, AVAILABLE, hot, AVAILABLE, there),
            *(Reason.DEPOSIT_REVERSED.value, cause),
        )
    if lost := deposit.amount - there:
        losses = ledger.house(House.LOSSES, currency)
        yield Move(
            *(losses, AVAILABLE, hot, AVAILABLE, lost),
            *(Reason.DEPOSIT_LOST.value, cause),
        )


def _owner(deposit: Deposit) -> int:
    if deposit.member_id is None:
        return ledger.house(House.SUSPENSE, deposit.currency_id)
    return ledger.account_of(member_id=deposit.member_id, currency=deposit.currency_id)
