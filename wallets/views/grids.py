"""The grids of the history: which columns, and how each cell is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_tables2 as tables
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from exchange.lib.templatetags import figures

_NUMBER = {"th": {"class": "number"}, "td": {"class": "number"}}


class Moment(tables.Column):
    """A time, in the time zone of who reads."""

    def render(self, value: Any) -> SafeString:
        return format_html(
            '<time datetime="{}">{}</time>',
            value.isoformat(),
            figures.moment(timezone.localtime(value)),
        )


class Amount(tables.Column):
    """An amount, in groups of three digits, at the end of its column."""

    def __init__(self, **terms: Any) -> None:
        super().__init__(attrs=_NUMBER, **terms)

    def render(self, value: Decimal) -> str:
        return figures.amount(value)


class Code(tables.Column):
    """What is copied, and not read."""

    def render(self, value: str) -> SafeString:
        return format_html("<code>{}</code>", value)


class Currency(tables.Column):
    """A currency's code as people write it."""

    def render(self, value: str) -> str:
        return value.upper()


class _Grid(tables.Table):
    class Meta:
        template_name = "funds/_grid.html"
        orderable = False


class Movements(_Grid):
    at = Moment(verbose_name=_("When"))
    words = tables.Column(verbose_name=_("What"))
    currency = Currency(verbose_name=_("Currency"))
    change = Amount(verbose_name=_("Change"))
    available = Amount(verbose_name=_("Available"))
    locked = Amount(verbose_name=_("Locked"))
    balance = Amount(verbose_name=_("Balance"))

    class Meta(_Grid.Meta):
        pass

    def render_change(self, value: Decimal) -> str:
        return f"+{figures.amount(value)}" if value > 0 else figures.amount(value)


class Deposits(_Grid):
    seen_at = Moment(verbose_name=_("When"), orderable=True, order_by=("seen_at", "pk"))
    currency_id = Currency(
        verbose_name=_("Currency"), orderable=True, order_by=("currency_id", "pk")
    )
    amount = Amount(verbose_name=_("Amount"), orderable=True, order_by=("amount", "pk"))
    state = tables.Column(
        verbose_name=_("State"), orderable=True, order_by=("state", "pk")
    )
    txid = Code(verbose_name=_("Transaction"))

    class Meta(_Grid.Meta):
        pass


class Withdrawals(_Grid):
    created_at = Moment(
        verbose_name=_("When"), orderable=True, order_by=("created_at", "pk")
    )
    currency_id = Currency(
        verbose_name=_("Currency"), orderable=True, order_by=("currency_id", "pk")
    )
    amount = Amount(verbose_name=_("Amount"), orderable=True, order_by=("amount", "pk"))
    fee = Amount(verbose_name=_("Fee"))
    beneficiary = tables.Column(verbose_name=_("To"), accessor="beneficiary__label")
    state = tables.Column(
        verbose_name=_("State"), orderable=True, order_by=("state", "pk")
    )
    txid = Code(verbose_name=_("Transaction"))

    class Meta(_Grid.Meta):
        pass
