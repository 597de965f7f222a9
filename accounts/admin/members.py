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
from exchange.lib.admin import Kept, ReadOnly, WithReason, may, run_on_each


class WithRole(WithReason):
    """Which role is meant, for the actions that give or take one."""

    role = forms.ChoiceField(choices=[("", "---"), *Role.choices], required=False)


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
    action_form = WithRole
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

    @admin.action(
        description=_("Freeze: may look, neither trade nor withdraw"),
        permissions=["freeze"],
    )
    def freeze(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: members.freeze(member=row, by=by, reason=reason),
        )

    @admin.action(description=_("Thaw: undo a freeze"), permissions=["thaw"])
    def thaw(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: members.thaw(member=row, by=by, reason=reason),
        )

    @admin.action(
        description=_("Close for good: may not sign in any more"), permissions=["close"]
    )
    def close(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: closing.close_for(
                member=row, by=by, reason=reason, now=timezone.now()
            ),
        )

    @admin.action(
        description=_("End all sessions: must sign in again"), permissions=["end"]
    )
    def end_sessions(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: sessions.end_all(member=row, by=by, reason=reason),
        )

    @admin.action(description=_("Give the role"), permissions=["grant"])
    def grant(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        self._change_roles(request, rows, roles.grant)

    @admin.action(description=_("Take the role away"), permissions=["grant"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        self._change_roles(request, rows, roles.revoke)

    def _change_roles(
        self, request: HttpRequest, rows: QuerySet[Member], verb: Any
    ) -> None:
        chosen = request.POST.get("role", "")
        if chosen not in Role.values:
            self.message_user(request, "Nothing done: please choose a role.", "ERROR")
            return
        run_on_each(
            request,
            rows,
            lambda row, by, reason: verb(
                member=row, role=Role(chosen), by=by, reason=reason
            ),
        )

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
