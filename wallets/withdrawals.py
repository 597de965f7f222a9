"""
Withdrawals, from the wish to the approval. Paying them is the business of payouts.

`place` does all in one transaction: it locks the member, so that limits count what is
pending however many ask at once, sets the money aside, and writes the row with whatever
speaks against paying it by machine. A withdrawal without doubts is approved at once.
One with doubts waits for an operator; one that is large, for two.

Rows are locked in this order: the member, the beneficiary, the withdrawal, balances by
id. Payouts lock balances before withdrawals; they touch only what is being built, which
nothing here touches any more. Waiting times are measured by the clock of the database,
so that one of ours that jumps shortens none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts import (
    identity,
    links,
    members,
    notices,
    proofs,
    standing,
    throttling,
)
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.tokens import ApiToken
from exchange.lib import audit
from exchange.lib.errors import Conflict, NotAllowed, Refused
from exchange.lib.money import EXACT, ZERO, is_multiple, plain, unit
from exchange.lib.states import advance, lock_row
from exchange.lib.transactions import transaction, transaction_required
from wallets import beneficiaries, deposits, ledger, queries, signing, valuation
from wallets.beneficiaries import Frozen
from wallets.ledger import AVAILABLE, LOCKED, Move, Reason
from wallets.models.coins import Rules
from wallets.models.transfers import Transfer
from wallets.models.withdrawals import Approval, Beneficiary, Withdrawal

State = Withdrawal.State
# What an operator reads beside a withdrawal that waits.
DOUBTS = {
    "large": _("It is larger than what is paid without two operators."),
    "new_beneficiary": _("Nothing was ever paid to this beneficiary."),
    "new_device": _("It was asked for in a browser that is new to the account."),
    "after_change": _("Password or factors were changed in the last days."),
    "velocity": _("The member asked for many withdrawals in an hour."),
    "shaky_deposit": _("A deposit of the member is in no block at the moment."),
    "bad_address": _("The chain does not take its address."),
    "not_signed": _("The node refuses to sign a payment of it."),
    "own_address": _("Its address is one of ours."),
    "not_in_address_book": _("Its address is not that of its beneficiary any more."),
    "looks_paid": _("The chain has a payment that looks like it. Do not pay it twice."),
    "given_back": _("It was signed once, and its coins went elsewhere for good."),
    "bank_returned": _("The bank sent it back. Please check the account."),
    "no_price": _("Its value is not known, so that limits do not count it."),
}
# While it is so far only, its owner can take it back.
CANCELLABLE = frozenset({State.REVIEW, State.APPROVED})
_CANCEL = "cancel_withdrawal"  # the purpose of the link
_CANCEL_LINK_VALID = timedelta(days=30)
_TWO = {"large", "looks_paid", "given_back"}  # two operators approve
_VELOCITY = 5  # withdrawals an hour
_LIMITS_REMEMBERED = timedelta(days=30)  # as long as the longest limit counts
_AFTER_CHANGE = timedelta(days=7)
# States in which a withdrawal counts for limits: all but those that came to nothing.
_COUNTED = ~Q(state__in=[State.CANCELLED, State.REFUSED])


class WithdrawalsClosed(Refused):
    """The operator pays out nothing of this currency at the moment."""

    code = "withdrawals_closed"
    text = _("Withdrawals of this currency are paused. Please come back later.")


class BadWithdrawal(Refused):
    """Too little, or more digits than can be paid. Facts: minimum, digits."""

    code = "bad_withdrawal"


class Resting(Refused):
    """After a change of password or factors withdrawals rest. Facts: until."""

    code = "withdrawals_rest"
    text = _(
        "Withdrawals rest for a while after a change of your password or factors, so"
        " that nobody who made it in your place can take your money."
    )


class NotUsable(Refused):
    """The beneficiary is not confirmed, or in its cool-off. Facts: until."""

    code = "beneficiary_not_usable"
    text = _("This beneficiary cannot be paid yet.")


class LimitReached(Refused):
    """More than this level may withdraw. Facts: left_24h, left_30d, currency."""

    code = "withdrawal_limit"
    text = _("This is more than you may withdraw at your level.")


class NoProof(NotAllowed):
    """Neither a fresh code of the member for a withdrawal, nor a key of theirs."""

    code = "no_proof"
    text = _("Please show a code for this withdrawal.")


class ProofUsed(Conflict):
    """Each withdrawal needs a code of its own."""

    code = "proof_used"
    text = _("This code was used for another withdrawal. Please show a new one.")


class SameIdOtherTerms(Conflict):
    """The client's id was used for a withdrawal with other terms."""

    code = "client_id_used"
    text = _("This id was used for another withdrawal.")


