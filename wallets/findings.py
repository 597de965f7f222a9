"""
What operators find on the chain and our rows do not know: a withdrawal that something
else has paid, a payout whose coins went elsewhere for good.

Each of these takes the words of two different operators, and the chain must say the
same. So nobody alone can have the house believe that a payment was made, or was not.

The chain is asked before anything is locked. Rows are locked in the order of payouts:
balances by id, the payout, its withdrawals by id; of a single withdrawal, itself first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError
from django.db.models import Max
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib import audit, states
from exchange.lib.errors import Busy, Conflict, NotAllowed, Refused
from exchange.lib.money import ZERO
from exchange.lib.transactions import transaction, transaction_required
from wallets import deposits, ledger, payouts, signing
from wallets.chains import chain_of
from wallets.chains.base import Chain, ChainError, Decoded, Payment
from wallets.ledger import AVAILABLE, LOCKED, House, Move, Reason
from wallets.models.coins import ConfirmationTier
from wallets.models.hot import ForeignSend
from wallets.models.withdrawals import (
    Finding,
    Payout,
    PayoutTransaction,
    Withdrawal,
)

NEEDED = 2


class OwnMoney(NotAllowed):
    """Nobody testifies for their own withdrawal."""

    code = "own_withdrawal"
    text = _("Somebody else has to decide about your own withdrawal.")


class NotInDoubt(Conflict):
    """Nothing looks as if this withdrawal had been paid."""

    code = "not_in_doubt"
    text = _("This withdrawal does not look paid.")


class NotPaid(Refused):
    """The chain does not say that this transaction paid it. Facts: why."""

    code = "not_paid"
    text = _(
        "Our wallet has sent no such transaction without us, or it is not deep enough"
        " yet, or has no output of just this amount to this address."
    )


class PaymentClaimed(Conflict):
    """The transaction was for something else: a payout, or another withdrawal."""

    code = "payment_claimed"
    text = _("This transaction has paid something else already.")


class NotLost(Refused):
    """The chain does not say that the payout can never be confirmed."""

    code = "payout_not_lost"
    text = _(
        "This payout may still be confirmed: no other transaction of its coins is deep"
        " enough, or it does not touch every payment that was signed."
    )


class NoAnswer(Busy):
    """The chain could not be asked."""

    code = "chain_away"
    text = _("The chain does not answer. Please try again.")


# --- A withdrawal that looks paid -----------------------------------------------------


def say_paid(
    *, withdrawal: Withdrawal, txid: str, operator: Member, note: str, now: datetime
) -> Withdrawal:
    """
    Say by which transaction a withdrawal was paid without us; the second operator who
    says the same has it booked as sent, once.

    Raises OwnMoney, NotInDoubt, NotPaid, PaymentClaimed or NoAnswer.
    """
    chain = chain_of(withdrawal.currency_id)
    with _asking():
        _demand_well(chain, now)
        confirmations = _demand_paid(chain, withdrawal, txid)
        miners = _fee_of(chain, txid)
    try:
        with transaction():
            withdrawal, count = _note(withdrawal, txid, operator, note, now)
            if count < NEEDED:
                return withdrawal
            by = f"operator:{operator.pk}"
            _book_paid(withdrawal, now)
            _book_miners(withdrawal.currency_id, txid, miners, now)
            Withdrawal.objects.filter(pk=withdrawal.pk).update(updated_at=now)
            return states.advance(
                withdrawal, "settle", by=by, txid=txid, confirmations=confirmations
            )
    except IntegrityError as error:
        raise PaymentClaimed from error


def say_unpaid(
    *, withdrawal: Withdrawal, operator: Member, note: str, now: datetime
) -> Withdrawal:
    """
    Say that no payment of a withdrawal exists. Somebody else can then refuse or approve
    it. Raises OwnMoney, NotInDoubt.
    """
    with transaction():
        withdrawal, _count = _note(withdrawal, "", operator, note, now)
    return withdrawal


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except ChainError as error:
        raise NoAnswer from error


def _demand_well(chain: Chain, now: datetime) -> None:
    """Ask nothing of a node that may have been led away (W-5)."""
    if complaints := chain.complaints(now=now):
        raise NoAnswer(why=complaints)


@transaction_required
def _note(
    withdrawal: Withdrawal, txid: str, operator: Member, note: str, now: datetime
) -> tuple[Withdrawal, int]:
    """Lock a withdrawal, add a word, and return how many say the same now."""
    if withdrawal.member_id == operator.pk:
        raise OwnMoney
    fresh = states.lock_row(withdrawal)
    if not fresh.looks_paid:
        raise NotInDoubt(state=fresh.state)
    turn = fresh.doubts.count("looks_paid")
    __, is_new = Finding.objects.get_or_create(
        withdrawal=fresh,
        txid=txid,
        turn=turn,
        operator=operator,
        defaults={"at": now, "note": note},
    )
    if is_new:
        by, deed = f"operator:{operator.pk}", "said_paid" if txid else "said_unpaid"
        audit.record(by, deed, audit.label(fresh), txid=txid, note=note)
    return fresh, fresh.findings.filter(txid=txid, turn=turn).count()


def _demand_paid(chain: Chain, withdrawal: Withdrawal, txid: str) -> int:
    """Return how deep a transaction is that pays the withdrawal, and nobody's else."""
    currency = withdrawal.currency_id
    foreign = ForeignSend.objects.filter(currency=currency, txid=txid)
    fate = chain.fate(txid) if txid and foreign.exists() else None
    owed = Payment(withdrawal.destination, withdrawal.net)
    if fate is None or fate.decoded.outputs.count(owed) != 1:
        raise NotPaid(why="no_such_payment")
    if fate.confirmations < deposits.Policy(currency).required(withdrawal.net):
        raise NotPaid(why="not_deep_enough")
    # A payout that was given back, and was confirmed after all, has paid as others do.
    ours = PayoutTransaction.objects.filter(txid=txid)
    ours = ours.exclude(payout__state=Payout.State.LOST)
    if (
        ours.exists()
        or signing.payout_paid_by(chain, currency, fate.decoded) is not None
    ):
        raise PaymentClaimed
    return fate.confirmations


