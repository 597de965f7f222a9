"""The rules of currencies, and how far chains were looked through."""

from __future__ import annotations

from django.contrib import admin

from exchange.lib.admin import Kept, ReadOnly
from wallets.models.coins import ConfirmationTier, Rules
from wallets.models.deposits import Scan
from wallets.models.practice import (
    PracticeAddress,
    PracticeBlock,
    PracticeInput,
    PracticeOutput,
    PracticeTransaction,
)


@admin.register(Rules)
class RulesAdmin(Kept):
    list_display = (
        "currency",
        "takes_deposits",
        "pays_withdrawals",
        "withdrawal_min",
        "withdrawal_fee",
        "automatic_up_to",
    )
    ordering = ("currency",)


@admin.register(ConfirmationTier)
class ConfirmationTierAdmin(Kept):
    list_display = ("rules", "amount_from", "confirmations")
    ordering = ("rules", "amount_from")


@admin.register(Scan)
class ScanAdmin(ReadOnly):
    list_display = ("currency", "height", "scanned_at", "problem", "problem_since")
    ordering = ("currency",)


@admin.register(PracticeBlock)
class PracticeBlockAdmin(ReadOnly):
    list_display = ("currency", "height", "hash", "at", "is_active")
    list_filter = ("currency", "is_active")
    ordering = ("-pk",)


@admin.register(PracticeTransaction)
class PracticeTransactionAdmin(ReadOnly):
    list_display = ("currency", "txid", "fee", "at", "is_dropped")
    list_filter = ("currency", "is_dropped")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(PracticeInput, PracticeOutput, PracticeAddress)
class PracticePartAdmin(ReadOnly):
    ordering = ("-pk",)