class NotShown(Conflict):
    """What was confirmed is not what would be done. Facts: fee, net."""

    code = "terms_changed"
    text = _("The terms have changed meanwhile. Please look at them again.")


class OwnWithdrawal(NotAllowed):
    """Nobody approves their own."""

    code = "own_withdrawal"
    text = _("Somebody else has to decide about your own withdrawal.")


class OwnLimits(NotAllowed):
    """Who moved the limits does not approve what they let through."""

    code = "own_limits"
    text = _(
        "You have changed this member's level, or the limits that this withdrawal is"
        " held against. Somebody else has to approve it."
    )


class LooksPaid(Conflict):
    """It may have been paid already: two operators have to find out first."""

    code = "looks_paid"
    text = _(
        "Something may have paid this withdrawal. Until somebody has looked at the"
        " chain, and another one agrees, the money is not given back."
    )


class OwnWord(NotAllowed):
    """Who said that the bank did not pay decides nothing that follows from it."""

    code = "own_word_of_the_bank"
    text = _("You have said that the bank sent it back. Somebody else has to decide.")


class CameBack(Conflict):
    """The bank is said to have sent it back, and no other operator has looked yet."""

    code = "sent_back_by_the_bank"
    text = _("The bank has sent it back. Please wait until somebody has looked at it.")


class Terms(NamedTuple):
    """What a withdrawal of an amount costs, and what arrives."""

    amount: Decimal
    fee: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Left:
    """What a member may still withdraw, in the currency that limits are counted in."""

    currency: str
    day: Decimal
    month: Decimal


@dataclass(frozen=True, slots=True)
class Source:
    """
    How somebody asks: in a browser, with the proof that was shown for this and nothing
    else, or with an API key.
    """

    proof: Proof | None = None
    token: ApiToken | None = None
    is_new_device: bool = False

    @property
    def actor(self) -> str:
        return f"token:{self.token.pk}" if self.token else "member"


def rules_of(currency: str) -> Rules:
    """Return the rules of a currency. Raises WithdrawalsClosed where there are none."""
    found = Rules.objects.select_related("currency").filter(pk=currency)
    rules = found.order_by("pk").first()
    if rules is None:
        raise WithdrawalsClosed
    return rules


def terms_of(currency: str, amount: Decimal) -> Terms:
    """
    Return what withdrawing an amount means. Raises BadWithdrawal, WithdrawalsClosed.
    """
    rules = rules_of(currency)
    digits, fee = rules.currency.digits, rules.withdrawal_fee
    if not amount > ZERO or not is_multiple(amount, unit(digits)):
        raise BadWithdrawal(
            _("Please give an amount with at most %(digits)s digits after the point.")
            % {"digits": digits},
            digits=digits,
        )
    net = EXACT.subtract(amount, fee)
    if net < rules.withdrawal_min:
        least = plain(EXACT.add(rules.withdrawal_min, fee))
        raise BadWithdrawal(
            _("The least you can withdraw is %(least)s, the fee of %(fee)s included.")
            % {"least": least, "fee": plain(fee)},
            minimum=least,
        )
    return Terms(amount, fee, net)


def left_of(member: Member, *, now: datetime) -> Left:
    """Return what a member may still withdraw; transfers and what is pending count."""
    limits = identity.limits_of(member)
    day = _sent(member, since=now - timedelta(days=1))
    month = _sent(member, since=now - timedelta(days=30))
    return Left(
        limits.currency,
        max(limits.withdrawal_24h - day, ZERO),
        max(limits.withdrawal_30d - month, ZERO),
    )


