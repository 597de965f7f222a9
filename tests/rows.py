"""
The database behind the operations' backs: what is written, and what a hand in the
tables could do. Only for tests of what must be refused or found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection
from psycopg2 import extensions

from exchange.lib import databases, postgres

# What changes without anybody doing anything.
_NOBODYS = {"django_session", "cache"}


def dump() -> dict[str, list[str]]:
    """Return every row of every table, as text: equal before and after a refusal."""
    tables = set(connection.introspection.table_names()) - _NOBODYS
    return {table: _lines(table) for table in sorted(tables)}


def read(sql: str, *params: object) -> list[tuple[Any, ...]]:
    """Run one query as the application."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def write(sql: str, *params: object) -> int:
    """Run one statement as the application; return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def write_as_owner(sql: str, *params: object) -> int:
    """Run one statement as the owner of the schema, whom triggers bind, too."""
    name = str(connection.settings_dict["NAME"])
    with databases.using(name, databases.owner()):
        return write(sql, *params)


def plant(*statements: str) -> None:
    """Break the books as nobody else could: as superuser, with the triggers off."""
    with _superuser() as admin, admin.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def _superuser() -> Iterator[extensions.connection]:
    name = str(connection.settings_dict["NAME"])
    with closing(
        postgres.connect(settings.DATA_DIR, database=name)
        if settings.EMBEDDED_POSTGRES
        else psycopg2.connect(settings.DATABASE_ADMIN_URL, dbname=name)
    ) as admin:
        admin.autocommit = True
        yield admin


def _lines(table: str) -> list[str]:
    return [line for (line,) in read(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')]
