"""
Withdrawals by bank: taken in hand, given to the bank as a file, booked when it paid.

From the moment one is taken it is the bank's, and its owner cannot cancel it. It is
booked once, by the bank's number, which pays once. What the bank sends back before that
goes to the reviewers; what it sends back afterwards is credited to its owner, by a line
that says so.

Rows are locked in this order: the member, the withdrawal, its transfer, balances.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError
from django.utils.translation import gettext_lazy as _

from accounts import members, notices
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Conflict, Invalid, NotAllowed, Refused
from exchange.lib.money import ZERO, plain
from exchange.lib.states import advance, lock_row
from exchange.lib.transactions import transaction, transaction_required
from wallets import ledger
from wallets.bank.statements import numbered
from wallets.ledger import AVAILABLE, LOCKED, House, Move, Reason
from wallets.models.bank import BankChannel, BankTransfer
from wallets.models.withdrawals import Withdrawal

State = BankTransfer.State
_NUMBER_LENGTH_MAX = 64
_HEADS = ["reference", "amount", "currency", "holder", "account", "bank"]


class WrongChannel(Refused):
    """The channel is of another currency, or pays nothing at the moment."""

    code = "wrong_bank_channel"
    text = _("This channel does not pay this currency at the moment.")


class NotPayable(Refused):
    """Its owner is not active, or the address book says something else by now."""

    code = "not_payable_by_bank"
    text = _("Its owner is frozen, or its account is not the one in the address book.")


class OwnMoney(NotAllowed):
    """Nobody decides about their own."""

    code = "own_bank_money"
    text = _("Somebody else has to decide about your own money.")


class BadNumber(Invalid):
    """The bank's number is empty, too long or has what cannot be seen."""

    code = "bad_bank_number"
    text = _("Please give the bank's number of the transfer.")


class NumberUsed(Conflict):
    """The bank's number stands at another transfer of this channel."""

    code = "bank_number_used"
    text = _("This number of the bank stands at another transfer.")


class NotSaid(Refused):
    """What was paid comes back by a line of the bank's, not by one operator's word."""

    code = "bank_return_needs_a_line"
    text = _("It was paid. What came back is booked by accepting the bank's line.")


class PaidOtherwise(Conflict):
    """It was booked with another number: it may have been paid twice."""

    code = "paid_by_another_number"
    text = _("It was booked with another number. Was it paid twice?")


class ReturnedOtherwise(Conflict):
    """It came back by another line: this one is of other money."""

    code = "returned_by_another_line"
    text = _("It has come back by another line before. Whose money is this?")


def take(
    *, withdrawal: Withdrawal, channel: BankChannel, operator: Member, now: datetime
) -> BankTransfer:
    """
    Take an approved withdrawal in hand. Taking it again returns the same transfer.

    Raises WrongChannel, NotPayable, OwnMoney, IllegalMove.
    """
    demand_other(withdrawal.member_id, operator)
    by = f"operator:{operator.pk}"
    with transaction():
        owner = members.lock_member(withdrawal.member)
        row = lock_row(Withdrawal.objects.get(pk=withdrawal.pk))
        if channel.currency_id != row.currency_id or not channel.pays_withdrawals:
            raise WrongChannel
        in_hand = row.transfers.exclude(state=State.RETURNED)
        if found := in_hand.order_by("pk").first():
            return found
        address = row.beneficiary
        is_same = address.destination == row.destination
        if owner.state != Member.State.ACTIVE or not is_same:
            raise NotPayable
        advance(row, "take", by=by, channel=channel.pk)
        Withdrawal.objects.filter(pk=row.pk).update(updated_at=now)
        return BankTransfer.objects.create(
            withdrawal=row, channel=channel, taken_by=by, taken_at=now
        )


