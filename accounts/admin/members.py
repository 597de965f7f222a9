"""
Members and their sessions. Password hashes never show; e-mail addresses only to who may
see personal data.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import closing, members, roles, sessions
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sessions import Session
from accounts.roles import Role
from exchange.lib.admin import Kept, ReadOnly, Reason, may, reasoned

# What can be done to a member, by their state.
_ALWAYS = {"end_sessions", "grant", "revoke"}
_DEEDS = {
    Member.State.ACTIVE: {"freeze", "close", *_ALWAYS},
    Member.State.FROZEN: {"thaw", "close", *_ALWAYS},
    Member.State.CLOSED: {"revoke"},
}


class RoleAndReason(Reason):
    """Which role is meant, for the actions that give or take one."""

    role = forms.TypedChoiceField(
        label=_("Role"), choices=[("", "---"), *Role.choices], coerce=Role
    )
    field_order = ("role", "reason")


@admin.register(Member)
class MemberAdmin(Kept):
    list_display = (
        "sn",
        "display_name",
        "state",
        "tag_names",
        "is_staff",
        "created_at",
    )
    list_filter = ("state", "is_staff", "api_disabled", "groups", "tags")
    search_fields = ("=email", "sn", "display_name")
    ordering = ("-pk",)
    fields = (
        "sn",
        "display_name",
        "state",
        "tags",
        "api_disabled",
        "is_staff",
        "groups",
        "last_login",
        "created_at",
    )
    # The rest changes by the actions below, or not at all.
    readonly_fields = (
        *("email", "masked_email", "sn", "state", "is_staff", "groups"),
        *("last_login", "created_at"),
    )
    actions = ("freeze", "thaw", "close", "end_sessions", "grant", "revoke")

    has_freeze_permission = may("accounts.freeze_member")
    has_thaw_permission = may("accounts.thaw_member")
    has_close_permission = may("accounts.close_member")
    has_end_permission = may("accounts.end_sessions")
    has_grant_permission = may("accounts.grant_role")
    has_personal_permission = may("accounts.see_personal_data")
    has_tag_permission = may("accounts.tag_member")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people join by themselves, or by `manage.py create_member`

    def has_change_permission(
        self, request: HttpRequest, obj: Member | None = None
    ) -> bool:
        return self._may_edit(request) or self.has_tag_permission(request)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self._email(request), *self.list_display]

    def get_fields(self, request: HttpRequest, obj: Member | None = None) -> list[Any]:
        return [self._email(request), *self.fields]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Member | None = None
    ) -> list[str]:
        fixed = list(self.readonly_fields)
        if not self._may_edit(request):
            fixed += ["display_name", "api_disabled"]
        if not self.has_tag_permission(request):
            fixed += ["tags"]
        return fixed

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description=_("tags"))
    def tag_names(self, row: Member) -> str:
        return ", ".join(tag.name for tag in row.tags.all())

    def actions_on(self, row: Member) -> tuple[str, ...]:
        return tuple(
            each for each in self.actions if each in _DEEDS[Member.State(row.state)]
        )

    @reasoned(
        description=_("Freeze: may look, neither trade nor withdraw"),
        permissions=["freeze"],
        warning=_("They can still sign in, look, and cancel their orders."),
    )
    def freeze(
        self, _request: HttpRequest, row: Member, *, by: str, reason: str
    ) -> None:
        members.freeze(member=row, by=by, reason=reason)

    @reasoned(
        description=_("Thaw: undo a freeze"),
        permissions=["thaw"],
        warning=_("They can trade and withdraw again, at once."),
    )
    def thaw(self, _request: HttpRequest, row: Member, *, by: str, reason: str) -> None:
        members.thaw(member=row, by=by, reason=reason)

    @reasoned(
        description=_("Close for good: may not sign in any more"),
        permissions=["close"],
        warning=_(
            "This cannot be undone: their sessions end and their keys stop working at "
            "once, and they can never sign in again. An account with money or orders "
            "in it is refused."
        ),
    )
    def close(
        self, _request: HttpRequest, row: Member, *, by: str, reason: str
    ) -> None:
        closing.close_for(member=row, by=by, reason=reason, now=timezone.now())

    @reasoned(
        description=_("End all sessions: must sign in again"), permissions=["end"]
    )
    def end_sessions(
        self, _request: HttpRequest, row: Member, *, by: str, reason: str
    ) -> None:
        sessions.end_all(member=row, by=by, reason=reason)

    @reasoned(
        description=_("Give a role"),
        permissions=["grant"],
        warning=_("They may enter this desk, and do there what the role allows."),
        shape=RoleAndReason,
    )
    def grant(
        self, _request: HttpRequest, row: Member, *, by: str, role: Role, reason: str
    ) -> None:
        roles.grant(member=row, role=role, by=by, reason=reason)

    @reasoned(
        description=_("Take a role away"),
        permissions=["grant"],
        warning=_("With their last role they may no longer enter this desk."),
        shape=RoleAndReason,
    )
    def revoke(
        self, _request: HttpRequest, row: Member, *, by: str, role: Role, reason: str
    ) -> None:
        roles.revoke(member=row, role=role, by=by, reason=reason)

    def _may_edit(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_member")

    def _email(self, request: HttpRequest) -> str:
        return "email" if self.has_personal_permission(request) else "masked_email"


@admin.register(Session)
class SessionAdmin(ReadOnly):
    """Who is signed in where. The key is a digest: nobody can borrow a session."""

    list_display = ("member", "seen_at", "address", "user_agent", "created_at")
    list_select_related = ("member",)
    search_fields = ("=member__email", "address")
    ordering = ("-seen_at",)
    exclude = ("session_key", "session_data")


@admin.register(Proof)
class ProofAdmin(ReadOnly):
    list_display = ("at", "member", "factor", "purpose")
    list_filter = ("factor", "purpose")
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
    exclude = ("session",)
