"""Lets somebody join from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import members, roles
from accounts.roles import Role
from exchange.lib.errors import ExchangeError


class Command(BaseCommand):
    help = "Create a member who can sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", required=True)
        parser.add_argument(
            "--operator", action="store_true", help="a superuser, for emergencies"
        )
        parser.add_argument(
            "--role",
            choices=Role.values,
            action="append",
            default=[],
            help="an operator with this role; may be given several times",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            member = members.create(
                email=options["email"],
                password=options["password"],
                is_operator=options["operator"],
                now=timezone.now(),
            )
            for role in options["role"]:
                roles.grant(
                    member=member, role=Role(role), by="system", reason="create_member"
                )
        except ExchangeError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{member} joined.")
