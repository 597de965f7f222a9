"""Gives a member demo money from the command line."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import members
from exchange.lib import money
from exchange.lib.errors import ExchangeError
from wallets import ledger


class Command(BaseCommand):
    help = "Book demo money to a member from the grants account. Never in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("currency", help="its code: btc, cny, …")
        parser.add_argument("amount", help="in plain notation: 1.5")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("There is no demo money in production.")
        try:
            member = members.by_email(options["email"])
            amount = money.Money(
                money.parse(options["amount"]), options["currency"].lower()
            )
            ledger.grant(
                member_id=member.pk,
                currency=amount.currency,
                amount=amount.amount,
                reference=f"fund:{secrets.token_hex(8)}",
                now=timezone.now(),
            )
        except ExchangeError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{member.email} was granted {amount}.")
