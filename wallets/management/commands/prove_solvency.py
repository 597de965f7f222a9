"""Publishes a proof of solvency from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from exchange.lib.errors import ExchangeError
from exchange.lib.money import plain
from wallets.solvency import lookup, publish


class Command(BaseCommand):
    help = "Prove what we owe and hold at this moment, and publish it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-due",
            action="store_true",
            help="do nothing where there is a proof of today, for a nightly timer",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with 1 where we hold less than we owe."""
        now = timezone.now()
        if options["if_due"] and not publish.is_due(now=now):
            self.stdout.write("There is a proof of today.")
            return
        try:
            proof = publish.prove(now=now)
        except ExchangeError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{proof}: {proof.hash}")
        uncovered = []
        for root in lookup.roots(proof):
            held = plain(root.assets.total) if root.assets else "nobody said what"
            owed = plain(root.liabilities)
            self.stdout.write(f"{root.currency_id}: {owed} owed, {held} held")
            uncovered += [root.currency_id] * (root.is_covered is False)
        if uncovered:
            raise CommandError(f"We hold less than we owe: {', '.join(uncovered)}.")
