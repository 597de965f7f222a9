"""
Private endpoints of deposits, in the ancestor's words.

A GET changes nothing: where no address was given yet, it is null, as it was while the
ancestor made one. The page of deposits gives the first, or a POST.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.views import ApiView
from exchange.lib.errors import Busy
from exchange.lib.money import plain
from wallets import addresses, queries
from wallets.chains.base import ChainError
from wallets.models.deposits import Deposit, DepositAddress

STATES = (
    "submitting",
    "cancelled",
    "submitted",
    "rejected",
    "accepted",
    "checked",
    "warning",
)
# The ancestor's word for each of our states.
_WORDS = {
    Deposit.State.SEEN.value: "submitted",
    Deposit.State.CREDITED.value: "accepted",
    Deposit.State.TOO_SMALL.value: "warning",
    Deposit.State.GONE.value: "rejected",
    Deposit.State.REVERSED.value: "cancelled",
}
_ADDRESSES_MAX = 1000
_ANY_KEY: dict[str, tuple[str, ...]] = {"GET": ()}


class Deposits(ApiView):
    """My deposits, newest first."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        currency = self.parameters.optional_choice("currency", queries.currency_codes())
        limit = self.parameters.integer_within("limit", 1, 100, default=3)
        state = self.parameters.optional_choice("state", STATES)
        self.parameters.demand_valid()
        rows = Deposit.objects.filter(member=self.member)
        if currency:
            rows = rows.filter(currency=currency)
        if state:
            ours = [each for each, word in _WORDS.items() if word == state]
            rows = rows.filter(state__in=ours)
        return Response([shape(row) for row in rows.order_by("-pk")[:limit]])


class OneDeposit(ApiView):
    """One of my deposits, by the id of its transaction."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        txid = self.parameters.required("txid")
        self.parameters.demand_valid()
        rows = Deposit.objects.filter(member=self.member, txid=txid)
        row = rows.order_by("pk").first()
        if row is None:
            message = f"Deposit##txid={txid} doesn't exist."
            raise Failure(404, errors.UNKNOWN_DEPOSIT, message)
        return Response(shape(row))


class NewestAddress(ApiView):
    """
    Where I may deposit a currency; null where no address was given yet. A POST gives
    one: the unused one, where there is one.
    """

    scopes = {"GET": (), "POST": ()}

    def get(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        self.parameters.demand_valid()
        rows = DepositAddress.objects.filter(member=self.member, currency=currency)
        row = rows.order_by("-pk").first()
        return Response({"address": row.address} if row else None)

    def post(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        self.parameters.demand_valid()
        try:
            row = addresses.address_for(
                member=self.member, currency=currency, now=self.now
            )
        except ChainError as error:
            raise Busy from error
        return Response({"address": row.address}, 201)


class Addresses(ApiView):
    """Every address of mine, newest first: coins still come in at each."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        self.parameters.demand_valid()
        rows = addresses.addresses_of(self.member, currency)[:_ADDRESSES_MAX]
        return Response(
            [
                {
                    "address": row.address,
                    "is_used": row.is_used,
                    "created_at": _moment(row.created_at),
                }
                for row in rows
            ]
        )


def shape(row: Deposit) -> dict[str, Any]:
    """Return a deposit as the wire has it."""
    return {
        "id": row.pk,
        "currency": row.currency_id,
        "amount": plain(row.amount),
        "fee": "0.0",
        "txid": row.txid,
        "created_at": _moment(row.seen_at),
        "confirmations": str(max(row.confirmations, 0)),
        "done_at": _moment(row.credited_at) if row.credited_at else None,
        "state": _WORDS[str(row.state)],
    }


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
