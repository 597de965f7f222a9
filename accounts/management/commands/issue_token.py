"""Issues a pair of API keys from the command line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import members, tokens
from exchange.lib.errors import ExchangeError


class Command(BaseCommand):
    help = (
        "Issue API keys to a member; prints one line of JSON with access_key and"
        " secret_key. The secret cannot be read again later."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--label", default="", help="what it is for")
        parser.add_argument(
            "--scopes", nargs="+", default=["all"], choices=sorted(tokens.SCOPES)
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            issued = tokens.issue(
                member=members.by_email(options["email"]),
                label=options["label"],
                scopes=options["scopes"],
                now=timezone.now(),
            )
        except ExchangeError as error:
            raise CommandError(error.message) from error
        keys = {"access_key": issued.access_key, "secret_key": issued.secret_key}
        self.stdout.write(json.dumps(keys))
