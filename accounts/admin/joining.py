"""Attempts that failed, and letters on their way: to be looked at."""

from __future__ import annotations

from django.contrib import admin

from accounts.models.attempts import Attempts
from accounts.models.letterbox import Letter
from exchange.lib.admin import ReadOnly


@admin.register(Attempts)
class AttemptsAdmin(ReadOnly):
    list_display = ("key", "count", "since", "last_at", "opens_at")
    search_fields = ("key",)
    ordering = ("-last_at",)


@admin.register(Letter)
class LetterAdmin(ReadOnly):
    list_display = ("at", "event", "email")
    list_filter = ("event",)
    search_fields = ("=email",)
    ordering = ("-pk",)