def rests_until(member: Member) -> datetime | None:
    """Return until when withdrawals rest after a change of credentials, if they do."""
    rest = timedelta(hours=settings.WITHDRAWAL_REST_HOURS)
    resting = Member.objects.filter(pk=member.pk, security_changed_at__gt=Now() - rest)
    changed = resting.values_list("security_changed_at", flat=True)
    return next((at + rest for at in changed if at is not None), None)


def demand_source(member: Member, source: Source, now: datetime) -> None:
    """Raise NoProof unless it is the member who asks, by a fresh code or a key."""
    proof, token = source.proof, source.token
    is_shown = (
        proof is not None
        and (proof.member_id, proof.purpose) == (member.pk, Proof.Purpose.WITHDRAWAL)
        and now - proofs.FRESH < proof.at <= now
    )
    if not is_shown and (token is None or token.member_id != member.pk):
        raise NoProof


def demand_may_send(member: Member) -> None:
    """
    Raise Frozen, AddressNotConfirmed or Resting where the member may send nothing now.
    """
    if member.state != Member.State.ACTIVE:
        raise Frozen
    standing.demand_activated(member)
    if until := rests_until(member):
        raise Resting(until=until.isoformat())


def demand_unspent(source: Source) -> None:
    """
    Raise ProofUsed where the code was good for something already: a withdrawal or a
    transfer. Its member's row must be locked.
    """
    if source.proof is None:
        return
    for spent in (Withdrawal.objects, Transfer.objects):
        if spent.filter(proof=source.proof).exists():
            raise ProofUsed


def demand_within_limits(
    member: Member, amount: Decimal, currency: str, *, now: datetime
) -> Decimal | None:
    """
    Return what an amount counts for the limits, None where nobody knows its price. The
    member's row must be locked. Raises LimitReached.
    """
    left = left_of(member, now=now)
    value = valuation.counted_value_of(amount, currency, left.currency)
    if (value or ZERO) > min(left.day, left.month):
        raise LimitReached(
            left_24h=plain(left.day), left_30d=plain(left.month), currency=left.currency
        )
    return value


def foresee(
    *, member: Member, beneficiary: Beneficiary, amount: Decimal, now: datetime
) -> Terms:
    """
    Return the terms of a withdrawal that may be placed now; nothing is locked, and
    `place` asks again. Raises what that raises, but for proofs and ids.
    """
    terms, _value = _demand_may(member, beneficiary, amount, None, now)
    available = queries.balance(member.pk, beneficiary.currency_id).available
    if amount > available:
        raise ledger.InsufficientFunds(
            currency=beneficiary.currency_id,
            needed=plain(amount),
            available=plain(available),
        )
    return terms


def place(
    *,
    member: Member,
    beneficiary: Beneficiary,
    amount: Decimal,
    source: Source,
    shown: Terms | None = None,
    client_id: str | None = None,
    now: datetime,
) -> Withdrawal:
    """
    Set money aside to be paid out, and approve it where nothing speaks against it.

    `shown` are the terms the member saw: what differs from them is not done. The same
    `client_id` with the same terms returns the same withdrawal.

    Raises NoProof, AddressNotConfirmed, WithdrawalsClosed, BadWithdrawal, Frozen,
    Resting, NotUsable, LimitReached, ledger.InsufficientFunds, ProofUsed, NotShown,
    SameIdOtherTerms or throttling.LimitReached.
    """
    demand_source(member, source, now)
    try:
        with transaction():
            member = members.lock_member(member)
            if earlier := _earlier(member, client_id):
                return _same(earlier, beneficiary, amount)
            demand_unspent(source)
            withdrawal = _asked(member, beneficiary, amount, shown, now)
            withdrawal.client_id = client_id
            withdrawal.proof, withdrawal.token = source.proof, source.token
            _set_aside(withdrawal, now)
            withdrawal.doubts = sorted(set(_doubts(member, withdrawal, source, now)))
            withdrawal.save(update_fields=["doubts"])
            audit.record(
                f"member:{member.pk}",
                "withdrawal_placed",
                audit.label(withdrawal),
                currency=withdrawal.currency_id,
                amount=plain(amount),
                destination=withdrawal.destination,
                doubts=withdrawal.doubts,
                by=source.actor,
            )
            throttling.count_mail(member.pk, now=now)
            url = _cancel_link(withdrawal)
            _tell(withdrawal, notices.Event.WITHDRAWAL_PLACED, url=url)
            if not withdrawal.doubts:
                withdrawal = advance(withdrawal, "approve", by="system")
    except IntegrityError as error:
        if source.proof and Withdrawal.objects.filter(proof=source.proof).exists():
            raise ProofUsed from error
        raise
    return withdrawal


