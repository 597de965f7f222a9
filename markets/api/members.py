"""
Private endpoint: who am I, and what do I have.

It needs members and balances, so it lives with the highest of the apps.
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import SignedParameters
from markets.api import shapes
from wallets.queries import balances


class Me(SignedParameters):
    scopes = {"GET": ("profile",)}

    def get(self, request: Request, **path: Any) -> Response:
        return Response(shapes.member(self.member, balances(self.member)))
