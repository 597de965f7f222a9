"""
Markets, orders and trades, as operators see them.

A market's terms are edited within the bounds of its `clean`; whether it trades is a
command on the path of the orders, so it is an action here and not a field. The journal
and the candles have keys of several columns, which Django's admin cannot list: their
latest rows stand on the page of their market.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from exchange.lib.admin import Kept, ReadOnly, may, reasoned
from markets import control
from markets.models import (
    Candle,
    Command,
    Floor,
    Market,
    OpenOrders,
    Order,
    Quarantined,
    StateRequest,
    Trade,
)

_LATEST = 30


@admin.register(Market)
class MarketAdmin(Kept):
    list_display = ("id", "state", "tick", "lot", "maker_fee", "taker_fee")
    list_filter = ("state", "is_visible", "quote")
    search_fields = ("id",)
    ordering = ("sort_order", "id")
    readonly_fields = ("state", "halt_reason", "journal", "candles", "open_orders")
    actions = ("halt", "open")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Market | None = None
    ) -> list[str]:
        """What a market is called and trades is what its orders were placed in."""
        fixed = [] if obj is None else ["id", "base", "quote"]
        return [*fixed, *self.readonly_fields]

    def save_model(
        self,
        request: HttpRequest,
        obj: Market,
        form: forms.ModelForm[Market],
        change: bool,
    ) -> None:
        super().save_model(request, obj, form, change)
        Floor.objects.get_or_create(market=obj)

    has_halt_permission = may("markets.halt_market")
    has_open_permission = may("markets.open_market")

    def actions_on(self, row: Market) -> tuple[str, ...]:
        return ("halt",) if row.state == Market.State.OPEN else ("open",)

    @reasoned(
        description=_("Halt: cancels only, from here on"),
        permissions=["halt"],
        warning=_("Nobody can place orders there until it is opened again."),
    )
    def halt(self, _request: HttpRequest, row: Market, *, by: str, reason: str) -> None:
        control.halt(market_id=row.pk, by=by, reason=reason, now=timezone.now())

    @reasoned(
        description=_("Open: take orders again"),
        permissions=["open"],
        warning=_("Orders are matched again as soon as it is open."),
    )
    def open(self, _request: HttpRequest, row: Market, *, by: str, reason: str) -> None:
        control.open_market(market_id=row.pk, by=by, reason=reason, now=timezone.now())

    @admin.display(description=_("Latest commands"))
    def journal(self, row: Market) -> SafeString:
        commands = Command.objects.filter(market=row).order_by("-seq")
        names = "seq at kind subject member_id side limit_ticks lots budget epoch"
        return _table(commands[:_LATEST], names.split())

    @admin.display(description=_("Latest minutes"))
    def candles(self, row: Market) -> SafeString:
        candles = Candle.objects.filter(market=row).order_by("-minute")
        names = "minute open high low close volume funds trades_count"
        return _table(candles[:_LATEST], names.split())

    @admin.display(description=_("Most open orders"))
    def open_orders(self, row: Market) -> SafeString:
        counts = OpenOrders.objects.filter(market=row, count__gt=0).order_by("-count")
        return _table(counts[:_LATEST], ["member_id", "count"])


@admin.register(Order)
class OrderAdmin(ReadOnly):
    list_display = (
        "id",
        "created_at",
        "market",
        "member",
        "side",
        "kind",
        "price",
        "amount",
        "funds",
        "filled",
        "state",
        "closed_why",
    )
    list_filter = ("market", "state", "side", "kind", "source", "closed_why")
    list_select_related = ("member",)
    search_fields = ("=id", "=client_id", "=member__email")
    ordering = ("-pk",)


@admin.register(Trade)
class TradeAdmin(ReadOnly):
    list_display = (
        "id",
        "created_at",
        "market",
        "seq",
        "n",
        "price",
        "amount",
        "funds",
        "taker_side",
        "maker_order_id",
        "taker_order_id",
        "maker_fee",
        "taker_fee",
    )
    list_filter = ("market", "taker_side")
    search_fields = (
        "=id",
        "=maker_order_id",
        "=taker_order_id",
        "=maker_id",
        "=taker_id",
    )
    ordering = ("-pk",)


@admin.register(Floor)
class FloorAdmin(ReadOnly):
    list_display = ("market", "epoch", "settled_seq", "settled_at")
    ordering = ("market",)


@admin.register(StateRequest)
class StateRequestAdmin(ReadOnly):
    list_display = ("id", "created_at", "market", "state", "by", "reason", "done_seq")
    list_filter = ("market", "state")
    ordering = ("-pk",)


@admin.register(Quarantined)
class QuarantinedAdmin(ReadOnly):
    list_display = ("id", "at", "market_id", "why", "resolved_at")
    list_filter = ("market_id",)
    search_fields = ("why", "payload")
    ordering = ("-pk",)
    actions = ("resolve",)

    has_resolve_permission = may("markets.resolve_quarantined")

    @admin.action(
        description=_("Resolved: somebody has dealt with it"), permissions=["resolve"]
    )
    def resolve(self, request: HttpRequest, rows: QuerySet[Quarantined]) -> None:
        rows.filter(resolved_at=None).update(resolved_at=timezone.now())


def _table(rows: Iterable[Model], names: list[str]) -> SafeString:
    heads = format_html_join("", "<th>{}</th>", ((name,) for name in names))
    lines = format_html_join("", "<tr>{}</tr>", ((_cells(row, names),) for row in rows))
    return format_html("<table><tr>{}</tr>{}</table>", heads, lines)


def _cells(row: Model, names: list[str]) -> SafeString:
    values: list[Any] = [getattr(row, name) for name in names]
    texts = (("" if value is None else value,) for value in values)
    return format_html_join("", "<td>{}</td>", texts)
