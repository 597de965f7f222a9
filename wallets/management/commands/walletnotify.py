"""Looks through a chain at once: a node calls it when its wallet hears of coins."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from wallets import queries, scanner


class Command(BaseCommand):
    help = (
        "Scan a coin's chain now instead of at the next turn. The transaction is not"
        " believed, only taken as an occasion; so whoever may call this moves nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", help="of the coin: btc, ltc, …")
        parser.add_argument("txid", help="bitcoind's %%s")

    def handle(self, *args: Any, **options: Any) -> None:
        code = options["code"].lower()
        if code not in queries.coin_codes():
            raise CommandError(f"There is no coin {code}.")
        told = scanner.scan(code, now=timezone.now())
        self.stdout.write(f"{code}: {told} outputs told")