def cancel(*, withdrawal: Withdrawal, by: str, now: datetime) -> Withdrawal:
    """
    Give the money back while nothing is being built. Raises IllegalMove afterwards, and
    LooksPaid and CameBack.
    """
    with transaction():
        return _close(withdrawal, "cancel", by=by, now=now)


def whose_link(link: str, withdrawal_id: int) -> Withdrawal:
    """Return the withdrawal that a link cancels. Raises links.LinkSpent."""
    member = links.member_of(link, purpose=_CANCEL, valid=_CANCEL_LINK_VALID)
    rows = Withdrawal.objects.filter(
        pk=withdrawal_id, member=member, state__in=CANCELLABLE
    )
    row = rows.select_related("beneficiary").order_by("pk").first()
    if row is None or row.looks_paid or row.came_back:
        raise links.LinkSpent
    state = _link_state(row)
    links.demand_unspent(link, member=member, purpose=_CANCEL, state=state)
    return row


def cancel_by_link(link: str, withdrawal_id: int, *, now: datetime) -> Withdrawal:
    """
    Give the money back by the link in the mail, for whom cannot sign in or has no time
    to. Raises links.LinkSpent, IllegalMove.
    """
    row = whose_link(link, withdrawal_id)
    with transaction():
        by = f"member:{row.member_id}"
        return _close(row, "cancel", by=by, now=now, door="mail")


def refuse(
    *, withdrawal: Withdrawal, operator: Member, note: str, now: datetime
) -> Withdrawal:
    """
    Give the money back, and say why. Raises IllegalMove, OwnWithdrawal, OwnWord,
    LooksPaid.
    """
    _demand_other(withdrawal, operator)
    with transaction():
        before = lock_row(withdrawal)
        _demand_unpaid(before, operator)
        _demand_no_own_word(before, operator)
        was_refused = before.state == State.REFUSED
        closed = _close(
            withdrawal, "refuse", by=f"operator:{operator.pk}", now=now, note=note
        )
        if not was_refused:
            _tell(closed, notices.Event.WITHDRAWAL_REFUSED, note=note)
    return closed


def approve(
    *, withdrawal: Withdrawal, operator: Member, note: str, now: datetime
) -> Withdrawal:
    """
    Add one operator's word; the last one needed approves. The same operator's second
    word adds nothing. Raises IllegalMove, OwnWithdrawal, OwnLimits, OwnWord, LooksPaid.
    """
    _demand_other(withdrawal, operator)
    _demand_no_hand_in_limits(withdrawal, operator, now)
    with transaction():
        withdrawal = lock_row(withdrawal)
        by = f"operator:{operator.pk}"
        if withdrawal.state != State.REVIEW:
            return advance(withdrawal, "approve", by=by)
        _demand_unpaid(withdrawal, operator)
        _demand_no_own_word(withdrawal, operator)
        __, is_new = Approval.objects.get_or_create(
            withdrawal=withdrawal,
            operator=operator,
            turn=len(withdrawal.doubts),
            defaults={"at": now, "note": note},
        )
        if is_new:
            audit.record(by, "withdrawal_vouched", audit.label(withdrawal), note=note)
        if len(approvals_of(withdrawal)) >= approvals_needed(withdrawal):
            withdrawal = advance(withdrawal, "approve", by=by)
    return withdrawal


def approvals_of(withdrawal: Withdrawal) -> list[Approval]:
    """Return the words that count: those said since the last doubt came up."""
    rows = withdrawal.approvals.filter(turn=len(withdrawal.doubts))
    return list(rows.select_related("operator").order_by("pk"))


