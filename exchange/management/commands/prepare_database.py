"""
Makes a database ready for the exchange: roles, rights, tables, currencies, markets.

Safe to run again at any time; it is how an exchange is upgraded, too. The embedded
server must be running (`run_exchange` sees to that).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from accounts import roles
from exchange import checks
from exchange.lib import databases

_MISSING = """\
{reason}

This needs an administrator of PostgreSQL once. Either set DATABASE_ADMIN_URL to a
superuser and run this command again, or let one run:

    CREATE ROLE {owner} LOGIN PASSWORD '...';
    CREATE ROLE {app} LOGIN PASSWORD '...';
    CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8'
        LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';

and set DATABASE_URL for {app} and DATABASE_OWNER_URL for {owner}.\
"""


class Command(BaseCommand):
    help = "Make a database ready: roles, rights, tables, currencies and markets."
    # It makes the very tables that the others would look at.
    requires_system_checks = [checks.PRODUCTION]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            metavar="NAME",
            help="prepare this one instead, say pixiu_bench",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["database"] or str(connection.settings_dict["NAME"])
        with databases.administrator() as admin:
            if admin is not None:
                databases.ensure_roles(admin)
                databases.ensure_database(admin, name)
        verbosity = max(options["verbosity"] - 1, 0)
        with databases.using(name, databases.owner()):
            self.demand_access(name)
            databases.open_to_application()
            call_command("migrate", interactive=False, verbosity=verbosity)
            databases.close_history()
        with databases.using(name, databases.application()):
            self.refuse_the_almighty(name)
            call_command("seed", stdout=self.stdout)
            roles.install()
        self.stdout.write(f"The database {name} is ready.")

    def demand_access(self, name: str) -> None:
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise CommandError(
                _MISSING.format(
                    reason=str(error).strip(),
                    owner=databases.owner().name,
                    app=databases.application().name,
                    name=name,
                )
            ) from error

    def refuse_the_almighty(self, name: str) -> None:
        """A superuser, or the owner, is not held by the rights that protect history."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rolsuper OR rolname = "
                "(SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s) "
                "FROM pg_roles WHERE rolname = current_user",
                [name],
            )
            (is_almighty,) = cursor.fetchone()
        if is_almighty:
            raise CommandError(
                f"The exchange would connect as {databases.application().name}, whom "
                "no right holds back from rewriting history. Let DATABASE_URL name "
                f"a plain role, say {settings.DATABASE_ROLES['app']}."
            )
