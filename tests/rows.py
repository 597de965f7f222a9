"""
The database behind the operations' backs: what is written, and what a hand in the
tables could do. Only for tests of what must be refused or found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from exchange.lib import databases

# What changes without anybody doing anything.
_NOBODYS = {"accounts_session", "cache"}


def dump() -> dict[str, list[str]]:
    """Return every row of every table, as text: equal before and after a refusal."""
    tables = set(connection.introspection.table_names()) - _NOBODYS
    return {table: _lines(table) for table in sorted(tables)}


def read(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Run one query as the application."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def write(sql: str, *params: Any) -> int:
    """Run one statement as the application; return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def write_as_owner(sql: str, *params: Any) -> int:
    """Run one statement as the owner of the schema, whom triggers bind, too."""
    name = str(connection.settings_dict["NAME"])
    with databases.using(name, databases.owner()):
        return write(sql, *params)


def plant(*statements: str) -> None:
    """Break the books as nobody else could: as superuser, with the triggers off."""
    with _as_superuser():
        for statement in statements:
            write(statement)


@contextmanager
def planted(statement: str) -> Iterator[None]:
    """Break the books for the length of a block only."""
    with _as_superuser(), transaction.atomic():
        write(statement)
        yield
        transaction.set_rollback(True)


@contextmanager
def _as_superuser() -> Iterator[None]:
    name = str(connection.settings_dict["NAME"])
    with databases.administrator() as admin:
        if admin is None:
            raise RuntimeError("Only a superuser can break the books.")
        login = databases.Login(admin.info.user, admin.info.password or "")
    with databases.using(name, login):
        write("SET session_replication_role = replica")
        yield


def _lines(table: str) -> list[str]:
    return [line for (line,) in read(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')]
