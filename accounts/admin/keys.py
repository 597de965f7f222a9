"""API keys, as operators see them. Secrets never show."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import keys
from accounts.models.tokens import ApiToken, TokenUse
from exchange.lib.admin import ReadOnly, may, reasoned


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
    search_fields = ("access_key", "=member__email", "label")
    ordering = ("-pk",)
    exclude = ("secret_encrypted",)
    actions = ("revoke",)

    has_revoke_permission = may("accounts.revoke_apitoken")

    @reasoned(description=_("Revoke: useless from now on"), permissions=["revoke"])
    def revoke(
        self, _request: HttpRequest, row: ApiToken, *, by: str, reason: str
    ) -> None:
        keys.revoke(key=row, by=by, now=timezone.now(), reason=reason)


@admin.register(TokenUse)
class TokenUseAdmin(ReadOnly):
    list_display = ("token", "at", "address")
    search_fields = ("token__access_key", "=token__member__email", "address")
    ordering = ("-at",)
