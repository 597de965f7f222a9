"""
Private endpoints of withdrawals and of the address book. The ancestor had none.

What stands before a key that may withdraw: its list of networks, the address book with
its mail and cool-off, the limits, and the operators' review. Reading is open to any
key. A `client_id` makes a retry the same withdrawal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.views import ApiView
from exchange.lib import money, words
from exchange.lib.errors import Busy
from exchange.lib.money import EXACT, plain
from wallets import beneficiaries, queries, withdrawals
from wallets.chains.base import ChainError
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import Source, Terms

_ANY_KEY: tuple[str, ...] = ()
_PAYING = ("withdraw",)
_PAGE_MAX = 10**9
# What a row can hold.
_LENGTHS = {"label": 40, "destination": 128, "bank": 80, "holder": 80}
_State = Withdrawal.State
# The ancestor's word for each of our states.
WORDS = {
    _State.REVIEW.value: "submitted",
    _State.APPROVED.value: "accepted",
    _State.BUILDING.value: "processing",
    _State.SIGNED.value: "processing",
    _State.BROADCAST.value: "processing",
    _State.CONFIRMED.value: "done",
    _State.CANCELLED.value: "canceled",
    _State.REFUSED.value: "rejected",
}
STATES = tuple(dict.fromkeys(WORDS.values()))


class Withdraws(ApiView):
    """My withdrawals, newest first; and a new one."""

    scopes = {"GET": _ANY_KEY, "POST": _PAYING}

    def get(self, request: Request, **path: Any) -> Response:
        currency = self.parameters.optional_choice("currency", queries.currency_codes())
        state = self.parameters.optional_choice("state", STATES)
        limit = self.parameters.integer_within("limit", 1, 100, default=3)
        page = self.parameters.integer("page") or 1
        self.parameters.demand_valid()
        rows = Withdrawal.objects.filter(member=self.member)
        if currency:
            rows = rows.filter(currency=currency)
        if state:
            ours = [each for each, word in WORDS.items() if word == state]
            rows = rows.filter(state__in=ours)
        start = (min(max(page, 1), _PAGE_MAX) - 1) * limit
        found = rows.order_by("-pk")[start : start + limit]
        return Response([shape(row) for row in found])

    def post(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        beneficiary_id = self.parameters.required_integer("beneficiary")
        wanted = self.parameters.required("amount")
        fee = self.parameters.text("fee")
        client_id = self.parameters.text("client_id") or None
        if client_id is not None and len(client_id) > 64:
            self.parameters.note("client_id", "is too long")
        self.parameters.demand_valid()
        amount = money.parse(wanted)
        placed = withdrawals.place(
            member=self.member,
            # One that was removed since, too: a retry is still the same withdrawal.
            beneficiary=_beneficiary(self, beneficiary_id, currency=currency),
            amount=amount,
            shown=None if fee is None else _terms(amount, money.parse(fee)),
            source=Source(token=self.token),
            client_id=client_id,
            now=self.now,
        )
        return Response(shape(placed), 201)


class OneWithdraw(ApiView):
    """One of my withdrawals."""

    scopes = {"GET": _ANY_KEY}

    def get(self, request: Request, **path: Any) -> Response:
        return Response(shape(_withdrawal(self)))


class CancelWithdraw(ApiView):
    """Have the money back, while nothing is being prepared."""

    scopes = {"POST": _PAYING}
    bucket = "cancels"

    def post(self, request: Request, **path: Any) -> Response:
        row = withdrawals.cancel(
            withdrawal=_withdrawal(self), by=f"token:{self.token.pk}", now=self.now
        )
        return Response(shape(row), 201)


class Beneficiaries(ApiView):
    """My address book, newest first; and a new entry, which a mail confirms."""

    scopes = {"GET": _ANY_KEY, "POST": _PAYING}

    def get(self, request: Request, **path: Any) -> Response:
        currency = self.parameters.optional_choice("currency", queries.currency_codes())
        self.parameters.demand_valid()
        rows = beneficiaries.of(self.member, currency)
        return Response([entry_shape(row) for row in rows])

    def post(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        code = self.parameters.required_choice("currency", codes)
        label = self._short("label", self.parameters.required("label"))
        destination = self._short(
            "destination", self.parameters.required("destination")
        )
        bank = self._short("bank", self.parameters.text("bank") or "")
        holder = self._short("holder", self.parameters.text("holder") or "")
        if self.parameters.has("label") and not words.line(label):
            self.parameters.note("label", "is invalid")
        self.parameters.demand_valid()
        try:
            row = beneficiaries.add(
                member=self.member,
                currency=Currency.objects.get(pk=code),
                label=label,
                destination=destination,
                bank=bank,
                holder=holder,
                now=self.now,
            )
        except ChainError as error:
            raise Busy from error
        return Response(entry_shape(row), 201)

    def _short(self, name: str, text: str) -> str:
        """Note what is longer than a row can hold."""
        if len(text) > _LENGTHS[name]:
            self.parameters.note(name, "is too long")
        return text


class RemoveBeneficiary(ApiView):
    """Take an entry out of my address book; what is under way goes on."""

    scopes = {"POST": _PAYING}

    def post(self, request: Request, **path: Any) -> Response:
        id = self.parameters.required_integer("id")
        self.parameters.demand_valid()
        row = _beneficiary(self, id)
        beneficiaries.remove(member=self.member, beneficiary=row)
        row.refresh_from_db()
        return Response(entry_shape(row), 201)


def shape(row: Withdrawal) -> dict[str, Any]:
    """Return a withdrawal as the wire has it."""
    return {
        "id": row.pk,
        "currency": row.currency_id,
        "beneficiary": row.beneficiary_id,
        "destination": row.destination,
        # What leaves the balance; the beneficiary gets the net.
        "amount": plain(row.amount),
        "fee": plain(row.fee),
        "net": plain(row.net),
        "state": WORDS[str(row.state)],
        "note": row.note,
        "client_id": row.client_id,
        "txid": row.txid or None,
        "confirmations": max(row.confirmations, 0),
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def entry_shape(row: Beneficiary) -> dict[str, Any]:
    """Return an entry of the address book as the wire has it."""
    return {
        "id": row.pk,
        "currency": row.currency_id,
        "label": row.label,
        "destination": row.destination,
        "bank": row.bank,
        "holder": row.holder,
        "state": str(row.state),
        "usable_from": _moment(row.usable_from) if row.usable_from else None,
        "created_at": _moment(row.created_at),
    }


def _withdrawal(view: ApiView) -> Withdrawal:
    id = view.parameters.required_integer("id")
    view.parameters.demand_valid()
    rows = Withdrawal.objects.filter(member=view.member, pk=id)
    row = rows.order_by("pk").first()
    if row is None:
        message = f"Withdraw##id={id} doesn't exist."
        raise Failure(404, errors.UNKNOWN_WITHDRAW, message)
    return row


def _beneficiary(view: ApiView, id: int, **narrowed: str) -> Beneficiary:
    rows = Beneficiary.objects.filter(member=view.member, pk=id, **narrowed)
    row = rows.order_by("pk").first()
    if row is None:
        message = f"Beneficiary##id={id} doesn't exist."
        raise Failure(404, errors.UNKNOWN_BENEFICIARY, message)
    return row


def _terms(amount: Decimal, fee: Decimal) -> Terms:
    return Terms(amount, fee, EXACT.subtract(amount, fee))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
