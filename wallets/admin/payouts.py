"""
Payouts, the hot wallets they are paid from, and how the nodes' figures compare with the
books.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, may, reasoned
from exchange.lib.templatetags.figures import amount
from wallets import findings, hot, payouts
from wallets.models.hot import ForeignSend, HotWallet, Reconciliation
from wallets.models.withdrawals import (
    Payout,
    PayoutTransaction,
    SpentCoin,
    Withdrawal,
)


# The type argument exists for the checker only.
class _Part(admin.TabularInline):  # type: ignore[type-arg]
    """What belongs to a payout, to be read."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class _Transactions(_Part):
    model = PayoutTransaction
    fields = readonly_fields = ("to_others", "to_miners", "size", "at")

    @admin.display(description=_("paid"))
    def to_others(self, row: PayoutTransaction) -> str:
        return amount(row.paid)

    @admin.display(description=_("fee"))
    def to_miners(self, row: PayoutTransaction) -> str:
        return amount(row.fee)


class _Withdrawals(_Part):
    model = Withdrawal
    fields = ("member", "destination", "owed", "state", "confirmations")
    readonly_fields = ("owed",)

    @admin.display(description=_("net"))
    def owed(self, row: Withdrawal) -> str:
        return amount(row.net)


class _Coins(_Part):
    model = SpentCoin
    fields = readonly_fields = ("value",)

    @admin.display(description=_("amount"))
    def value(self, row: SpentCoin) -> str:
        return amount(row.amount)


@admin.register(Payout)
class PayoutAdmin(ReadOnly):
    list_display = (
        "id",
        "currency",
        "state",
        "created_at",
        "wants_higher_fee",
        "problem",
    )
    list_filter = ("currency", "state")
    search_fields = ("=transactions__txid",)
    ordering = ("-pk",)
    inlines = (_Transactions, _Withdrawals, _Coins)
    actions = ("raise_fee", "give_back")
    queue = Queue(_("Payouts in trouble"), ~Q(problem=""))

    has_raise_permission = may("wallets.raise_payout")
    has_return_permission = may("wallets.return_payout")

    def actions_on(self, row: Payout) -> tuple[str, ...]:
        if row.state not in payouts.AWAITED:
            return ()
        is_lost = row.problem.startswith("conflict")
        return ("raise_fee", "give_back") if is_lost else ("raise_fee",)

    @reasoned(
        description=_("Raise the fee"),
        permissions=["raise"],
        warning=_(
            "A transaction with a higher fee takes the place of the one that waits. It"
            " spends the same coins, so that one of them is confirmed at most."
        ),
    )
    def raise_fee(
        self, _request: HttpRequest, row: Payout, *, by: str, reason: str
    ) -> None:
        payouts.raise_fee(payout=row, by=by, reason=reason)

    @reasoned(
        description=_("Give back: its coins went elsewhere for good"),
        permissions=["return"],
        warning=_(
            "The second operator who says so has its withdrawals go back to review, and"
            " what was booked undone. The chain is asked each time. Find out who has"
            " spent the coins first."
        ),
    )
    def give_back(
        self, request: HttpRequest, row: Payout, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        findings.give_back(
            payout=row, operator=operator, note=reason, now=timezone.now()
        )


@admin.register(PayoutTransaction)
class PayoutTransactionAdmin(ReadOnly):
    list_display = ("txid", "payout", "paid", "fee", "size", "at")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(SpentCoin)
class SpentCoinAdmin(ReadOnly):
    list_display = ("txid", "vout", "amount", "currency", "payout")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(HotWallet)
class HotWalletAdmin(ReadOnly):
    list_display = (
        "currency",
        "trouble",
        "trouble_since",
        "paused_at",
        "paused_why",
        "sent_without_us",
    )
    ordering = ("currency",)
    actions = ("resume",)
    queue = Queue(_("Paused hot wallets"), Q(paused_at__isnull=False))

    has_resume_permission = may("wallets.resume_hotwallet")

    def actions_on(self, row: HotWallet) -> tuple[str, ...]:
        return () if row.paused_at is None else ("resume",)

    @admin.display(description=_("payments without us, not looked at"))
    def sent_without_us(self, row: HotWallet) -> int:
        waiting = ForeignSend.objects.filter(currency=row.pk, accepted_at=None)
        return waiting.count()

    @reasoned(
        description=_("Resume payouts"),
        permissions=["resume"],
        warning=_(
            "Approved withdrawals are paid at once. Look at every payment without us"
            " first: a withdrawal that it paid must not be paid again."
        ),
    )
    def resume(
        self, _request: HttpRequest, row: HotWallet, *, by: str, reason: str
    ) -> None:
        hot.resume(currency=row.pk, by=by, reason=reason, now=timezone.now())


@admin.register(ForeignSend)
class ForeignSendAdmin(ReadOnly):
    list_display = ("txid", "currency", "found_at", "accepted_at", "accepted_by")
    list_filter = ("currency",)
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnly):
    list_display = ("at", "currency", "height", "held", "booked", "because", "rest")
    list_filter = ("currency",)
    ordering = ("-pk",)

    @admin.display(description=_("on chain"))
    def held(self, row: Reconciliation) -> str:
        return amount(row.on_chain)

    @admin.display(description=_("in books"))
    def booked(self, row: Reconciliation) -> str:
        return amount(row.in_books)

    @admin.display(description=_("unexplained"))
    def rest(self, row: Reconciliation) -> str:
        return amount(row.unexplained)

    @admin.display(description=_("explained"))
    def because(self, row: Any) -> str:
        return ", ".join(f"{why} {amount}" for why, amount in row.explained.items())
