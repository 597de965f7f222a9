"""
Tags of members. The library's own page would let any operator merge tags, whatever
their permissions.
"""

from __future__ import annotations

from django.contrib import admin
from taggit.models import Tag

from exchange.lib.admin import Kept

admin.site.unregister(Tag)


@admin.register(Tag)
class TagAdmin(Kept):
    list_display = ("name", "slug")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name",)
