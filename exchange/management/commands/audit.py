"""
Checks every invariant: one JSON line per break on standard output; exit 1 if any.

The head of the audit trail's chain, printed and published elsewhere every day, is what
later proves that nothing before it was rewritten.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from exchange import invariants
from exchange.lib import audit_chain


class Command(BaseCommand):
    help = "Check every invariant that exists; print one JSON line per break."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-replay",
            action="store_true",
            help="skip what walks the journals and the audit trail from the start",
        )
        parser.add_argument(
            "--head",
            action="store_true",
            help="print the head of the audit trail's chain (SEQ:HASH) to be published",
        )
        parser.add_argument(
            "--published",
            metavar="SEQ:HASH",
            type=_published,
            help="a head printed earlier: see that the chain still holds it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            breaks = invariants.check_all(replaying=not options["no_replay"])
        except OperationalError as error:
            raise CommandError(f"The database cannot be reached: {error}") from error
        published = options["published"]
        if published and not audit_chain.is_in_chain(published):
            what = f"{published.seq}:{published.hash} is not in the chain any more"
            breaks.append(invariants.Break("I-20", "is_in_chain", what))
        for found in breaks:
            self.stdout.write(json.dumps(found.as_json()))
        if breaks:
            raise SystemExit(1)
        if options["head"]:
            self.stdout.write("{}:{}".format(*audit_chain.head()))
        self.stderr.write("All invariants hold.")


def _published(text: str) -> audit_chain.Head:
    seq, _, found = text.partition(":")
    return audit_chain.Head(int(seq), found)
