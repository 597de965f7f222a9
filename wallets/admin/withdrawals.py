"""Withdrawals: whom they are for, and who approved them."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, Reason, may, reasoned
from wallets import findings, withdrawals
from wallets.models.withdrawals import (
    Approval,
    Beneficiary,
    Finding,
    Withdrawal,
)


@admin.register(Beneficiary)
class BeneficiaryAdmin(ReadOnly):
    list_display = ("id", "member", "currency", "label", "destination", "state")
    list_filter = ("currency", "state")
    list_select_related = ("member",)
    search_fields = ("=destination", "=member__email", "member__sn")
    ordering = ("-pk",)


class PaidBy(Reason):
    """By which transaction a withdrawal was paid without us."""

    txid = forms.RegexField(
        regex=r"^[0-9a-f]{64}\Z",
        label=_("Transaction"),
        help_text=_("Its id, as the chain has it: 64 letters and digits."),
    )


# What can still be decided, by the state of the withdrawal.
_DECISIONS = {
    Withdrawal.State.REVIEW: ("approve", "refuse"),
    Withdrawal.State.APPROVED: ("refuse",),
}


@admin.register(Withdrawal)
class WithdrawalAdmin(ReadOnly):
    list_display = (
        "id",
        "currency",
        "member",
        "net",
        "fee",
        "state",
        "why_not",
        "destination",
        "created_at",
    )
    list_filter = ("currency", "state")
    list_select_related = ("member",)
    search_fields = ("=txid", "=destination", "=member__email", "member__sn")
    ordering = ("-pk",)
    actions = ("approve", "refuse", "say_paid", "say_unpaid")
    queue = Queue(_("Withdrawals to review"), Q(state="review"), "?state__exact=review")

    has_decide_permission = may("wallets.decide_withdrawal")

    def actions_on(self, row: Withdrawal) -> tuple[str, ...]:
        more = ("say_paid", "say_unpaid") if row.looks_paid else ()
        return (*_DECISIONS.get(row.state, ()), *more)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_fields(request, obj), "why_not", "vouched"]

    @admin.display(description=_("what speaks against it"))
    def why_not(self, row: Withdrawal) -> str:
        return " ".join(str(withdrawals.DOUBTS[doubt]) for doubt in row.doubts)

    @admin.display(description=_("approved by"))
    def vouched(self, row: Withdrawal) -> str:
        words = [str(each.operator) for each in row.approvals.order_by("pk")]
        needed = withdrawals.approvals_needed(row)
        return f"{len(words)}/{needed} {', '.join(words)}"

    @reasoned(
        description=_("Approve: it may be paid"),
        permissions=["decide"],
        warning=_(
            "A large withdrawal needs two different operators. Once approved it is paid"
            " within minutes, and cannot be taken back."
        ),
    )
    def approve(
        self, request: HttpRequest, row: Withdrawal, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        withdrawals.approve(
            withdrawal=row, operator=operator, note=reason, now=timezone.now()
        )

    @reasoned(
        description=_("Refuse: the money goes back"),
        permissions=["decide"],
        warning=_("The member is told by mail, and reads your reason."),
    )
    def refuse(
        self, request: HttpRequest, row: Withdrawal, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        withdrawals.refuse(
            withdrawal=row, operator=operator, note=reason, now=timezone.now()
        )

    @reasoned(
        description=_("Book as paid: the chain has its payment"),
        permissions=["decide"],
        shape=PaidBy,
        warning=_(
            "The second operator who names the same transaction has it booked as sent."
            " The chain is asked each time."
        ),
    )
    def say_paid(
        self, request: HttpRequest, row: Withdrawal, *, by: str, reason: str, txid: str
    ) -> None:
        findings.say_paid(
            withdrawal=row,
            txid=txid,
            operator=cast(Member, request.user),
            note=reason,
            now=timezone.now(),
        )

    @reasoned(
        description=_("Say that nothing has paid it"),
        permissions=["decide"],
        warning=_(
            "Look at the chain first. Somebody else can then refuse it, and the money"
            " goes back, or have it paid."
        ),
    )
    def say_unpaid(
        self, request: HttpRequest, row: Withdrawal, *, by: str, reason: str
    ) -> None:
        findings.say_unpaid(
            withdrawal=row,
            operator=cast(Member, request.user),
            note=reason,
            now=timezone.now(),
        )


@admin.register(Finding)
class FindingAdmin(ReadOnly):
    list_display = ("at", "operator", "withdrawal", "payout", "txid", "note")
    list_select_related = ("operator", "withdrawal", "payout")
    search_fields = ("=txid",)
    ordering = ("-pk",)


@admin.register(Approval)
class ApprovalAdmin(ReadOnly):
    list_display = ("withdrawal", "operator", "at", "note")
    list_select_related = ("operator",)
    ordering = ("-pk",)
