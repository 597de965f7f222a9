"""Checks every invariant: one JSON line per break on standard output; exit 1 if any."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from exchange import invariants


class Command(BaseCommand):
    help = "Check every invariant that exists; print one JSON line per break."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-replay",
            action="store_true",
            help="skip the replay of the journals, which walks them from the start",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            breaks = invariants.check_all(replaying=not options["no_replay"])
        except OperationalError as error:
            raise CommandError(f"The database cannot be reached: {error}") from error
        for found in breaks:
            self.stdout.write(json.dumps(found.as_json()))
        if breaks:
            raise SystemExit(1)
        self.stderr.write("All invariants hold.")
