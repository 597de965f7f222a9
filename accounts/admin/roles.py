"""Roles and tags, to be read: roles are written in accounts.roles, tags on members."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from taggit.models import Tag

from exchange.lib.admin import ReadOnly

# Their own admins would let groups be edited, and tags be merged and deleted.
admin.site.unregister(Group)
admin.site.unregister(Tag)


@admin.register(Group)
class GroupAdmin(ReadOnly):
    """A role, and what it may do."""

    list_display = ("name",)
    ordering = ("name",)


@admin.register(Tag)
class TagAdmin(ReadOnly):
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
