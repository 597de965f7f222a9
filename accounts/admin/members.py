"""Members and their sessions. Password hashes never show."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import members, sessions
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sessions import Session
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
    actions = ("freeze", "thaw", "close", "end_sessions")

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
            lambda row, by, reason: members.close(
                member=row, by=by, reason=reason, now=timezone.now()
            ),
        )

    @admin.action(description="End all sessions: must sign in again")
    def end_sessions(self, request: HttpRequest, rows: QuerySet[Member]) -> None:
        run_on_each(
            request,
            rows,
            lambda row, by, reason: sessions.end_all(member=row, by=by, reason=reason),
        )


@admin.register(Session)
class SessionAdmin(ReadOnly):
    """Who is signed in where. The key is a digest: nobody can borrow a session."""

    list_display = ("member", "seen_at", "address", "user_agent", "created_at")
    list_select_related = ("member",)
    search_fields = ("member__email", "address")
    ordering = ("-seen_at",)
    exclude = ("session_key", "session_data")


@admin.register(Proof)
class ProofAdmin(ReadOnly):
    list_display = ("at", "member", "factor", "purpose")
    list_filter = ("factor", "purpose")
    list_select_related = ("member",)
    search_fields = ("member__email",)
    ordering = ("-pk",)
    exclude = ("session",)
