"""The funds pages: what one has, and where coins are awaited."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import identity
from accounts.models.members import Member
from accounts.views.doors import member_page, who
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError
from wallets import addresses, deposits, queries, scanner, valuation
from wallets.chains import NoChain, chain_of
from wallets.chains.base import ChainError, Payment
from wallets.chains.practice import Practice
from wallets.models.coins import Rules
from wallets.models.currencies import Currency
from wallets.models.deposits import Scan
from wallets.views import bank

_ROWS = 50
_PRACTICE_PAYMENT = Decimal(1)


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    """
    Show every balance, and what it is worth: in the currency that is chosen, else in
    that of the limits.
    """
    member = who(request)
    unit = identity.limits_of(member).currency
    digits = {each.code: each.digits for each in queries.visible_currencies()}
    if (chosen := request.GET.get("in", "")) in digits:
        unit = chosen
    held = {row.currency: row for row in queries.balances(member)}
    rows: list[dict[str, Any]] = []
    for currency in queries.visible_currencies():
        row = held[currency.code]
        total = row.available + row.locked
        worth = valuation.value_of(total, currency.code, unit) if total else None
        rows.append({"currency": currency, "held": row, "total": total, "worth": worth})
    whole = sum((line["worth"] or Decimal(0) for line in rows), Decimal(0))
    for line in rows:
        worth = line["worth"]
        line["share"] = int(100 * worth / whole) if worth else 0
    context = {
        "rows": rows,
        "unit": unit.upper(),
        "places": f"{digits.get(unit, 2)}g",
        "units": [(code, code == unit) for code in digits],
        "whole": whole,
        "is_partial": any(each["total"] and each["worth"] is None for each in rows),
    }
    return render(request, "funds/overview.html", context)


@require_safe
@member_page
def deposit_first(_request: HttpRequest) -> HttpResponse:
    """Lead to the page of the first coin."""
    coins = Currency.objects.filter(kind=Currency.Kind.COIN, is_visible=True)
    first = coins.order_by("sort_order", "code").first()
    if first is None:
        raise Http404
    return redirect("deposit", first.code)


@require_safe
@member_page
def deposit(request: HttpRequest, code: str) -> HttpResponse:
    """Show where to send a coin, or to pay money to, and what has come."""
    currency = get_object_or_404(Currency, pk=code, is_visible=True)
    if currency.kind == Currency.Kind.FIAT:
        return bank.deposit(request, currency)
    member = who(request)
    rules = Rules.objects.filter(pk=code).order_by("pk").first()
    context: dict[str, Any] = {
        "currency": currency,
        "currencies": queries.visible_currencies(),
        "rules": rules,
        "tiers": rules.tiers.order_by("amount_from") if rules else (),
        "problem": Scan.objects.filter(pk=code).exclude(problem="").exists(),
        "deposits": deposits.of(member, code)[:_ROWS],
    }
    links = {}
    try:
        chain = chain_of(code)
        context["is_practice"] = chain.is_practice
        if rules is not None and not chain.is_practice:
            links = {row.txid: rules.link_to(row.txid) for row in context["deposits"]}
        if rules is None or rules.takes_deposits:
            context |= _address(member, code)
    except NoChain as error:
        context["refusal"] = error.message
    except ChainError:
        context["problem"] = True
    context["deposits"] = [(row, links.get(row.txid)) for row in context["deposits"]]
    return render(request, "funds/deposit.html", context)


@require_POST
@member_page
@refusals.as_page
def new_address(request: HttpRequest, code: str) -> HttpResponse:
    """Make another address, once the newest has been used."""
    _coin(code)
    now = timezone.now()
    try:
        addresses.new_address(member=who(request), currency=code, now=now)
    except ExchangeError as error:
        messages.error(request, error.message)
    except ChainError:
        messages.error(request, _("The chain does not answer. Please try again."))
    return redirect("deposit", code)


@require_POST
@member_page
@refusals.as_page
def practise(request: HttpRequest, code: str) -> HttpResponse:
    """On the practice chain: send oneself coins, or mine a block."""
    _coin(code)
    chain = chain_of(code)
    if not isinstance(chain, Practice):
        raise Http404
    now = timezone.now()
    if request.POST.get("deed") == "pay":
        mine = addresses.address_for(member=who(request), currency=code, now=now)
        chain.pay(Payment(mine.address, _PRACTICE_PAYMENT))
        messages.success(request, _("Coins are on their way. Mine a block."))
    else:
        chain.mine()
        messages.success(request, _("A block was mined."))
    scanner.scan(code, now=now)
    return redirect("deposit", code)


def _coin(code: str) -> Currency:
    return get_object_or_404(
        Currency, pk=code, kind=Currency.Kind.COIN, is_visible=True
    )


def _address(member: Member, code: str) -> dict[str, Any]:
    now = timezone.now()
    newest = addresses.address_for(member=member, currency=code, now=now)
    every = addresses.addresses_of(member, code)
    return {
        "address": newest,
        "groups": addresses.groups_of_four(newest.address),
        "uri": addresses.uri(newest),
        "picture": addresses.picture(newest),
        "older": [row for row in every if row.pk != newest.pk],
    }
