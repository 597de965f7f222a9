"""Adds the currencies and markets of a new exchange; keeps what is already there."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.management.base import BaseCommand

from exchange.lib.transactions import transaction
from markets.models import Floor, Market
from wallets import ledger
from wallets.ledger import House
from wallets.models.bank import BankChannel
from wallets.models.coins import ConfirmationTier, Rules
from wallets.models.currencies import Currency

AMOUNTS = [
    "tick",
    "lot",
    "amount_min",
    "notional_min",
    "collar",
    "maker_fee",
    "taker_fee",
]  # strings in the file, so that YAML never makes floats of them


class Command(BaseCommand):
    help = "Add the currencies and markets of the seed files that are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction():
            for row in _read("wallets/seeds/currencies.yml"):
                self.add_currency(row)
            for row in _read("markets/seeds/markets.yml"):
                self.add_market(row)

    def add_currency(self, row: dict[str, Any]) -> None:
        rules, channel = row.pop("rules"), row.pop("practice_channel", None)
        if not Currency.objects.filter(pk=row["code"]).exists():
            self.add_new_currency(row)
        if not Rules.objects.filter(pk=row["code"]).exists():
            _add_rules(row["code"], rules)
        if channel and settings.DEMO:
            terms = channel | {"is_practice": True}
            BankChannel.objects.get_or_create(
                currency_id=row["code"], name=terms.pop("name"), defaults=terms
            )

    def add_new_currency(self, row: dict[str, Any]) -> None:
        currency = Currency(**row)
        currency.full_clean()
        currency.save(force_insert=True)
        for purpose in House:
            ledger.house(purpose, currency.code)
        self.stdout.write(f"added currency {currency}")

    def add_market(self, row: dict[str, Any]) -> None:
        base, quote = row.pop("base"), row.pop("quote")
        if Market.objects.filter(pk=base + quote).exists():
            return
        amounts = {name: Decimal(row.pop(name)) for name in AMOUNTS}
        market = Market(id=base + quote, base_id=base, quote_id=quote, **amounts, **row)
        market.full_clean()
        market.save(force_insert=True)
        Floor.objects.create(market=market)
        self.stdout.write(f"added market {market}")


def _add_rules(code: str, row: dict[str, Any]) -> None:
    tiers = row.pop("tiers", [])
    amounts = {name: Decimal(amount) for name, amount in row.items()}
    rules = Rules(currency_id=code, **amounts)
    rules.full_clean()
    rules.save(force_insert=True)
    for start, depth in tiers:
        tier = ConfirmationTier(
            rules=rules, amount_from=Decimal(start), confirmations=depth
        )
        tier.full_clean()
        tier.save()


def _read(path: str) -> list[dict[str, Any]]:
    rows = yaml.safe_load(Path(settings.BASE_DIR, path).read_text())
    return list(rows)
