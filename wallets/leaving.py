"""
What the wallets have to say when a member leaves: what is still theirs, and what they
take away. accounts asks through `closing.obstacles` and `exports.parts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts import closing, exports
from accounts.models.members import Member
from exchange.lib.money import ZERO, plain
from wallets import queries, transfers
from wallets.models.adjustments import Adjustment
from wallets.models.bank import BankLine, BankReference
from wallets.models.deposits import Deposit
from wallets.models.withdrawals import Beneficiary, Withdrawal

_DEPOSIT = (
    *("id", "currency_id", "address", "txid", "vout", "amount", "state"),
    *("confirmations", "required", "seen_at", "credited_at"),
)
_BENEFICIARY = (
    *("id", "currency_id", "label", "destination", "bank", "holder", "state"),
    *("created_at", "usable_from"),
)
_WITHDRAWAL = (
    *("id", "currency_id", "beneficiary_id", "destination", "amount", "fee", "net"),
    *("state", "client_id", "note", "created_at", "updated_at", "txid"),
)
_ADJUSTMENT = ("id", "currency_id", "amount", "reason", "decided_at")


_BANK_DEPOSIT = (
    *("id", "channel__name", "channel__currency_id", "bank_txid", "booked_on"),
    *("amount", "payer", "payer_account", "text", "state", "credited_at"),
)
_BANK_REFERENCE = ("channel__name", "channel__currency_id", "code", "created_at")


def install() -> None:
    """Add to what accounts asks."""
    closing.obstacles.append(what_is_left)
    closing.obstacles.append(what_is_under_way)
    exports.parts["balances"] = _balances
    exports.parts["entries"] = queries.entries_of
    exports.parts["deposits"] = _deposits
    exports.parts["bank_deposits"] = _bank_deposits
    exports.parts["bank_references"] = _bank_references
    exports.parts["beneficiaries"] = _beneficiaries
    exports.parts["withdrawals"] = _withdrawals
    exports.parts["transfers"] = _transfers
    exports.parts["adjustments"] = _adjustments


def what_is_left(member: Member) -> Iterator[str]:
    """Say each currency of which the member still has something."""
    for row in queries.holdings(member):
        if row.available + row.locked == ZERO:
            continue
        amount, currency = plain(row.available + row.locked), row.currency.upper()
        words = _("You still have %(amount)s %(currency)s.")
        yield words % {"amount": amount, "currency": currency}


def what_is_under_way(member: Member) -> Iterator[str]:
    """Say each withdrawal, and each deposit by bank, that is not at its end."""
    ended = ["confirmed", "cancelled", "refused"]
    rows = Withdrawal.objects.filter(member=member).exclude(state__in=ended)
    for row in rows.order_by("pk"):
        facts = {"amount": plain(row.amount), "currency": row.currency_id.upper()}
        yield _("A withdrawal of %(amount)s %(currency)s is under way.") % facts
    lines = BankLine.objects.filter(member=member, state="matched", amount__gt=0)
    for line in lines.select_related("channel").order_by("pk"):
        currency = line.channel.currency_id.upper()
        facts = {"amount": plain(line.amount), "currency": currency}
        yield _("A deposit of %(amount)s %(currency)s is being checked.") % facts


def _bank_deposits(member: Member) -> Iterator[dict[str, Any]]:
    yield from _rows(BankLine, member, *_BANK_DEPOSIT)


def _bank_references(member: Member) -> Iterator[dict[str, Any]]:
    yield from _rows(BankReference, member, *_BANK_REFERENCE)


def _deposits(member: Member) -> Iterator[dict[str, Any]]:
    yield from _rows(Deposit, member, *_DEPOSIT)


def _beneficiaries(member: Member) -> Iterator[dict[str, Any]]:
    yield from _rows(Beneficiary, member, *_BENEFICIARY)


def _withdrawals(member: Member) -> Iterator[dict[str, Any]]:
    yield from _rows(Withdrawal, member, *_WITHDRAWAL)


def _transfers(member: Member) -> Iterator[dict[str, Any]]:
    """Yield what was sent and received, with the other member's number only."""
    for row in transfers.rows_of(member).order_by("pk"):
        is_sent = row.sender_id == member.pk
        yield {
            "id": row.pk,
            "at": row.at,
            "direction": "sent" if is_sent else "received",
            "member": (row.recipient if is_sent else row.sender).sn,
            "currency_id": row.currency_id,
            "amount": plain(row.amount),
            "note": row.note,
            "client_id": row.client_id if is_sent else None,
        }


def _adjustments(member: Member) -> Iterator[dict[str, Any]]:
    """Yield the corrections that were booked; the rest never came to the account."""
    rows = Adjustment.objects.filter(member=member, state="booked")
    yield from _values(rows, *_ADJUSTMENT)


def _rows(model: Any, member: Member, *columns: str) -> Iterator[dict[str, Any]]:
    yield from _values(model.objects.filter(member=member), *columns)


def _values(rows: QuerySet[Any], *columns: str) -> Iterator[dict[str, Any]]:
    for row in rows.order_by("pk").values(*columns):
        yield {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in row.items()
        }


def _balances(member: Member) -> Iterator[dict[str, Any]]:
    yield from (row.as_json() for row in queries.holdings(member))
