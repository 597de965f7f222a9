"""Members and keys, as operators see them. Secrets and password hashes never show."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import members, tokens
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from exchange.lib.admin import Kept, ReadOnly, WithReason, run_on_each


@admin.register(Member)
class MemberAdmin(Kept):
    list_display = ("email", "sn", "display_name", "state", "is_staff", "created_at")
    list_filter = ("state", "is_staff", "api_disabled")
    search_fields = ("email", "sn", "display_name")
    ordering = ("-pk",)
    fields = (
        "email",
        "sn",
        "display_name",
        "state",
        "api_disabled",
        "is_staff",
        "last_login",
        "created_at",
    )
    # The rest changes by the actions below, or not at all.
    readonly_fields = (
        "email",
        "sn",
        "state",
        "is_staff",
        "last_login",
        "created_at",
    )
    action_form = WithReason
    actions = ("freeze", "thaw", "close")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people join by themselves, or by `manage.py create_member`

    @admin.action(description="Freeze: may look, neither trade nor withdraw")
    def freeze(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: members.freeze(member=row, by=by, reason=reason),
        )

    @admin.action(description="Thaw: undo a freeze")
    def thaw(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: members.thaw(member=row, by=by, reason=reason),
        )

    @admin.action(description="Close for good: may not sign in any more")
    def close(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: members.close(member=row, by=by, reason=reason),
        )


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    list_display = (
        "access_key",
        "member",
        "label",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = ("scopes",)
    list_select_related = ("member",)
    search_fields = ("access_key", "member__email", "label")
    ordering = ("-pk",)
    exclude = ("secret_encrypted",)
    actions = ("revoke",)

    @admin.action(description="Revoke: useless from now on")
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        for row in rows:
            by = f"operator:{request.user.pk}"
            tokens.revoke(token=row, by=by, now=timezone.now())