def approvals_needed(withdrawal: Withdrawal) -> int:
    """Return how many different operators have to approve."""
    return 2 if _TWO & set(withdrawal.doubts) else 1


def of(member: Member, currency: str | None = None) -> list[Withdrawal]:
    """Return a member's withdrawals, newest first."""
    rows = Withdrawal.objects.filter(member=member)
    rows = rows.select_related("beneficiary", "payout")
    if currency is not None:
        rows = rows.filter(currency=currency)
    return list(rows.order_by("-pk"))


def _asked(
    member: Member,
    beneficiary: Beneficiary,
    amount: Decimal,
    shown: Terms | None,
    now: datetime,
) -> Withdrawal:
    """Return the withdrawal as it may be; nothing is written yet."""
    beneficiary = lock_row(beneficiary)
    terms, value = _demand_may(member, beneficiary, amount, shown, now)
    return Withdrawal(
        member=member,
        currency_id=beneficiary.currency_id,
        beneficiary=beneficiary,
        destination=beneficiary.destination,
        amount=amount,
        fee=terms.fee,
        net=terms.net,
        value=value or ZERO,
        doubts=["no_price"] if value is None else [],
        created_at=now,
        updated_at=now,
    )


def _demand_may(
    member: Member,
    beneficiary: Beneficiary,
    amount: Decimal,
    shown: Terms | None,
    now: datetime,
) -> tuple[Terms, Decimal | None]:
    """Return the terms and the value of what may be withdrawn, funds apart."""
    currency = beneficiary.currency_id
    if not rules_of(currency).pays_withdrawals:
        raise WithdrawalsClosed
    demand_may_send(member)
    is_mine = beneficiary.member_id == member.pk
    if not is_mine or not beneficiaries.is_usable(beneficiary):
        start = beneficiary.usable_from
        raise NotUsable(until=start.isoformat() if start else "")
    terms = terms_of(currency, amount)
    if shown is not None and shown != terms:
        raise NotShown(fee=plain(terms.fee), net=plain(terms.net))
    return terms, demand_within_limits(member, amount, currency, now=now)


@transaction_required
def _set_aside(withdrawal: Withdrawal, now: datetime) -> None:
    withdrawal.save(force_insert=True)
    _move(withdrawal, Reason.WITHDRAWAL_PLACED, now)


@transaction_required
def _close(
    withdrawal: Withdrawal, move: str, *, by: str, now: datetime, **facts: str
) -> Withdrawal:
    before = lock_row(withdrawal)
    if move == "cancel" and before.looks_paid:
        raise LooksPaid
    if move == "cancel" and before.came_back:
        raise CameBack
    closed = advance(before, move, by=by, **facts)
    if closed.state != before.state:
        _move(closed, Reason.WITHDRAWAL_CLOSED, now)
        closed.updated_at = now
        closed.save(update_fields=["updated_at"])
    return closed


def _move(withdrawal: Withdrawal, reason: Reason, now: datetime) -> None:
    """Lock the money of a withdrawal, or unlock it again."""
    account = ledger.account_of(
        member_id=withdrawal.member_id, currency=withdrawal.currency_id
    )
    is_placed = reason == Reason.WITHDRAWAL_PLACED
    source, target = (AVAILABLE, LOCKED) if is_placed else (LOCKED, AVAILABLE)
    cause = f"withdrawal:{withdrawal.pk}:{'placed' if is_placed else 'closed'}"
    amount = withdrawal.amount
    move = Move(account, source, account, target, amount, reason.value, cause)
    ledger.post_once(cause, [move], at=now)


def _doubts(
    member: Member, withdrawal: Withdrawal, source: Source, now: datetime
) -> Iterator[str]:
    yield from withdrawal.doubts
    others = Withdrawal.objects.filter(member=member).exclude(pk=withdrawal.pk)
    paid = others.filter(beneficiary=withdrawal.beneficiary, state=State.CONFIRMED)
    if withdrawal.amount > rules_of(withdrawal.currency_id).automatic_up_to:
        yield "large"
    if not paid.exists():
        yield "new_beneficiary"
    if source.is_new_device:
        yield "new_device"
    changed = member.security_changed_at
    if changed is not None and changed > now - _AFTER_CHANGE:
        yield "after_change"
    if others.filter(created_at__gt=now - timedelta(hours=1)).count() >= _VELOCITY:
        yield "velocity"
    if deposits.shaky_of(member):
        yield "shaky_deposit"


