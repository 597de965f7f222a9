"""
Private endpoints of transfers: ours alone, the ancestor had none.

Reading is open to any key, as with deposits. Paying needs a key that may withdraw, and
then what is refused is refused honestly: see the note in `wallets.transfers`.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.views import ApiView
from accounts.models.members import Member
from exchange.lib import money
from exchange.lib.money import plain
from wallets import queries, transfers
from wallets.models.transfers import Transfer
from wallets.withdrawals import Source

_ANY_KEY: tuple[str, ...] = ()
_PAGE_MAX = 10**9
DIRECTIONS = ("sent", "received")


class Transfers(ApiView):
    """What I sent and received, newest first; and a new one."""

    scopes = {"GET": _ANY_KEY, "POST": ("withdraw",)}

    def get(self, request: Request, **path: Any) -> Response:
        currency = self.parameters.optional_choice("currency", queries.currency_codes())
        limit = self.parameters.integer_within("limit", 1, 100, default=3)
        page = self.parameters.integer("page") or 1
        self.parameters.demand_valid()
        start = (min(max(page, 1), _PAGE_MAX) - 1) * limit
        found = transfers.rows_of(self.member, currency)[start : start + limit]
        return Response([shape(row, self.member) for row in found])

    def post(self, request: Request, **path: Any) -> Response:
        recipient = self.parameters.required("recipient")
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        amount = self.parameters.required("amount")
        client_id = self.parameters.text("client_id")
        note = self.parameters.text("note")
        self.parameters.demand_valid()
        placed = transfers.place(
            sender=self.member,
            recipient=recipient,
            currency=currency,
            amount=money.parse(amount),
            source=Source(token=self.token),
            note=note or "",
            client_id=client_id or None,
            now=self.now,
        )
        return Response(shape(placed, self.member), 201)


class OneTransfer(ApiView):
    """One that I sent or received."""

    scopes = {"GET": _ANY_KEY}

    def get(self, request: Request, **path: Any) -> Response:
        id = self.parameters.required_integer("id")
        self.parameters.demand_valid()
        row = transfers.rows_of(self.member).filter(pk=id).order_by("pk").first()
        if row is None:
            message = f"Transfer##id={id} doesn't exist."
            raise Failure(404, errors.UNKNOWN_TRANSFER, message)
        return Response(shape(row, self.member))


def shape(row: Transfer, member: Member) -> dict[str, Any]:
    """Return a transfer as one of its two members reads it."""
    is_sent = row.sender_id == member.pk
    return {
        "id": row.pk,
        "direction": DIRECTIONS[0] if is_sent else DIRECTIONS[1],
        "member": (row.recipient if is_sent else row.sender).sn,
        "currency": row.currency_id,
        "amount": plain(row.amount),
        "note": row.note,
        # The sender's own name for it.
        "client_id": row.client_id if is_sent else None,
        "created_at": row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
