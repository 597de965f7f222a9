"""Withdrawals: whom they are for, who approved them, and how they were paid."""

from __future__ import annotations

from django.contrib import admin

from exchange.lib.admin import ReadOnly
from wallets.models.withdrawals import (
    Approval,
    Beneficiary,
    Payout,
    PayoutTransaction,
    SpentCoin,
    Withdrawal,
)


@admin.register(Beneficiary)
class BeneficiaryAdmin(ReadOnly):
    list_display = ("id", "member", "currency", "label", "destination", "state")
    list_filter = ("currency", "state")
    list_select_related = ("member",)
    search_fields = ("=destination", "=member__email", "member__sn")
    ordering = ("-pk",)


@admin.register(Withdrawal)
class WithdrawalAdmin(ReadOnly):
    list_display = (
        "id",
        "currency",
        "member",
        "net",
        "fee",
        "state",
        "destination",
        "created_at",
    )
    list_filter = ("currency", "state")
    list_select_related = ("member",)
    search_fields = ("=txid", "=destination", "=member__email", "member__sn")
    ordering = ("-pk",)


@admin.register(Payout)
class PayoutAdmin(ReadOnly):
    list_display = ("id", "currency", "state", "created_at", "problem")
    list_filter = ("currency", "state")
    ordering = ("-pk",)


@admin.register(PayoutTransaction)
class PayoutTransactionAdmin(ReadOnly):
    list_display = ("txid", "payout", "fee", "size", "at")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(SpentCoin)
class SpentCoinAdmin(ReadOnly):
    list_display = ("txid", "vout", "currency", "payout")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(Approval)
class ApprovalAdmin(ReadOnly):
    list_display = ("withdrawal", "operator", "at", "note")
    list_select_related = ("operator",)
    ordering = ("-pk",)
