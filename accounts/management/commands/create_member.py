"""Lets somebody join from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import members
from exchange.lib.errors import ExchangeError


class Command(BaseCommand):
    help = "Create a member who can sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", required=True)
        parser.add_argument(
            "--operator", action="store_true", help="one who may enter the admin"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            member = members.create(
                email=options["email"],
                password=options["password"],
                is_operator=options["operator"],
                now=timezone.now(),
            )
        except ExchangeError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{member} joined.")