def _sent(member: Member, *, since: datetime) -> Decimal:
    """Sum what withdrawals and transfers since then count for the limits."""
    paid_out = Withdrawal.objects.filter(_COUNTED, member=member, created_at__gt=since)
    transferred = Transfer.objects.filter(sender=member, at__gt=since)
    return signing.total(
        rows.aggregate(total=Sum("value"))["total"] or ZERO
        for rows in (paid_out, transferred)
    )


def _earlier(member: Member, client_id: str | None) -> Withdrawal | None:
    if client_id is None:
        return None
    rows = Withdrawal.objects.filter(member=member, client_id=client_id)
    return rows.order_by("pk").first()


def _same(earlier: Withdrawal, beneficiary: Beneficiary, amount: Decimal) -> Withdrawal:
    if (earlier.beneficiary_id, earlier.amount) != (beneficiary.pk, amount):
        raise SameIdOtherTerms
    return earlier


def _demand_other(withdrawal: Withdrawal, operator: Member) -> None:
    if withdrawal.member_id == operator.pk:
        raise OwnWithdrawal


def _cancel_link(withdrawal: Withdrawal) -> str:
    return links.make(
        f"/funds/withdrawals/{withdrawal.pk}/cancel/{{}}",
        member=withdrawal.member,
        purpose=_CANCEL,
        state=_link_state(withdrawal),
    )


def _link_state(withdrawal: Withdrawal) -> str:
    """Say what spends such a link: that there is nothing to be cancelled any more."""
    return f"{withdrawal.pk}|{withdrawal.state in CANCELLABLE}"


def _demand_no_hand_in_limits(
    withdrawal: Withdrawal, operator: Member, now: datetime
) -> None:
    """
    Raise OwnLimits where the operator ever moved the member's level, or lately edited
    its limits, or from which amount on two operators are asked.
    """
    by, since = f"operator:{operator.pk}", now - _LIMITS_REMEMBERED
    level = withdrawal.member.identity_level
    has_moved = audit.has_done(
        by, "identity_level_moved", audit.labels(withdrawal.member)
    )
    has_edited = audit.has_done(
        by, "edited", [f"identitylevel:{level}"], since=since
    ) or audit.has_done(
        by,
        "edited",
        [f"rules:{withdrawal.currency_id}"],
        since=since,
        touching="automatic_up_to",
    )
    if has_moved or has_edited:
        raise OwnLimits


def _demand_unpaid(withdrawal: Withdrawal, operator: Member) -> None:
    """
    Raise LooksPaid unless another operator has said that no payment of it exists, since
    it last looked paid.
    """
    turn = withdrawal.doubts.count("looks_paid")
    words = withdrawal.findings.filter(txid="", turn=turn)
    if withdrawal.looks_paid and not words.exclude(operator=operator).exists():
        raise LooksPaid


def _demand_no_own_word(withdrawal: Withdrawal, operator: Member) -> None:
    """
    Raise OwnWord where it is only the operator's own word that a bank did not pay: by
    two deeds of one person the money would leave twice, or leave and be given back.
    """
    last = withdrawal.transfers.order_by("-pk").first()
    if last is None or not withdrawal.came_back:
        return
    if audit.has_done(f"operator:{operator.pk}", "come_back", audit.labels(last)):
        raise OwnWord


def _tell(withdrawal: Withdrawal, event: notices.Event, **facts: str) -> None:
    notices.tell(
        withdrawal.member,
        event,
        amount=plain(withdrawal.amount),
        net=plain(withdrawal.net),
        currency=withdrawal.currency_id.upper(),
        label=withdrawal.beneficiary.label,
        destination=withdrawal.destination,
        **facts,
    )
