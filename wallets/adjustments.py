"""
Adjustments: corrections of the books, by two operators.

One proposes, with a reason; another one books it or refuses. Neither corrects their own
account. What is booked comes out of the house's `adjustments` account, or goes back
into it, once, so that what operators ever made or took is one figure. A pocket never
goes below zero by it: such a proposal stays until there is enough, or is taken back.

Locks: the adjustment, the house's account where it is `suspense`, balances by id.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from accounts import notices
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Invalid, NotAllowed
from exchange.lib.money import plain
from exchange.lib.states import advance, lock_row
from exchange.lib.transactions import transaction, transaction_required
from wallets import ledger, queries
from wallets.ledger import AVAILABLE, House, InsufficientFunds, Move, Reason
from wallets.models.adjustments import Adjustment

State = Adjustment.State


class NoReason(Invalid):
    """A correction says why."""

    code = "no_reason"
    text = _("Please say why, in at most 200 characters.")


class OwnAccount(NotAllowed):
    """Nobody corrects their own account, nor decides about it."""

    code = "own_account"
    text = _("Somebody else has to correct your own account.")


class OwnProposal(NotAllowed):
    """Who proposes and who decides are two people."""

    code = "own_proposal"
    text = _("Somebody else has to decide about what you proposed.")


class NotYours(NotAllowed):
    """Only who proposed it takes it back; others refuse it."""

    code = "not_your_proposal"
    text = _("Only its proposer can take it back. You can refuse it.")


@transaction_required
def propose(
    *,
    member: Member | None,
    currency: str,
    amount: Decimal,
    reason: str,
    operator: Member,
    now: datetime,
) -> Adjustment:
    """
    Write down that an account should get an amount, or lose one below zero. Nobody's
    account is the house's `suspense`. In the transaction of the desk's form.

    Raises ledger.UnknownCurrency or BadAmount, NoReason, OwnAccount, words.Unseen.
    """
    reason = demand_sound(
        member=member,
        currency=currency,
        amount=amount,
        reason=reason,
        operator=operator,
    )
    row = Adjustment.objects.create(
        member=member,
        currency_id=currency,
        amount=amount,
        reason=reason,
        proposer=operator,
        proposed_at=now,
    )
    audit.record(
        f"operator:{operator.pk}",
        "adjustment_proposed",
        audit.label(row),
        account=_whose(row),
        currency=currency,
        amount=plain(amount),
        reason=reason,
    )
    return row


def demand_sound(
    *,
    member: Member | None,
    currency: str,
    amount: Decimal,
    reason: str,
    operator: Member,
) -> str:
    """Return the reason as it is kept, of what may be proposed. Raises as `propose`."""
    ledger.demand_sound(currency, amount.copy_abs())
    reason = words.line(reason)
    if not 0 < len(reason) <= 200:
        raise NoReason
    if member == operator:
        raise OwnAccount
    return reason


def approve(
    *, adjustment: Adjustment, operator: Member, note: str, now: datetime
) -> Adjustment:
    """
    Book what somebody else proposed, and tell the member. What is booked already is
    returned as it is.

    Raises OwnProposal, OwnAccount, IllegalMove, or InsufficientFunds: then it stays
    proposed.
    """
    with transaction():
        row = lock_row(adjustment)
        if row.state == State.BOOKED:
            return row
        row = _decided(row, "book", operator, note, now)
        _book(row, now)
        if row.member is not None:
            _tell(row, row.member)
    return row


def refuse(
    *, adjustment: Adjustment, operator: Member, note: str, now: datetime
) -> Adjustment:
    """
    Decide against what somebody else proposed. Raises OwnProposal, OwnAccount or
    IllegalMove.
    """
    with transaction():
        return _decided(lock_row(adjustment), "refuse", operator, note, now)


def withdraw(
    *, adjustment: Adjustment, operator: Member, note: str, now: datetime
) -> Adjustment:
    """Take back what one proposed oneself. Raises NotYours or IllegalMove."""
    if adjustment.proposer_id != operator.pk:
        raise NotYours
    by = f"operator:{operator.pk}"
    with transaction():
        return advance(adjustment, "withdraw", by=by, note=note, at=now.isoformat())


def held(adjustment: Adjustment) -> Decimal:
    """Return what the account concerned has available now."""
    if adjustment.member_id is None:
        return queries.house_balance(House.SUSPENSE, adjustment.currency_id)
    return queries.balance(adjustment.member_id, adjustment.currency_id).available


@transaction_required
def _decided(
    row: Adjustment, move: str, operator: Member, note: str, now: datetime
) -> Adjustment:
    if row.proposer_id == operator.pk:
        raise OwnProposal
    if row.member_id == operator.pk:
        raise OwnAccount
    by = f"operator:{operator.pk}"
    at = now.isoformat()
    return advance(row, move, by=by, decider=operator.pk, note=note, at=at)


@transaction_required
def _book(row: Adjustment, now: datetime) -> None:
    # Not abs(): it rounds to 28 digits, fewer than an amount may have.
    currency, size = row.currency_id, row.amount.copy_abs()
    equity = ledger.house(House.ADJUSTMENTS, currency)
    if row.member_id is None:
        account = ledger.house(House.SUSPENSE, currency)
        _demand_in_suspense(row, account)
    else:
        account = ledger.account_of(member_id=row.member_id, currency=currency)
    source, target = (equity, account) if row.amount > 0 else (account, equity)
    cause = f"adjustment:{row.pk}"
    ends = (source, AVAILABLE, target, AVAILABLE)
    move = Move(*ends, size, Reason.ADJUSTMENT.value, cause)
    ledger.post_once(cause, [move], at=now)


def _demand_in_suspense(row: Adjustment, account: int) -> None:
    """
    Members' pockets are guarded by the ledger; the house's are summed from their
    entries, under a lock that two adjustments do not hold at once.
    """
    ledger.lock_house(account)
    there, needed = held(row), row.amount.copy_negate()
    if there < needed:
        raise InsufficientFunds(
            currency=row.currency_id, needed=plain(needed), available=plain(there)
        )


def _tell(row: Adjustment, member: Member) -> None:
    notices.tell(
        member,
        notices.Event.BALANCE_ADJUSTED,
        amount=plain(row.amount.copy_abs()),
        currency=row.currency_id.upper(),
        is_credit=row.amount > 0,
        reason=row.reason,
    )


def _whose(row: Adjustment) -> str:
    return "suspense" if row.member_id is None else f"member:{row.member_id}"