def _fee_of(chain: Chain, txid: str) -> Decimal | None:
    """Return what the miners got; None where a coin it spent is not known."""
    fate = chain.fate(txid)
    if fate is None:
        return None
    coins = [
        before.decoded.outputs[point.vout].amount
        for point in fate.decoded.inputs
        if (before := chain.fate(point.txid)) is not None
    ]
    if len(coins) < len(fate.decoded.inputs):
        return None
    outputs = signing.total(amount for _to, amount in fate.decoded.outputs)
    with_fee = signing.total(coins)
    return signing.total([with_fee, -outputs])


@transaction_required
def _book_paid(row: Withdrawal, now: datetime) -> None:
    """Book what a payout would have: signed, and left."""
    currency = row.currency_id
    account = ledger.account_of(member_id=row.member_id, currency=currency)
    in_transit = ledger.house(House.IN_TRANSIT, currency)
    fees, hot = ledger.house(House.FEES, currency), ledger.house(House.HOT, currency)
    signed, sent = row.cause("signed"), f"withdrawal:{row.pk}:sent"
    locked = [
        Move(account, LOCKED, target, AVAILABLE, amount, reason.value, signed)
        for target, amount, reason in (
            (in_transit, row.net, Reason.WITHDRAWAL_SIGNED),
            (fees, row.fee, Reason.WITHDRAWAL_FEE),
        )
        if amount > ZERO
    ]
    reason = Reason.WITHDRAWAL_SENT.value
    left = [Move(in_transit, AVAILABLE, hot, AVAILABLE, row.net, reason, sent)]
    ledger.post_each({signed: locked, sent: left}, at=now)


@transaction_required
def _book_miners(currency: str, txid: str, fee: Decimal | None, now: datetime) -> None:
    """Book what the miners got, with the first withdrawal that a transaction paid."""
    foreign = states.lock_row(ForeignSend.objects.get(currency=currency, txid=txid))
    if foreign.fee is not None or fee is None or fee < ZERO:
        return
    foreign.fee = fee
    foreign.save(update_fields=["fee"])
    if fee == ZERO:
        return
    cause = f"foreign:{foreign.pk}:fee"
    miners = ledger.house(House.NETWORK_FEES, currency)
    hot = ledger.house(House.HOT, currency)
    reason = Reason.NETWORK_FEE.value
    move = Move(miners, AVAILABLE, hot, AVAILABLE, fee, reason, cause)
    ledger.post_once(cause, [move], at=now)


