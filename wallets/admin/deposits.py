"""Deposits, and the addresses they are awaited at."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import members
from exchange.lib.admin import Queue, ReadOnly, Reason, may, reasoned
from wallets import deposits
from wallets.models.deposits import Deposit, DepositAddress


class Claim(Reason):
    """Whose deposit it is, and how we know."""

    email = forms.EmailField(label=_("E-mail address of the member"))


@admin.register(DepositAddress)
class DepositAddressAdmin(ReadOnly):
    list_display = ("address", "currency", "member", "created_at", "is_used")
    list_filter = ("currency", "is_used")
    list_select_related = ("member",)
    search_fields = ("=address", "=member__email", "member__sn")
    ordering = ("-pk",)


@admin.register(Deposit)
class DepositAdmin(ReadOnly):
    list_display = (
        "id",
        "currency",
        "member",
        "amount",
        "state",
        "confirmations",
        "required",
        "txid",
        "seen_at",
    )
    list_filter = ("currency", "state", "member")
    list_select_related = ("member",)
    search_fields = ("=txid", "=address", "=member__email", "member__sn")
    ordering = ("-pk",)
    actions = ("claim",)
    queue = Queue(
        _("Deposits of nobody we know"),
        Q(state="credited", member=None),
        "?state__exact=credited&member__isnull=True",
    )

    has_claim_permission = may("wallets.claim_deposit")

    def get_list_filter(self, request: HttpRequest) -> Any:
        return ("currency", "state", ("member", admin.EmptyFieldListFilter))

    def actions_on(self, row: Deposit) -> tuple[str, ...]:
        is_nobodys = row.state == Deposit.State.CREDITED and row.member_id is None
        return ("claim",) if is_nobodys else ()

    @reasoned(
        description=_("Give it to the member it belongs to"),
        permissions=["claim"],
        warning=_("It is credited at once. Be sure whose it is."),
        shape=Claim,
    )
    def claim(
        self, request: HttpRequest, row: Deposit, *, by: str, reason: str, email: str
    ) -> None:
        deposits.claim(
            deposit=row,
            member=members.by_email(email),
            by=by,
            reason=reason,
            now=timezone.now(),
        )
