"""
What the admin of every app has in common: rows that are looked at, and actions that
need a reason. The audit trail is shown here, because its table lives here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from exchange.lib import audit
from exchange.lib.errors import ExchangeError
from exchange.lib.models import AuditCheckpoint, AuditLink, AuditRecord, Mail


def may(permission: str) -> Callable[[Any, HttpRequest], bool]:
    """
    Return a method for an admin, that says who may do a deed: an action with
    `permissions=["halt"]` asks `has_halt_permission = may("markets.halt_market")`.
    """

    def has_permission(_desk: Any, request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return has_permission


# What the filters and the calendar of Django ask with.
_HARMLESS = ("__exact", "__isnull", "__in", "__year", "__month", "__day")


# The type argument exists for the checker only.
class _Desk(admin.ModelAdmin):  # type: ignore[type-arg]
    """What both kinds of rows have in common."""

    def lookup_allowed(
        self, lookup: str, value: str, request: HttpRequest | None = None
    ) -> bool:
        """
        Allow to filter by what the page offers, and by nothing else: by the beginnings
        of a column, anybody who sees the list could read all of it, letter by letter.
        """
        filters = self.get_list_filter(cast(HttpRequest, request))
        offered = {"pk", "id"}
        offered |= {str(getattr(each, "parameter_name", each)) for each in filters}
        is_harmless = lookup.endswith(_HARMLESS)
        return lookup in offered or (
            is_harmless and any(lookup.startswith(f"{name}__") for name in offered)
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """
        Refuse, on the record, an action that the operator has no right to. Django would
        leave it out of the choices, and say that none was chosen.
        """
        wanted = request.POST.get("action", "")
        if wanted in (self.actions or ()) and wanted not in self.get_actions(request):
            audit.record(
                f"operator:{request.user.pk}",
                "refused",
                self.model._meta.label_lower,
                deed=wanted,
            )
            raise PermissionDenied
        return super().changelist_view(request, extra_context)


class ReadOnly(_Desk):
    """Rows that only the exchange itself writes: nobody adds, changes or deletes."""

    list_per_page = 50
    # Counting a table of millions of rows takes longer than showing a page of it.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class Kept(_Desk):
    """Rows that may be edited within bounds, on the record, and are never deleted."""

    def save_model(
        self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool
    ) -> None:
        names = form.changed_data
        if change:
            # Only what was edited: the rest may have changed since the page was shown.
            own = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=[name for name in names if name in own])
        else:
            super().save_model(request, obj, form, change)
        audit.record(
            f"operator:{request.user.pk}",
            "edited" if change else "added",
            f"{obj._meta.model_name}:{obj.pk}",
            before={name: str(form.initial.get(name)) for name in names},
            after={name: str(form.cleaned_data[name]) for name in names},
        )

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


class WithReason(ActionForm):
    """Stands beside the choice of an action: people will read it for years."""

    reason = forms.CharField(max_length=200, required=False)


def run_on_each(
    request: HttpRequest, rows: QuerySet[Any], deed: Callable[[Any, str, str], object]
) -> None:
    """
    Do the deed to each selected row and say how it went.

    The deed gets the row, the actor ("operator:3") and the reason typed in; a reason is
    demanded, and a refusal of one row does not keep the others from theirs.
    """
    reason = request.POST.get("reason", "").strip()
    if not reason:
        messages.error(request, _("Nothing done: please type a reason."))
        return
    do_to_each(request, rows, lambda row, by: deed(row, by, reason))


def do_to_each(
    request: HttpRequest, rows: QuerySet[Any], deed: Callable[[Any, str], object]
) -> None:
    """Do the same where no reason is asked for."""
    by = f"operator:{request.user.pk}"
    for row in rows:
        try:
            deed(row, by)
        except ExchangeError as error:
            messages.error(request, f"{row}: {error.message}")
        else:
            messages.success(request, _("%(row)s: done.") % {"row": row})


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnly):
    list_display = ("at", "actor", "action", "subject", "is_alarm", "facts", "address")
    list_filter = ("is_alarm", "action")
    search_fields = ("subject", "actor", "action", "=request_id")
    ordering = ("-pk",)


@admin.register(AuditLink)
class AuditLinkAdmin(ReadOnly):
    list_display = ("seq", "record", "hash", "at")
    list_select_related = ("record",)
    ordering = ("-pk",)


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnly):
    list_display = ("seq", "hash", "at")
    ordering = ("-pk",)


@admin.register(Mail)
class MailAdmin(ReadOnly):
    """What left, and what did not. Not what it says: there are links in it."""

    list_display = ("created_at", "to", "subject", "sent_at", "tries", "try_at")
    list_filter = ("sent_at",)
    search_fields = ("=to",)
    ordering = ("-pk",)
    exclude = ("sealed",)
