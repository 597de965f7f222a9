"""
Private endpoint: who am I, and what do I have.

It needs members and balances, so it lives with the highest of the apps.
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import CREDENTIALS, ApiView
from markets.api import shapes
from wallets.queries import balances


class Me(ApiView):
    scopes = {"GET": ("profile",)}

    def refuse_unsigned(self) -> None:
        """Here the ancestor looked at parameters before it looked at keys."""
        for name in CREDENTIALS:
            self.parameters.required(name)
        self.parameters.demand_valid()

    def get(self, request: Request, **path: Any) -> Response:
        return Response(shapes.member(self.member, balances(self.member)))