def as_csv(transfers: Iterable[BankTransfer]) -> str:
    """Return what the bank is to pay, as a table that no spreadsheet computes."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(_HEADS)
    for each in transfers:
        row = each.withdrawal
        cells = [f"{each}", plain(row.net), row.currency_id.upper()]
        cells += [row.beneficiary.holder, row.destination, row.beneficiary.bank]
        writer.writerow([words.harmless(cell) for cell in cells])
    return table.getvalue()


def paid(
    *, transfer: BankTransfer, bank_txid: str, operator: Member, now: datetime
) -> BankTransfer:
    """
    Book that the bank has paid. The same number again changes nothing.

    Raises BadNumber, NumberUsed, PaidOtherwise, OwnMoney, IllegalMove.
    """
    demand_other(transfer.withdrawal.member_id, operator)
    number = words.line(numbered(bank_txid))
    if not number or len(number) > _NUMBER_LENGTH_MAX:
        raise BadNumber
    try:
        with transaction():
            return book_paid(transfer, number, by=f"operator:{operator.pk}", now=now)
    except IntegrityError as error:
        raise NumberUsed from error


@transaction_required
def book_paid(
    transfer: BankTransfer, number: str, *, by: str, now: datetime
) -> BankTransfer:
    """
    Let the net leave the bank and the fee go to the fees, once.

    Raises NumberUsed, PaidOtherwise, IllegalMove.
    """
    row = lock_row(Withdrawal.objects.get(pk=transfer.withdrawal_id))
    transfer = lock_row(transfer)
    # What was paid and came back since was paid all the same.
    if transfer.bank_txid is not None:
        if transfer.bank_txid != number:
            raise PaidOtherwise
        return transfer
    others = BankTransfer.objects.filter(channel=transfer.channel, bank_txid=number)
    if others.exists():
        raise NumberUsed
    transfer = advance(transfer, "pay", by=by, bank_txid=number, at=now.isoformat())
    row = advance(row, "pay", by=by, txid=number)
    Withdrawal.objects.filter(pk=row.pk).update(updated_at=now)
    owner = ledger.account_of(member_id=row.member_id, currency=row.currency_id)
    cause = f"withdrawal:{row.pk}:sent"
    bank = ledger.house(House.BANK, row.currency_id)
    moves = [_leaving(owner, bank, row.net, Reason.WITHDRAWAL_SENT, cause)]
    if row.fee != ZERO:
        fees = ledger.house(House.FEES, row.currency_id)
        moves.append(_leaving(owner, fees, row.fee, Reason.WITHDRAWAL_FEE, cause))
    ledger.post_once(cause, moves, at=now)
    _tell(row, notices.Event.WITHDRAWAL_PAID, number=number)
    return transfer


def sent_back(
    *, transfer: BankTransfer, operator: Member, reason: str, now: datetime
) -> BankTransfer:
    """
    Take down that the bank did not pay. Safe to repeat. What it had paid comes back by
    a line that is accepted: one operator's word alone credits nobody.

    Raises OwnMoney, NotSaid, IllegalMove.
    """
    demand_other(transfer.withdrawal.member_id, operator)
    with transaction():
        by = f"operator:{operator.pk}"
        lock_row(transfer.withdrawal)
        if lock_row(transfer).state == State.PAID:
            raise NotSaid
        return book_return(transfer, by=by, now=now, reason=reason)


@transaction_required
def book_return(
    transfer: BankTransfer, *, by: str, now: datetime, **facts: str
) -> BankTransfer:
    """
    Before it was booked, the withdrawal goes to the reviewers; afterwards what it paid
    is credited to its owner, and our fee is kept.
    """
    row = lock_row(Withdrawal.objects.get(pk=transfer.withdrawal_id))
    transfer = lock_row(transfer)
    if transfer.state == State.RETURNED:
        return transfer
    was_paid = transfer.state == State.PAID
    transfer = advance(transfer, "come_back", by=by, **facts)
    if not was_paid:
        advance(row, "doubt", by=by, doubt="bank_returned")
        Withdrawal.objects.filter(pk=row.pk).update(updated_at=now)
        return transfer
    cause = f"withdrawal:{row.pk}:returned"
    owner = ledger.account_of(member_id=row.member_id, currency=row.currency_id)
    bank = ledger.house(House.BANK, row.currency_id)
    ends = (bank, AVAILABLE, owner, AVAILABLE)
    move = Move(*ends, row.net, Reason.WITHDRAWAL_CLOSED.value, cause)
    ledger.post_once(cause, [move], at=now)
    audit.record(by, "bank_payment_returned", audit.label(row), net=plain(row.net))
    _tell(row, notices.Event.WITHDRAWAL_RETURNED)
    return transfer


def demand_other(member_id: int | None, operator: Member) -> None:
    """Raise OwnMoney where an operator would decide about their own."""
    if member_id == operator.pk:
        raise OwnMoney


def _leaving(
    owner: int, target: int, amount: Decimal, reason: Reason, cause: str
) -> Move:
    return Move(owner, LOCKED, target, AVAILABLE, amount, reason.value, cause)


def _tell(row: Withdrawal, event: notices.Event, **facts: object) -> None:
    notices.tell(
        row.member,
        event,
        net=plain(row.net),
        currency=row.currency_id.upper(),
        label=row.beneficiary.label,
        destination=row.destination,
        **facts,
    )
