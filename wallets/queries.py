"""Reads of the books, for pages, endpoints and checks."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from accounts.models.members import Member
from exchange.lib.money import ZERO, plain
from wallets.models.currencies import Currency
from wallets.models.ledger import Balance


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


def balance(member_id: int, currency: str) -> BalanceView:
    """Return a member's balance of one currency; zero where none was ever touched."""
    row = Balance.objects.filter(
        account__member_id=member_id, account__currency_id=currency
    ).values_list("available", "locked")
    available, locked = next(iter(row), (ZERO, ZERO))
    return BalanceView(currency, available, locked)
