"""Currencies, the books and what was proven of them: for operators to read."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from exchange.lib.admin import Kept, ReadOnly
from wallets.models.currencies import Currency
from wallets.models.ledger import Account, Balance, Entry, Posting
from wallets.models.solvency import Proof, Root, Statement


@admin.register(Currency)
class CurrencyAdmin(Kept):
    list_display = ("code", "name", "kind", "scale", "digits", "is_visible")
    list_filter = ("kind", "is_visible")
    search_fields = ("code", "name")
    ordering = ("sort_order", "code")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Currency | None = None
    ) -> list[str]:
        """The ledger counts in these as soon as the currency exists."""
        return [] if obj is None else ["code", "kind", "scale"]


@admin.register(Account)
class AccountAdmin(ReadOnly):
    list_display = ("id", "currency", "member", "house")
    list_filter = ("currency", "house")
    list_select_related = ("member",)
    search_fields = ("=member__email", "member__sn")
    ordering = ("-pk",)


@admin.register(Balance)
class BalanceAdmin(ReadOnly):
    list_display = ("account", "currency", "available", "locked")
    list_filter = ("account__currency",)
    list_select_related = ("account__member",)
    search_fields = ("=account__member__email", "account__member__sn")
    ordering = ("-pk",)

    @admin.display(ordering="account__currency")
    def currency(self, row: Balance) -> str:
        return str(row.account.currency_id)


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    list_display = (
        "id",
        "at",
        "amount",
        "source",
        "source_pocket",
        "target",
        "target_pocket",
        "reason",
        "reference",
    )
    list_filter = ("reason",)
    list_select_related = ("source", "target")
    search_fields = ("=reference",)
    ordering = ("-pk",)


@admin.register(Posting)
class PostingAdmin(ReadOnly):
    list_display = ("cause", "at")
    search_fields = ("=cause",)
    ordering = ("-at",)


@admin.register(Proof)
class ProofAdmin(ReadOnly):
    list_display = ("number", "snapshot", "hash")
    ordering = ("-number",)
    exclude = ("sealed_seed",)


@admin.register(Root)
class RootAdmin(ReadOnly):
    list_display = ("proof", "currency", "liabilities", "depth", "hash")
    list_filter = ("currency",)
    list_select_related = ("proof",)
    ordering = ("-pk",)


@admin.register(Statement)
class StatementAdmin(ReadOnly):
    list_display = ("root", "total", "height", "block_hash")
    list_select_related = ("root",)
    ordering = ("-pk",)
