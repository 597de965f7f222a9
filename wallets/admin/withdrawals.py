"""Withdrawals: whom they are for, and who approved them."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, Reason, may, reasoned
from exchange.lib.templatetags.figures import amount, zoned
from wallets import background, findings, withdrawals
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


# What a reviewer reads, and the right to see the rows that it is read from.
_ABOUT = [
    ("about_member", "accounts.view_member"),
    ("about_money", "wallets.view_balance"),
    ("about_destination", "wallets.view_beneficiary"),
    ("about_sign_ins", "accounts.view_signin"),
]


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
        about = [name for name, needs in _ABOUT if request.user.has_perm(needs)]
        fields = [*super().get_fields(request, obj), "why_not", "vouched", "said"]
        return fields + about

    @admin.display(description=_("said of the chain"))
    def said(self, row: Withdrawal) -> str:
        words = (
            f"{each.operator}: {each.txid or gettext('nothing has paid it')}"
            for each in row.findings.select_related("operator").order_by("pk")
        )
        return "; ".join(words)

    @admin.display(description=_("who asks"))
    def about_member(self, row: Withdrawal) -> str:
        member, limits = row.member, background.limits_of(row.member)
        return gettext(
            "Level %(level)s, may withdraw %(day)s %(unit)s in 24 hours and %(month)s"
            " in 30 days; a member for %(age)s; state: %(state)s."
        ) % {
            "level": member.identity_level,
            "day": amount(limits.withdrawal_24h),
            "month": amount(limits.withdrawal_30d),
            "unit": limits.currency.upper(),
            "age": timesince(member.created_at),
            "state": member.get_state_display(),
        }

    @admin.display(description=_("the money"))
    def about_money(self, row: Withdrawal) -> str:
        money = background.money_of(row, now=timezone.now())
        return gettext(
            "Has %(available)s %(code)s available and %(locked)s locked. Deposits:"
            " %(came)s, together %(in)s. Withdrawals: %(went)s, together %(out)s. Left"
            " of the limits: %(day)s and %(month)s %(unit)s."
        ) % {
            "available": amount(money.balance.available),
            "locked": amount(money.balance.locked),
            "code": row.currency_id.upper(),
            "came": money.deposits.count,
            "in": amount(money.deposits.amount),
            "went": money.withdrawals.count,
            "out": amount(money.withdrawals.amount),
            "day": amount(money.left.day),
            "month": amount(money.left.month),
            "unit": money.left.currency.upper(),
        }

    @admin.display(description=_("where it goes"))
    def about_destination(self, row: Withdrawal) -> str:
        there = background.destination_of(row)
        words = gettext("In the address book since %(since)s. ") % {
            "since": zoned(there.known_since)
        }
        if there.paid_first is None:
            words += gettext("Never paid before.")
        else:
            words += gettext(
                "Paid %(count)s times, together %(sum)s, first on %(first)s."
            ) % {
                "count": there.paid.count,
                "sum": amount(there.paid.amount),
                "first": zoned(there.paid_first),
            }
        if there.others:
            words += " " + gettext("Other members who are paid there: %(others)s.") % {
                "others": there.others
            }
        return words

    @admin.display(description=_("how they came in"))
    def about_sign_ins(self, row: Withdrawal) -> str:
        doors = background.doors_of(row.member, now=timezone.now())
        if doors.last is None:
            return gettext("Has never signed in.")
        return gettext(
            "Last on %(at)s from %(place)s with %(device)s. In 7 days: %(devices)s"
            " devices, %(wrong)s wrong attempts."
        ) % {
            "at": zoned(doors.last.at),
            "place": doors.last.place or gettext("an unknown place"),
            "device": doors.device or gettext("an unknown browser"),
            "devices": doors.devices,
            "wrong": doors.wrong,
        }

    @admin.display(description=_("what speaks against it"))
    def why_not(self, row: Withdrawal) -> str:
        return " ".join(str(withdrawals.DOUBTS[doubt]) for doubt in row.doubts)

    @admin.display(description=_("approved by"))
    def vouched(self, row: Withdrawal) -> str:
        words = [str(each.operator) for each in withdrawals.approvals_of(row)]
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
