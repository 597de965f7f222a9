"""Second factors, as operators see them. No secret, number or digest shows in full."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.factors import losses, sms
from accounts.models.factors import (
    FactorLoss,
    Passkey,
    Phone,
    RecoveryCode,
    SmsCode,
    Totp,
)
from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, may, reasoned

# What can still be decided, by the state of the loss.
_DECISIONS = {
    FactorLoss.State.REQUESTED: ("approve", "refuse"),
    FactorLoss.State.COOLING: ("refuse",),
}


@admin.register(Totp)
class TotpAdmin(ReadOnly):
    list_display = ("member", "created_at")
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    fields = ("member", "created_at")


@admin.register(Phone)
class PhoneAdmin(ReadOnly):
    list_display = ("member", "masked", "created_at")
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    fields = readonly_fields = ("member", "masked", "created_at")

    @admin.display(description=_("number"))
    def masked(self, phone: Phone) -> str:
        return sms.masked(phone.number)


@admin.register(Passkey)
class PasskeyAdmin(ReadOnly):
    list_display = ("member", "label", "created_at", "used_at")
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    fields = ("member", "label", "sign_count", "created_at", "used_at")


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(ReadOnly):
    list_display = ("member", "created_at", "used_at")
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    fields = ("member", "created_at", "used_at")


@admin.register(SmsCode)
class SmsCodeAdmin(ReadOnly):
    """What left, and what did not. Not what it says."""

    list_display = ("created_at", "member", "purpose", "sent_at", "tries", "spent_at")
    list_filter = ("purpose",)
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    fields = (
        "member",
        "purpose",
        "created_at",
        "expires_at",
        "sent_at",
        "tries",
        "spent_at",
    )


@admin.register(FactorLoss)
class FactorLossAdmin(ReadOnly):
    list_display = ("requested_at", "member", "state", "due_at", "decided_by")
    list_filter = ("state",)
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    actions = ("approve", "refuse")
    queue = Queue(
        _("Lost factors to decide"), Q(state="requested"), "?state__exact=requested"
    )

    has_decide_permission = may("accounts.decide_factorloss")

    def actions_on(self, row: FactorLoss) -> tuple[str, ...]:
        return _DECISIONS.get(row.state, ())

    @reasoned(
        description=_("Approve: remove all factors in three days"),
        permissions=["decide"],
        warning=_(
            "The member is told by mail. Unless somebody objects within three days, "
            "all second factors are removed and all sessions end."
        ),
    )
    def approve(
        self, request: HttpRequest, row: FactorLoss, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        losses.approve(loss=row, operator=operator, reason=reason, now=timezone.now())

    @reasoned(
        description=_("Refuse, or stop the removal: the factors stay"),
        permissions=["decide"],
        warning=_("The member is told by mail, and keeps the factors."),
    )
    def refuse(
        self, request: HttpRequest, row: FactorLoss, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        losses.refuse(loss=row, operator=operator, reason=reason, now=timezone.now())
