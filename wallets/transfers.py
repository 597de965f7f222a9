"""
Transfers: a member pays another member of the house, at once and without a fee.

`place` does all in one transaction. A transfer is as good to a thief as a withdrawal,
and so it is allowed by the same means, counted against the same limits, and rests after
a change of credentials. Nobody looks at it before it is paid: what cannot be valued, or
may yet be taken back, is refused.

Rows are locked in this order: the two members by id, balances by id. The recipient's
row, too, so that nobody who is just being closed is paid.

Note [Who learns of whom]: a member number is there to be shown, so anybody signed in
may ask who has one, and reads initials. An e-mail address says nothing until the sender
has shown a code or signed with a key, and everything else is as it must be, money
included; then a refusal is honest. How many addresses somebody may try whom they never
paid by it is limited (`throttling.count_stranger`): also those of members whose number
they have, so that nobody finds out whose it is.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import members, notices, throttling
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Conflict, Invalid, NotFound, Refused
from exchange.lib.money import plain
from exchange.lib.states import lock_rows
from exchange.lib.transactions import transaction, transaction_required
from wallets import deposits, ledger, queries, withdrawals
from wallets.ledger import AVAILABLE, InsufficientFunds, Move, Reason
from wallets.models.transfers import Transfer
from wallets.withdrawals import Source

NOTE_LENGTH_MAX = 140
_NUMBER = re.compile(r"PEA[A-Z2-7]{8}TIO", re.ASCII)
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)


class BadRecipient(Invalid):
    """What names the recipient is neither a member number nor an e-mail address."""

    code = "bad_recipient"
    text = _("Please give a member number (PEA…TIO) or an e-mail address.")


class UnknownRecipient(NotFound):
    """There is no such member, or none that can be paid."""

    code = "unknown_recipient"
    text = _("There is no member with this number or address who can be paid.")


class OwnAccount(Refused):
    """Sender and recipient are one."""

    code = "own_account"
    text = _("This is your own account.")


class NoPrice(Refused):
    """What it is worth is not known, so that limits could not count it."""

    code = "no_price"
    text = _(
        "The value of this currency is not known at the moment, so that it cannot be"
        " transferred. Please come back later."
    )


class ShakyDeposit(Refused):
    """What was credited to the sender may yet be taken back."""

    code = "shaky_deposit"
    text = _(
        "A deposit of yours is in no block at the moment. Please transfer again as soon"
        " as it is in one."
    )


class BadNote(Invalid):
    """The note is too long."""

    code = "bad_note"
    text = _("Please use a shorter note: at most 140 characters.")


class BadClientId(Invalid):
    """The client's id is no plain word of at most 64 characters."""

    code = "bad_client_id"
    text = _("An id has 1 to 64 letters, digits or signs, without blanks.")


class SameIdOtherTerms(Conflict):
    """The client's id was used for a transfer with other terms."""

    code = "client_id_used"
    text = _("This id was used for another transfer.")


def place(
    *,
    sender: Member,
    recipient: str,
    currency: str,
    amount: Decimal,
    source: Source,
    note: str = "",
    client_id: str | None = None,
    now: datetime,
) -> Transfer:
    """
    Pay a member, named by number or e-mail address.

    The same `client_id` with the same terms, the recipient named alike, returns the
    same transfer.

    Raises what `withdrawals` raises of the sender (NoProof, ProofUsed, Frozen,
    AddressNotConfirmed, Resting, LimitReached), ledger.UnknownCurrency, BadAmount or
    InsufficientFunds, and BadRecipient, UnknownRecipient, OwnAccount, NoPrice,
    ShakyDeposit, BadNote, BadClientId, SameIdOtherTerms, words.Unseen,
    throttling.LimitReached.
    """
    withdrawals.demand_source(sender, source, now)
    payee = member_named(recipient)
    note = sound_note(note)
    if client_id is not None and not _CLIENT_ID.fullmatch(client_id):
        raise BadClientId
    with transaction():
        sender, payee = _lock_both(sender, payee)
        if earlier := _earlier(sender, client_id):
            wanted = (payee, _is_address(recipient), currency, amount, note)
            return _same(earlier, wanted)
        withdrawals.demand_may_send(sender)
        withdrawals.demand_unspent(source)
        demand_payable(sender, currency, amount)
        value = _looked_at(sender, amount, currency, now)
        # Before the recipient is looked up: what is refused now would say who they are.
        throttling.count_mail(sender.pk, now=now)
        transfer = Transfer(
            sender=sender,
            recipient=_recipient(sender, payee, recipient, now),
            currency_id=currency,
            amount=amount,
            value=value,
            is_by_address=_is_address(recipient),
            note=note,
            client_id=client_id,
            proof=source.proof,
            token=source.token,
            at=now,
        )
        transfer.save(force_insert=True)
        _book(transfer)
        audit.record(
            f"member:{sender.pk}",
            "transfer_placed",
            audit.label(transfer),
            currency=currency,
            amount=plain(amount),
            recipient=f"member:{transfer.recipient_id}",
            by=source.actor,
        )
        _tell(transfer)
    return transfer


