"""Issues a pair of API keys from the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import keys, members, scopes
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
            "--scopes", nargs="+", default=["all"], choices=sorted(scopes.KNOWN)
        )
        parser.add_argument(
            "--trusted-ips",
            nargs="+",
            default=[],
            metavar="NETWORK",
            help="addresses or networks it may be used from (any)",
        )
        parser.add_argument(
            "--days",
            type=int,
            help="how long it lives (90; with --trusted-ips without end)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now, days = timezone.now(), options["days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days is 1 to 36500.")
        terms = keys.Terms(
            label=options["label"][: keys.LABEL_LENGTH_MAX],
            scopes=options["scopes"],
            trusted_ips=options["trusted_ips"],
            expires_at=None if days is None else now + timedelta(days=days),
        )
        try:
            issued = keys.create(
                member=members.by_email(options["email"]),
                terms=terms,
                now=now,
                by="operator",
            )
        except ExchangeError as error:
            raise CommandError(error.message) from error
        pair = {"access_key": issued.access_key, "secret_key": issued.secret_key}
        self.stdout.write(json.dumps(pair))
