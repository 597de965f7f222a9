"""Deposits, and the addresses they are awaited at."""

from __future__ import annotations

from django.contrib import admin

from exchange.lib.admin import ReadOnly
from wallets.models.deposits import Deposit, DepositAddress


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
    list_filter = ("currency", "state")
    list_select_related = ("member",)
    search_fields = ("=txid", "=address", "=member__email", "member__sn")
    ordering = ("-pk",)