# --- A payout whose coins went elsewhere ----------------------------------------------


def give_back(*, payout: Payout, operator: Member, note: str, now: datetime) -> Payout:
    """
    Say that a payout's coins went elsewhere for good; the second operator who says so
    has its withdrawals go back to review, and the books undone. Nothing is paid again
    before others have approved it again.

    Raises payouts.NotAwaited, NotLost, OwnMoney or NoAnswer.
    """
    chain = chain_of(payout.currency_id)
    with _asking():
        _demand_well(chain, now)
        txid = _demand_lost(chain, payout)
    signed = set(payout.transactions.values_list("pk", flat=True))
    rows = list(payout.withdrawals.order_by("pk"))
    if operator.pk in {each.member_id for each in rows}:
        raise OwnMoney
    by = f"operator:{operator.pk}"
    with transaction():
        words = Finding.objects.filter(payout=states.lock_row(payout), txid=txid)
        if not words.exclude(operator=operator).exists():
            return _first_word(payout, txid, operator, note, now)
    with transaction():
        ledger.post_each(_returned(payout.currency_id, rows), at=now)
        fresh = states.lock_row(payout)
        _demand_awaited(fresh)
        if set(fresh.transactions.values_list("pk", flat=True)) != signed:
            raise NotLost  # its fee was raised meanwhile
        fresh.fence += 1  # whoever works on it writes nothing more
        fresh.save(update_fields=["fence"])
        Finding.objects.get_or_create(
            payout=fresh,
            txid=txid,
            operator=operator,
            defaults={"at": now, "note": note},
        )
        ours = fresh.withdrawals.all()
        keys = [each.pk for each in rows]
        states.advance_all(ours, "give_back", by=by, before=payout.pk, conflict=txid)
        Withdrawal.objects.filter(pk__in=keys).update(updated_at=now)
        return states.advance(fresh, "lose", by=by, conflict=txid, note=note)


@transaction_required
def _first_word(
    payout: Payout, txid: str, operator: Member, note: str, now: datetime
) -> Payout:
    __, is_new = Finding.objects.get_or_create(
        payout=payout,
        txid=txid,
        operator=operator,
        defaults={"at": now, "note": note},
    )
    if is_new:
        by = f"operator:{operator.pk}"
        audit.record(by, "said_lost", audit.label(payout), txid=txid, note=note)
    return payout


def _demand_awaited(payout: Payout) -> None:
    if payout.state not in payouts.AWAITED:
        raise payouts.NotAwaited(state=payout.state)


def _demand_lost(chain: Chain, payout: Payout) -> str:
    """Return the id of the transaction that took what every payment of it spends."""
    _demand_awaited(payout)
    seen, txid = payouts.look(chain, payout)
    fate = chain.fate(txid) if txid else None
    if seen is not None or fate is None or fate.confirmations < _deepest(payout):
        raise NotLost
    signed = [chain.decode(row.raw) for row in payout.transactions.order_by("pk")]
    if not all(_share_a_coin(each, fate.decoded) for each in signed):
        raise NotLost
    return txid


def _share_a_coin(one: Decoded, other: Decoded) -> bool:
    return bool(set(one.inputs) & set(other.inputs))


def _deepest(payout: Payout) -> int:
    """Return what the deepest tier asks, whatever the payout's own amounts."""
    tiers = ConfirmationTier.objects.filter(rules=payout.currency_id)
    return int(tiers.aggregate(depth=Max("confirmations"))["depth"] or 6)


def _returned(currency: str, rows: list[Withdrawal]) -> dict[str, list[Move]]:
    """Undo what was booked when the payout was signed."""
    members = {each.member_id for each in rows}
    accounts = ledger.accounts_of(member_ids=members, currencies=[currency])
    in_transit = ledger.house(House.IN_TRANSIT, currency)
    fees = ledger.house(House.FEES, currency)
    return {
        (cause := each.cause("returned")): [
            Move(
                source,
                AVAILABLE,
                accounts[each.member_id, currency],
                LOCKED,
                amount,
                reason.value,
                cause,
            )
            for source, amount, reason in (
                (in_transit, each.net, Reason.WITHDRAWAL_RETURNED),
                (fees, each.fee, Reason.FEE_RETURNED),
            )
            if amount > ZERO
        ]
        for each in rows
    }
