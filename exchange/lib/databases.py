"""
Databases, the roles that use them, and what each role may do.

Three roles: the *owner* changes the schema, the *application* reads and writes rows
and can change neither schema nor history, *test* copies template databases. Making
roles and databases takes an administrator; everything after that is done as owner.
The server itself is in `postgres`, or is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Model
from psycopg2 import extensions, sql

from exchange.lib import postgres


@dataclass(frozen=True)
class Login:
    """Whom to connect as. An empty password leaves the question to the server."""

    name: str
    password: str = ""


def application() -> Login:
    """Return what every process of the exchange connects as."""
    database = settings.DATABASES["default"]
    return Login(str(database["USER"]), str(database["PASSWORD"]))


def owner() -> Login:
    """Return who owns the schema: DATABASE_OWNER_URL, or the owner's usual name."""
    if settings.DATABASE_OWNER_URL:
        parts = extensions.parse_dsn(settings.DATABASE_OWNER_URL)
        return Login(parts["user"], parts.get("password", ""))
    return Login(settings.DATABASE_ROLES["owner"], application().password)


def tester() -> Login:
    """Return who copies templates for the tests."""
    return Login(settings.DATABASE_ROLES["test"], application().password)


@contextmanager
def administrator() -> Iterator[extensions.connection | None]:
    """Connect as a superuser where we know one: embedded, or DATABASE_ADMIN_URL."""
    if settings.EMBEDDED_POSTGRES:
        admin = postgres.connect(settings.DATA_DIR)
    elif settings.DATABASE_ADMIN_URL:
        admin = psycopg2.connect(settings.DATABASE_ADMIN_URL)
    else:
        yield None
        return
    admin.autocommit = True  # CREATE DATABASE runs outside of transactions only
    try:
        yield admin
    finally:
        admin.close()


@contextmanager
def using(name: str, login: Login) -> Iterator[None]:
    """Connect Django's one connection elsewhere, or as somebody else, for a block."""
    before = connection.settings_dict
    connection.close()
    # A dictionary of its own: the usual one is settings.DATABASES itself.
    connection.settings_dict = {
        **before,
        "NAME": name,
        "USER": login.name,
        "PASSWORD": login.password,
    }
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def ensure_roles(admin: extensions.connection) -> None:
    """Make the roles that are missing; those that exist stay as they are."""
    members = (owner().name, application().name)
    with admin.cursor() as cursor:
        for login in (owner(), application(), tester()):
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login.name])
            if cursor.fetchone():
                continue
            statement = sql.SQL("CREATE ROLE {} LOGIN").format(_id(login.name))
            if login.password:
                statement += sql.SQL(" PASSWORD {}").format(sql.Literal(login.password))
            if login == tester():
                groups = sql.SQL(", ").join(map(_id, members))
                statement += sql.SQL(" CREATEDB IN ROLE {}").format(groups)
            cursor.execute(statement)


def ensure_database(admin: extensions.connection, name: str) -> None:
    """Make the database, owned by the owner, unless it is there."""
    with admin.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone():
            return
        cursor.execute(
            # Texts compare by code point, quickly and the same on every machine.
            sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' "
                "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
            ).format(_id(name), _id(owner().name))
        )


def open_to_application() -> None:
    """As owner: let the application work with the tables that migrations will make."""
    app = _id(application().name)
    _execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(
            _id(connection.settings_dict["NAME"])
        ),
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            _id(connection.settings_dict["NAME"]), app
        ),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(app),
        sql.SQL(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}"
        ).format(app),
        sql.SQL(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public "
            "GRANT USAGE, SELECT ON SEQUENCES TO {}"
        ).format(app),
    )


def close_history() -> None:
    """As owner: take the right to rewrite append-only tables from the application."""
    app = _id(application().name)
    _execute(
        *(
            sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(
                _id(model._meta.db_table), app
            )
            for model in append_only_models()
        )
    )


def append_only_models() -> list[type[Model]]:
    """Return the models that say `append_only = True`."""
    return [model for model in apps.get_models() if getattr(model, "append_only", 0)]


def _id(name: Any) -> sql.Identifier:
    return sql.Identifier(str(name))


def _execute(*statements: sql.Composable) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
