"""How pages and mails write times and amounts: each in one form, in every language."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django import template
from django.utils.dateformat import format as written

register = template.Library()


@register.filter(expects_localtime=True)
def day(at: date | None) -> str:
    """Write a day, in the time zone of who reads: 2026-11-24."""
    return written(at, "Y-m-d") if at else ""


@register.filter(expects_localtime=True)
def moment(at: datetime | None) -> str:
    """Write a time, where it is plain whose time zone it is in: 2026-11-24 20:15."""
    return written(at, "Y-m-d H:i") if at else ""


@register.filter(expects_localtime=True)
def zoned(at: datetime | None) -> str:
    """Write a time that stands alone: 2026-11-24 20:15 Asia/Shanghai."""
    return written(at, "Y-m-d H:i e") if at else ""


@register.filter
def amount(number: Decimal) -> str:
    """Write an amount in groups of three digits, and no more digits than it has."""
    # Not normalize(): it rounds to 28 digits, fewer than an amount may have.
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
