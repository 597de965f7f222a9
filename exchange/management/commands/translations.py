"""
Brings the catalogs of translations up to what the sources say, or checks that they are.

Compiling them is Babel's own command, in the Makefile.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exchange import translations


class Command(BaseCommand):
    help = "Update exchange/locale from the sources; what is new waits for its words."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit 1 when a catalog is not complete",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = []
        for language in translations.languages():
            if not options["check"]:
                translations.update(language)
            found += [f"{language}: {each}" for each in translations.problems(language)]
        for each in found:
            self.stdout.write(each)
        if options["check"] and found:
            raise SystemExit(1)
