"""API keys, as operators see them. Secrets never show."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import tokens
from accounts.models.tokens import ApiToken
from exchange.lib.admin import ReadOnly


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

    @admin.action(description=_("Revoke: useless from now on"))
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        for row in rows:
            by = f"operator:{request.user.pk}"
            tokens.revoke(token=row, by=by, now=timezone.now())
