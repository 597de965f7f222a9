"""
The history: what moved, what came and what went, on pages and as files.

Movements are read by key (see wallets.statement), so that a member with a million of
them turns pages as fast as one with ten. Files are written while they are read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, cast

import django_tables2 as tables
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.views.doors import member_page, who
from exchange.lib import words
from exchange.lib.money import plain
from wallets import statement
from wallets.forms.history import DepositsFilter, MovementsForm, WithdrawalsFilter
from wallets.models.deposits import Deposit
from wallets.models.withdrawals import Withdrawal
from wallets.statement import Wanted
from wallets.views import grids

_ROWS = 50
_AT_ONCE = 1000  # rows read from the database at a time


@require_safe
@member_page
def movements(request: HttpRequest) -> HttpResponse:
    """Show what moved, and what there was after it."""
    form = MovementsForm(request.GET)
    lines: list[statement.Line] = []
    if form.is_valid():
        lines = statement.Reader(who(request), form.wanted()).read(_ROWS + 1)
    shown = lines[:_ROWS]
    asked = request.GET.copy()
    asked.pop("before", None)
    newest = asked.urlencode()
    older = None
    if len(lines) > _ROWS:
        asked["before"] = str(shown[-1].id)
        older = asked.urlencode()
    table = grids.Movements(shown)
    context = {
        "older": older,
        "newest": newest,
        "is_first": "before" not in request.GET,
    }
    return _page(request, "movements", form, table, context)


@require_safe
@member_page
def movements_file(request: HttpRequest) -> HttpResponse:
    """Write what moved into a file."""
    form = MovementsForm(request.GET)
    wanted = form.wanted() if form.is_valid() else Wanted(before=0)
    reasons = statement.dictionary()
    head = [
        *(_("When"), _("Currency"), _("What"), _("Change"), _("Available")),
        *(_("Locked"), _("Balance"), _("Reference")),
    ]
    zone = timezone.get_current_timezone()
    rows = (
        [
            *(_moment(line.at, zone), line.currency.upper(), reasons[line.reason]),
            *(line.change, line.available, line.locked, line.balance),
            line.reference,
        ]
        for line in statement.Reader(who(request), wanted).all(_AT_ONCE)
    )
    return _file("history.csv", head, rows)


@require_safe
@member_page
def deposits(request: HttpRequest) -> HttpResponse:
    """Show what came in."""
    found = _deposits(request)
    table = grids.Deposits(_fitting(found), order_by=("-seen_at",))
    return _paginated(request, "deposits", found, table)


@require_safe
@member_page
def deposits_file(request: HttpRequest) -> HttpResponse:
    """Write what came in into a file."""
    found = _deposits(request)
    states = {each.value: str(each.label) for each in Deposit.State}
    head = [_("When"), _("Currency"), _("Amount"), _("State"), _("Transaction")]
    zone = timezone.get_current_timezone()
    rows = (
        [
            *(_moment(row.seen_at, zone), row.currency_id.upper(), row.amount),
            *(states[row.state], row.txid),
        ]
        for row in _each(_fitting(found))
    )
    return _file("deposits.csv", head, rows)


@require_safe
@member_page
def withdrawals(request: HttpRequest) -> HttpResponse:
    """Show what went out."""
    found = _withdrawals(request)
    table = grids.Withdrawals(_fitting(found), order_by=("-created_at",))
    return _paginated(request, "withdrawals", found, table)


@require_safe
@member_page
def withdrawals_file(request: HttpRequest) -> HttpResponse:
    """Write what went out into a file."""
    found = _withdrawals(request)
    states = {each.value: str(each.label) for each in Withdrawal.State}
    head = [
        *(_("When"), _("Currency"), _("Amount"), _("Fee"), _("To"), _("Address")),
        *(_("State"), _("Transaction")),
    ]
    zone = timezone.get_current_timezone()
    rows = (
        [
            *(_moment(row.created_at, zone), row.currency_id.upper(), row.amount),
            *(row.fee, row.beneficiary.label, row.destination),
            *(states[row.state], row.txid),
        ]
        for row in _each(_fitting(found))
    )
    return _file("withdrawals.csv", head, rows)


def _deposits(request: HttpRequest) -> DepositsFilter:
    rows = Deposit.objects.filter(member=who(request))
    return DepositsFilter(request.GET, rows)


def _withdrawals(request: HttpRequest) -> WithdrawalsFilter:
    rows = Withdrawal.objects.filter(member=who(request))
    return WithdrawalsFilter(request.GET, rows.select_related("beneficiary"))


def _fitting(found: DepositsFilter | WithdrawalsFilter) -> QuerySet[Any]:
    """Return what fits a filter, and nothing where it is none: never more."""
    rows: QuerySet[Any] = found.qs
    return rows if found.is_valid() else rows.none()


def _paginated(
    request: HttpRequest, kind: str, found: Any, table: tables.Table
) -> HttpResponse:
    tables.RequestConfig(request, paginate=False).configure(table)
    # Not by RequestConfig: that lets who asks say how many rows a page has.
    table.paginator = Paginator(table.rows, _ROWS)
    table.page = table.paginator.get_page(request.GET.get("page"))
    return _page(request, kind, found.form, table, {})


def _page(
    request: HttpRequest,
    kind: str,
    form: Any,
    table: tables.Table,
    context: dict[str, Any],
) -> HttpResponse:
    asked = request.GET.copy()
    for name in ("before", "page"):
        asked.pop(name, None)
    names = {
        "movements": _("Everything"),
        "deposits": _("Deposits"),
        "withdrawals": _("Withdrawals"),
    }
    context |= {
        "kind": kind,
        "form": form,
        "table": table,
        "query": asked.urlencode(),
        "pages": [(f"history_{each}", name) for each, name in names.items()],
        "page_url": f"history_{kind}",
        "file_url": f"history_{kind}_file",
        "is_narrowed": any(request.GET.get(name) for name in form.fields),
    }
    status = 400 if form.errors else 200
    return render(request, "funds/history.html", context, status=status)


def _each(rows: QuerySet[Any]) -> Iterator[Any]:
    return rows.order_by("-pk").iterator(_AT_ONCE)


def _moment(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")


# --- Files ----------------------------------------------------------------------------


class _Echo:
    """What csv writes to; it hands back the line."""

    def write(self, text: str) -> str:
        return text


def _file(name: str, head: list[str], rows: Iterable[list[Any]]) -> HttpResponse:
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        # By its mark spreadsheets know that it is Unicode.
        yield "\ufeff" + str(writer.writerow([_cell(each) for each in head]))
        for row in rows:
            yield str(writer.writerow([_cell(each) for each in row]))

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    answer = StreamingHttpResponse(
        lines(), content_type="text/csv; charset=utf-8", headers=headers
    )
    # The doors pass any answer on; only its types insist on this class.
    return cast(HttpResponse, answer)


def _cell(value: Any) -> str:
    """Write a cell. Numbers are numbers; a text stays a text."""
    return plain(value) if isinstance(value, Decimal) else words.harmless(str(value))
