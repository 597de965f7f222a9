"""Who tried to sign in, and who took data away, as operators see it."""

from __future__ import annotations

from django.contrib import admin

from accounts.models.exports import DataExport
from accounts.models.sign_ins import SignIn
from exchange.lib.admin import ReadOnly


@admin.register(SignIn)
class SignInAdmin(ReadOnly):
    list_display = ("at", "member", "outcome", "factors", "address", "place")
    list_filter = ("outcome",)
    list_select_related = ("member",)
    search_fields = ("=member__email", "address")
    ordering = ("-pk",)
    exclude = ("device",)


@admin.register(DataExport)
class DataExportAdmin(ReadOnly):
    """That there is a file, and since when. Not what is in it."""

    list_display = ("requested_at", "member", "state", "ready_at", "size_bytes")
    list_filter = ("state",)
    list_select_related = ("member",)
    search_fields = ("=member__email",)
    ordering = ("-pk",)
