"""Who may do what in a database, and that each test has one to itself."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection

from exchange.lib import audit, databases
from exchange.lib.models import AuditRecord

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("_", ["first", "second"])
def test_it_gives_each_test_a_database_of_its_own(_: str) -> None:
    assert AuditRecord.objects.count() == 0

    audit.record("system", "tested", "database:own")

    assert AuditRecord.objects.count() == 1


def test_it_connects_as_the_application() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, session_user")

        assert cursor.fetchone() == ("pixiu_app", "pixiu_app")


@pytest.mark.promise("S-85")
def test_it_does_not_let_the_application_change_the_schema() -> None:
    with connection.cursor() as cursor:
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("CREATE TABLE mine (id int)")
        with pytest.raises(ProgrammingError, match="must be owner"):
            cursor.execute("DROP TABLE lib_auditrecord")


@pytest.mark.promise("I-16", "R-34")
@pytest.mark.parametrize(
    "statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"]
)
def test_it_does_not_let_the_application_rewrite_history(statement: str) -> None:
    models = databases.append_only_models()

    assert AuditRecord in models
    for model in models:
        column = model._meta.concrete_fields[0].column
        sql = statement.format(model._meta.db_table, column)
        with (
            connection.cursor() as cursor,
            pytest.raises(ProgrammingError, match="permission denied"),
        ):
            cursor.execute(sql)


def test_it_prepares_a_database_twice_without_change() -> None:
    name = str(connection.settings_dict["NAME"])
    out = StringIO()

    call_command("prepare_database", database=name, stdout=out)

    assert out.getvalue() == f"The database {name} is ready.\n"
