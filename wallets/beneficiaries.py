"""
The address book: whom a member may pay.

Money leaves only to an entry of one's own address book. A new entry is confirmed by
mail and then rests a while, so that whoever sits at somebody else's browser cannot pay
themselves, and the owner has time to read the mail.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts import links, notices, throttling
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Conflict, Invalid, NotAllowed, Refused
from exchange.lib.states import advance, lock_row
from exchange.lib.transactions import transaction
from wallets import signing
from wallets.bank import accounts
from wallets.chains import chain_of
from wallets.models.currencies import Currency
from wallets.models.deposits import DepositAddress
from wallets.models.withdrawals import Beneficiary

BENEFICIARIES_MAX = 100  # of one member
DESTINATION_LENGTH_MAX = 128  # what a row can hold
_PURPOSE = "beneficiary"
_VALID = timedelta(days=1)
State = Beneficiary.State


class Frozen(NotAllowed):
    """The account may look: neither withdraw nor say to whom."""

    code = "account_frozen"
    text = _("Your account is frozen. Please write to our support.")


class BadDestination(Invalid):
    """It is no address of this coin's network, or no account."""

    code = "bad_destination"
    text = _("This is not an address of this coin's network. Please check it.")


class OwnAddress(Refused):
    """The address is one of the exchange's: coins need not leave to get there."""

    code = "own_address"
    text = _(
        "This address is one of ours. Send it to the other member by an internal"
        " transfer: at once, and without a fee."
    )


class KnownDestination(Conflict):
    """It is in the address book already."""

    code = "known_destination"
    text = _("This is in your address book already.")


class TooManyBeneficiaries(Refused):
    """An address book has an end."""

    code = "too_many_beneficiaries"
    text = _("Your address book is full. Please remove what you do not need.")


def of(member: Member, currency: str | None = None) -> list[Beneficiary]:
    """Return a member's address book, newest first."""
    rows = Beneficiary.objects.filter(member=member).exclude(state=State.REMOVED)
    if currency is not None:
        rows = rows.filter(currency=currency)
    return list(rows.order_by("-pk"))


def add(
    *,
    member: Member,
    currency: Currency,
    label: str,
    destination: str,
    bank: str = "",
    holder: str = "",
    now: datetime,
) -> Beneficiary:
    """
    Write somebody into the address book, and send the mail that confirms it.

    Raises Frozen, BadDestination, OwnAddress, KnownDestination, TooManyBeneficiaries,
    words.Unseen, throttling.LimitReached, or for a coin's address NoChain and
    NodeUnreachable.
    """
    label, bank, holder = map(words.line, (label, bank, holder))
    destination = destination.strip()
    if currency.kind == Currency.Kind.COIN:
        destination = _sound_address(currency.code, destination)
    else:
        destination = _sound_account(destination)
        # Of a ligature the narrow signs may be many.
        is_short = len(destination) <= DESTINATION_LENGTH_MAX
        if not (destination and bank and holder and is_short):
            raise BadDestination(
                _("Please give bank, holder and number of the account.")
            )
    with transaction():
        member = lock_row(member)
        if member.state != Member.State.ACTIVE:
            raise Frozen
        mine = Beneficiary.objects.filter(member=member)
        mine = mine.exclude(state=State.REMOVED)
        if mine.filter(currency=currency, destination=destination).exists():
            raise KnownDestination
        if mine.count() >= BENEFICIARIES_MAX:
            raise TooManyBeneficiaries
        row = Beneficiary.objects.create(
            member=member,
            currency=currency,
            label=label,
            destination=destination,
            bank=bank,
            holder=holder,
            created_at=now,
        )
        audit.record(
            f"member:{member.pk}",
            "beneficiary_added",
            audit.label(row),
            currency=currency.code,
            destination=destination,
        )
        throttling.count_mail(member.pk, now=now)
        _tell(row)
    return row


def whose_link(link: str, beneficiary_id: int) -> Beneficiary:
    """Return the entry that a link confirms. Raises links.LinkSpent."""
    member = links.member_of(link, purpose=_PURPOSE, valid=_VALID)
    rows = Beneficiary.objects.filter(
        pk=beneficiary_id, member=member, state=State.UNCONFIRMED
    )
    row = rows.order_by("pk").first()
    if row is None:
        raise links.LinkSpent
    links.demand_unspent(link, member=member, purpose=_PURPOSE, state=_state(row))
    return row


def confirm(link: str, beneficiary_id: int) -> Beneficiary:
    """
    Confirm an entry by the link in its mail. The cool-off begins, by the clock of the
    database; not while its member is frozen, or it would be over when they are thawed.
    Raises links.LinkSpent and Frozen.
    """
    with transaction():
        row = whose_link(link, beneficiary_id)
        if lock_row(row.member).state != Member.State.ACTIVE:
            raise Frozen
        row = lock_row(row)
        rests = timedelta(hours=settings.BENEFICIARY_COOL_OFF_HOURS)
        Beneficiary.objects.filter(pk=row.pk).update(usable_from=Now() + rests)
        return advance(row, "confirm", by=f"member:{row.member_id}")


def remove(*, member: Member, beneficiary: Beneficiary) -> None:
    """Take an entry out of the address book, at once; what is under way goes on."""
    with transaction():
        advance(beneficiary, "remove", by=f"member:{member.pk}")


def is_usable(beneficiary: Beneficiary) -> bool:
    """Say whether it can be paid now, by the clock of the database."""
    rows = Beneficiary.objects.filter(pk=beneficiary.pk, state=State.CONFIRMED)
    return rows.filter(usable_from__lte=Now()).exists()


def _sound_address(currency: str, text: str) -> str:
    """Return an address as its chain spells it: what is signed is compared with it."""
    chain = chain_of(currency)
    destination = chain.spelled(text)
    if not destination:
        raise BadDestination
    given = DepositAddress.objects.filter(currency=currency, address=destination)
    if given.exists() or signing.is_own(chain, currency, destination):
        raise OwnAddress
    return destination


def _sound_account(number: str) -> str:
    """
    Return the number of an account as it is kept: figures and IBANs unspaced, and in
    narrow signs, whatever keyboard wrote them.
    """
    number = words.line(unicodedata.normalize("NFKC", number))
    unspaced = number.replace(" ", "")
    if not accounts.is_iban(number):
        return unspaced if unspaced.isdigit() else number
    if not accounts.is_sound_iban(number):
        raise BadDestination(_("This IBAN has a typing error. Please check it."))
    return accounts.bare(number)


def _tell(row: Beneficiary) -> None:
    path = f"/funds/beneficiaries/{row.pk}/confirm/{{}}"
    notices.tell(
        row.member,
        notices.Event.BENEFICIARY_ADDED,
        label=row.label,
        currency=row.currency_id.upper(),
        destination=row.destination,
        hours=settings.BENEFICIARY_COOL_OFF_HOURS,
        url=links.make(path, member=row.member, purpose=_PURPOSE, state=_state(row)),
    )


def _state(row: Beneficiary) -> str:
    return f"{row.pk}|{row.destination}"
