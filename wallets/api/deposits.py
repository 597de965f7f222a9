"""
Private endpoints of deposits, in the ancestor's words.

No currency takes deposits yet: a member has none, none is found by its transaction, and
an address is still to come, which the ancestor said as null. The tables of deposits
answer here as soon as they exist.
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.views import ApiView
from wallets import queries

STATES = (
    "submitting",
    "cancelled",
    "submitted",
    "rejected",
    "accepted",
    "checked",
    "warning",
)
_ANY_KEY: dict[str, tuple[str, ...]] = {"GET": ()}


class Deposits(ApiView):
    """My deposits, newest first."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        self.parameters.optional_choice("currency", queries.currency_codes())
        self.parameters.integer_within("limit", 1, 100, default=3)
        self.parameters.optional_choice("state", STATES)
        self.parameters.demand_valid()
        return Response([])


class OneDeposit(ApiView):
    """One of my deposits, by the id of its transaction."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        txid = self.parameters.required("txid")
        self.parameters.demand_valid()
        message = f"Deposit##txid={txid} doesn't exist."
        raise Failure(404, errors.UNKNOWN_DEPOSIT, message)


class DepositAddress(ApiView):
    """Where I may deposit a currency; null while the address is being made."""

    scopes = _ANY_KEY

    def get(self, request: Request, **path: Any) -> Response:
        self.parameters.required_choice("currency", queries.currency_codes())
        self.parameters.demand_valid()
        return Response(None)
