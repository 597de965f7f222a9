"""Transfers between members: for operators to read."""

from __future__ import annotations

from django.contrib import admin

from exchange.lib.admin import ReadOnly
from wallets.models.transfers import Transfer


@admin.register(Transfer)
class TransferAdmin(ReadOnly):
    list_display = ("id", "currency", "amount", "sender", "recipient", "at")
    list_filter = ("currency",)
    list_select_related = ("sender", "recipient")
    search_fields = (
        *("=sender__email", "sender__sn", "=recipient__email", "recipient__sn"),
        "=client_id",
    )
    ordering = ("-pk",)
