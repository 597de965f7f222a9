"""My statement, for programs: each entry with the balance after it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import ApiView
from exchange.lib.money import plain
from wallets import queries, statement
from wallets.statement import Line, Wanted


class Entries(ApiView):
    """What moved in and out of my balance of a currency, newest first."""

    scopes = {"GET": ("history",)}

    def get(self, request: Request, **path: Any) -> Response:
        codes = queries.currency_codes()
        currency = self.parameters.required_choice("currency", codes)
        limit = self.parameters.integer_within("limit", 1, 1000, default=100)
        before = self.parameters.integer("before")
        self.parameters.demand_valid()
        wanted = Wanted(currency=currency, before=before)
        found = statement.Reader(self.member, wanted).read(limit)
        return Response([shape(line) for line in found])


def shape(line: Line) -> dict[str, Any]:
    """Return a line of the statement as the wire has it."""
    return {
        "id": line.id,
        "at": line.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "currency": line.currency,
        "reason": line.reason,
        "reference": line.reference,
        "available": plain(line.free),
        "locked": plain(line.bound),
        "available_after": plain(line.available),
        "locked_after": plain(line.locked),
    }
