"""Reads of the books, for pages, endpoints and checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from django.db.models import Q, Sum

from accounts.models.members import Member
from exchange.lib.money import EXACT, ZERO, plain
from wallets.models.currencies import Currency
from wallets.models.ledger import Account, Balance, Entry, House, Pocket

_AT_ONCE = 500  # rows read from the database at a time


@dataclass(frozen=True, slots=True)
class BalanceView:
    """What a member has of one currency."""

    currency: str
    available: Decimal
    locked: Decimal

    def as_json(self) -> dict[str, str]:
        return {
            "currency": self.currency,
            "available": plain(self.available),
            "locked": plain(self.locked),
        }


def visible_currencies() -> list[Currency]:
    """Return the currencies shown to members, in the operator's order."""
    shown = Currency.objects.filter(is_visible=True)
    return list(shown.order_by("sort_order", "code"))


def currency_codes() -> list[str]:
    """Return the codes of the currencies shown to members, in the operator's order."""
    return [currency.code for currency in visible_currencies()]


def coin_codes() -> list[str]:
    """Return the codes of all coins, shown or not."""
    coins = Currency.objects.filter(kind=Currency.Kind.COIN)
    return list(coins.order_by("code").values_list("code", flat=True))


def has_been_credited(member: Member) -> bool:
    """Say whether a member ever owned something here."""
    return Balance.objects.filter(account__member=member).exists()


def balances(member: Member) -> list[BalanceView]:
    """Return a member's balance of every visible currency, zeros included."""
    held = {
        row.account.currency_id: row
        for row in Balance.objects.filter(account__member=member).select_related(
            "account"
        )
    }
    return [
        BalanceView(code, row.available, row.locked)
        if (row := held.get(code))
        else BalanceView(code, ZERO, ZERO)
        for code in currency_codes()
    ]


def holdings(member: Member) -> list[BalanceView]:
    """Return every balance a member ever had, of hidden currencies, too."""
    rows = Balance.objects.filter(account__member=member).select_related("account")
    return [
        BalanceView(row.account.currency_id, row.available, row.locked)
        for row in rows.order_by("account__currency_id")
    ]


def entries_of(member: Member) -> Iterator[dict[str, Any]]:
    """
    Yield what moved in and out of a member's pockets, by currency and in order. What
    came from or went to others is from or to "elsewhere".
    """
    for account in Account.objects.filter(member=member).order_by("currency_id"):
        mine = Q(source=account) | Q(target=account)
        rows = Entry.objects.filter(mine).order_by("pk")
        for entry in rows.iterator(_AT_ONCE):
            yield {
                "id": entry.pk,
                "at": entry.at,
                "currency": account.currency_id,
                "amount": plain(entry.amount),
                "from": _pocket(entry, "source", account),
                "to": _pocket(entry, "target", account),
                "reason": entry.reason,
                "reference": entry.reference,
            }


def _pocket(entry: Entry, end: str, account: Account) -> str:
    if getattr(entry, f"{end}_id") != account.pk:
        return "elsewhere"
    return str(Pocket(getattr(entry, f"{end}_pocket")).label)


def house_balance(purpose: House, currency: str) -> Decimal:
    """Return what one of the house's accounts holds: what came in minus what went."""
    moved = []
    for end, sign in (("target", 1), ("source", -1)):
        entries = Entry.objects.filter(
            **{f"{end}__house": purpose, f"{end}__currency": currency}
        )
        moved.append(sign * (entries.aggregate(sum=Sum("amount"))["sum"] or ZERO))
    with localcontext(EXACT):
        return sum(moved, ZERO)


def balance(member_id: int, currency: str) -> BalanceView:
    """Return a member's balance of one currency; zero where none was ever touched."""
    row = Balance.objects.filter(
        account__member_id=member_id, account__currency_id=currency
    ).values_list("available", "locked")
    available, locked = next(iter(row), (ZERO, ZERO))
    return BalanceView(currency, available, locked)
