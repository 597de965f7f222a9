"""
What the admin of every app has in common: rows that are looked at, and actions that
need a reason. The audit trail is shown here, because its table lives here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import (
    BadRequest,
    FieldDoesNotExist,
    PermissionDenied,
    ValidationError,
)
from django.db.models import DecimalField, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from exchange.lib import audit
from exchange.lib.errors import ExchangeError
from exchange.lib.models import AuditCheckpoint, AuditLink, AuditRecord, Mail
from exchange.lib.money import plain

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


def may(permission: str) -> Callable[[Any, HttpRequest], bool]:
    """
    Return a method for an admin, that says who may do a deed: an action with
    `permissions=["halt"]` asks `has_halt_permission = may("markets.halt_market")`.
    """

    def has_permission(_desk: Any, request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return has_permission


class Queue(NamedTuple):
    """Rows that wait for an operator, and how the list of a desk is asked for them."""

    name: StrPromise
    rows: Q
    asked: str = ""


# What the filters and the calendar of Django ask with.
_HARMLESS = ("__exact", "__isnull", "__in", "__year", "__month", "__day")


# The type argument exists for the checker only.
class _Desk(admin.ModelAdmin):  # type: ignore[type-arg]
    """What both kinds of rows have in common."""

    # The rows that are somebody's work, where there are any: see the desk's index.
    queue: Queue | None = None
    # What the list is asked with to hold every row.
    whole_list = ""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_legible(self.model, each) for each in self.list_display]

    def actions_on(self, row: Any) -> tuple[str, ...]:
        """Return which actions make sense for a row as it is now."""
        return tuple(str(each) for each in self.actions or ())

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> HttpResponse:
        """Let what can be done to a row be begun on its page, too."""
        row = context.get("original")
        sensible = () if row is None else self.actions_on(row)
        context["deeds"] = [
            (name, description)
            for _deed, name, description in _actions(self, request)
            if name in sensible
        ]
        context["whole_list"] = self.whole_list
        context["has_history"] = request.user.has_perm("lib.view_auditrecord")
        return super().render_change_form(request, context, *args, **options)

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what the audit trail says of a row; Django's own log knows little."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        asked = urlencode({"subject__in": ",".join(audit.labels(row))})
        return redirect(f"{reverse('admin:lib_auditrecord_changelist')}?{asked}")

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
        self._demand_readable(request)
        return super().changelist_view(request, extra_context)

    def _demand_readable(self, request: HttpRequest) -> None:
        """
        Raise BadRequest for what no page of ours sends and the database would choke on:
        a NUL in what is filtered by, a key of rows that cannot be one.
        """
        asked = [each for _name, values in request.GET.lists() for each in values]
        if any("\0" in each for each in asked):
            raise BadRequest
        self.demand_keys(request.POST.getlist(ACTION_CHECKBOX_NAME))

    def demand_keys(self, keys: Iterable[str]) -> None:
        """Raise BadRequest where one of them can be the key of no row."""
        try:
            for key in keys:
                if "\0" in key:
                    raise BadRequest
                self.model._meta.pk.to_python(key)
        except ValidationError as error:
            raise BadRequest from error


def _actions(desk: _Desk, request: HttpRequest) -> list[tuple[Any, str, Any]]:
    """Return the actions (deed, name, description) that an operator may use."""
    return [each for each in desk.get_actions(request).values() if each is not None]


def _legible(model: type[Model], name: Any) -> Any:
    """
    Return what shows this column of a table: Django writes amounts with all the digits
    the column could have, 100.000000000000000000, and one of them is soon misread.
    """
    try:
        column = model._meta.get_field(name) if isinstance(name, str) else None
    except FieldDoesNotExist:
        return name
    if not isinstance(column, DecimalField):
        return name

    @admin.display(description=column.verbose_name, ordering=name)
    def figure(row: Model) -> str | None:
        amount = getattr(row, name)
        return None if amount is None else plain(amount)

    figure.__name__ = name
    return figure


class ReadOnly(_Desk):
    """Rows that only the exchange itself writes: nobody adds, changes or deletes."""

    list_per_page = 50
    # Counting a table of millions of rows takes longer than showing a page of it.
    show_full_result_count = False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show a row legibly; where one is added, its form is what there is."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        names = self.get_fields(request, obj)
        return [(None, {"fields": [_legible(self.model, each) for each in names]})]

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


class Reason(forms.Form):
    """What the page of an action asks: people will read it for years."""

    reason = forms.CharField(
        max_length=200,
        label=_("Reason"),
        help_text=_("It is written down for good, with your name."),
    )


def reasoned(
    *,
    description: StrPromise,
    permissions: list[str],
    warning: StrPromise | str = "",
    shape: type[forms.Form] = Reason,
) -> Callable[[Callable[..., object]], Any]:
    """
    Make an action of a deed that needs a reason: first a page says what will happen,
    `warning` included, and to whom, and asks what `shape` asks.

    The deed gets the request, the row, the actor (`by="operator:3"`), and by name what
    was filled in. A refusal of one row does not keep the others from theirs.
    """

    def decorate(deed: Callable[..., object]) -> Any:
        @admin.action(description=description, permissions=permissions)
        @functools.wraps(deed)
        def action(
            desk: admin.ModelAdmin[Any], request: HttpRequest, rows: QuerySet[Any]
        ) -> HttpResponse | None:
            form = shape(request.POST if "reason" in request.POST else None)
            if not form.is_valid():
                to = request.get_full_path()
                return page(desk, request, rows, form=form, to=to)
            said = form.cleaned_data
            do_to_each(
                request, rows, lambda row, by: deed(desk, request, row, by=by, **said)
            )
            return None

        def page(
            desk: admin.ModelAdmin[Any],
            request: HttpRequest,
            rows: QuerySet[Any],
            *,
            form: forms.Form,
            to: str,
        ) -> HttpResponse:
            context = {
                **desk.admin_site.each_context(request),
                "title": description,
                "opts": desk.opts,
                "action": deed.__name__,
                "warning": warning,
                "rows": list(rows),
                "form": form,
                "to": to,
            }
            return TemplateResponse(request, "admin/deed.html", context)

        cast(Any, action).page, cast(Any, action).shape = page, shape
        return action

    return decorate


def do_to_each(
    request: HttpRequest, rows: QuerySet[Any], deed: Callable[[Any, str], object]
) -> None:
    """
    Do the deed to each selected row and say how it went; it gets the row and the actor.
    """
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
    list_display = ("at", "actor", "action", "subject", "alarm", "in_short", "address")
    list_filter = ("is_alarm", "action")
    search_fields = ("subject", "actor", "action", "=request_id")
    ordering = ("-pk",)
    fields = readonly_fields = (
        *("at", "actor", "action", "subject", "alarm"),
        *("whole", "address", "request_id"),
    )

    def lookup_allowed(
        self, lookup: str, value: str, request: HttpRequest | None = None
    ) -> bool:
        """Let the history of one row be asked for: who is here may read all of it."""
        is_history = lookup == "subject__in"
        return is_history or super().lookup_allowed(lookup, value, request)

    @admin.display(description=_("alarm"), ordering="is_alarm")
    def alarm(self, row: AuditRecord) -> SafeString | str:
        return (
            format_html('<b class="alarm">{}</b>', _("Alarm")) if row.is_alarm else ""
        )

    @admin.display(description=_("facts"))
    def in_short(self, row: AuditRecord) -> str:
        return Truncator(", ".join(f"{k}: {v}" for k, v in row.facts.items())).chars(99)

    @admin.display(description=_("facts"))
    def whole(self, row: AuditRecord) -> SafeString:
        text = json.dumps(row.facts, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)


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