def recipient_named(text: str) -> str:
    """
    Return the one way in which a member number or an e-mail address is written. Says
    nothing of whether there is such a member. Raises BadRecipient.
    """
    text = text.strip()
    if not _is_address(text):
        if not _NUMBER.fullmatch(text.upper()):
            raise BadRecipient
        return text.upper()
    try:
        return members.normalised(text)
    except members.BadEmail as error:
        raise BadRecipient from error


def member_named(text: str) -> Member | None:
    """Return who has a number or address, for who may know. Raises BadRecipient."""
    return _found(recipient_named(text))


def look_up(sender: Member, text: str) -> str:
    """
    Return what somebody signed in may read of a recipient before they show a code: the
    initials of who has a member number, and of an e-mail address nothing.

    Raises BadRecipient, UnknownRecipient (of a number) or OwnAccount.
    """
    named = recipient_named(text)
    if named in {sender.sn, sender.email}:
        raise OwnAccount
    if _is_address(named):
        return ""
    found = _found(named)
    if found is None or not _can_be_paid(found):
        raise UnknownRecipient
    return initials(found)


def demand_payable(sender: Member, currency: str, amount: Decimal) -> None:
    """
    Raise ledger.UnknownCurrency, BadAmount or InsufficientFunds where the sender cannot
    pay this. Only a look: the ledger says it again, under its lock.
    """
    ledger.demand_sound(currency, amount)
    held = queries.balance(sender.pk, currency)
    if held.available < amount:
        raise InsufficientFunds(
            currency=currency, needed=plain(amount), available=plain(held.available)
        )


def sound_note(text: str) -> str:
    """Return a note as it is kept. Raises BadNote or words.Unseen."""
    note = words.line(text)
    if len(note) > NOTE_LENGTH_MAX:
        raise BadNote
    return note


def initials(member: Member) -> str:
    """Return enough of a member's name to recognise it, and no more."""
    return " ".join(f"{word[0]}…" for word in member.display_name.split())


def rows_of(member: Member, currency: str | None = None) -> QuerySet[Transfer]:
    """Return what a member sent and received, newest first, with both ends."""
    mine = Transfer.objects.filter(Q(sender=member) | Q(recipient=member))
    if currency is not None:
        mine = mine.filter(currency=currency)
    return mine.select_related("sender", "recipient").order_by("-pk")


def _is_address(text: str) -> bool:
    return "@" in text


def _found(named: str) -> Member | None:
    by = {"email" if _is_address(named) else "sn": named}
    return Member.objects.filter(**by).order_by("pk").first()


@transaction_required
def _lock_both(sender: Member, payee: Member | None) -> tuple[Member, Member | None]:
    """Lock both members, by id, and return them as they are now."""
    keys = {sender.pk} if payee is None else {sender.pk, payee.pk}
    locked = {row.pk: row for row in lock_rows(Member.objects.filter(pk__in=keys))}
    return locked[sender.pk], None if payee is None else locked[payee.pk]


def _looked_at(
    sender: Member, amount: Decimal, currency: str, now: datetime
) -> Decimal:
    """Return what it counts for the limits. Raises where an operator would doubt it."""
    value = withdrawals.demand_within_limits(sender, amount, currency, now=now)
    if value is None:
        raise NoPrice
    if deposits.shaky_of(sender):
        raise ShakyDeposit
    return value


def _recipient(
    sender: Member, payee: Member | None, typed: str, now: datetime
) -> Member:
    if payee == sender:
        raise OwnAccount
    if _is_address(typed):
        paid = Transfer.objects.filter(sender=sender, is_by_address=True)
        if not paid.filter(recipient=payee).exists():
            throttling.count_stranger(sender.pk, now=now)
    if payee is None or not _can_be_paid(payee):
        raise UnknownRecipient
    return payee


def _can_be_paid(member: Member) -> bool:
    return member.state == Member.State.ACTIVE and member.is_activated


@transaction_required
def _book(transfer: Transfer) -> None:
    source, target = (
        ledger.account_of(member_id=member_id, currency=transfer.currency_id)
        for member_id in (transfer.sender_id, transfer.recipient_id)
    )
    cause = f"transfer:{transfer.pk}"
    ends = (source, AVAILABLE, target, AVAILABLE)
    move = Move(*ends, transfer.amount, Reason.TRANSFER.value, cause)
    ledger.post_once(cause, [move], at=transfer.at)


def _earlier(sender: Member, client_id: str | None) -> Transfer | None:
    if client_id is None:
        return None
    rows = Transfer.objects.filter(sender=sender, client_id=client_id)
    return rows.select_related("recipient").order_by("pk").first()


def _same(earlier: Transfer, wanted: tuple[object, ...]) -> Transfer:
    whom = (earlier.recipient, earlier.is_by_address)
    if wanted != (*whom, earlier.currency_id, earlier.amount, earlier.note):
        raise SameIdOtherTerms
    return earlier


def _tell(transfer: Transfer) -> None:
    """
    Tell both. The note is not in the mail: nobody's words but ours go out in our name.
    """
    facts = {
        "amount": plain(transfer.amount),
        "currency": transfer.currency_id.upper(),
    }
    sender, recipient = transfer.sender, transfer.recipient
    notices.tell(sender, notices.Event.TRANSFER_SENT, number=recipient.sn, **facts)
    notices.tell(recipient, notices.Event.TRANSFER_RECEIVED, number=sender.sn, **facts)
