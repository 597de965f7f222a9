"""The page of deposits by bank: where to pay to, with which words, and what came."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.models.members import Member
from accounts.views.doors import who
from wallets import queries
from wallets.bank import lines
from wallets.models.coins import Rules
from wallets.models.currencies import Currency

_ROWS = 50


def deposit(request: HttpRequest, currency: Currency) -> HttpResponse:
    """Show a member how to pay money in."""
    member = who(request)
    rules = Rules.objects.filter(pk=currency.pk).order_by("pk").first()
    is_open = rules is None or rules.takes_deposits
    is_active = member.state == Member.State.ACTIVE
    ways = []
    if is_open and is_active:
        now = timezone.now()
        for channel in lines.channels_of(currency.code):
            code = lines.reference_for(member=member, channel=channel, now=now)
            ways.append((channel, code))
    context = {
        "currency": currency,
        "currencies": queries.visible_currencies(),
        "ways": ways,
        "is_active": is_active,
        "rows": lines.of(member, currency.code)[:_ROWS],
    }
    return render(request, "funds/bank_deposit.html", context)
