"""Array literals say to PostgreSQL what psycopg2's own arrays say, value by value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from exchange.lib.columns import column

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [1, None, -(2**63), 2**63 - 1]),
        ("numeric", [Decimal("0.000000000000000001"), Decimal("1E+3"), None]),
        ("boolean", [True, False, None]),
        ("text", ["", "NULL", "a,b", '"{}"', "\\", "貔貅", "a\nb", "'; --", None]),
        ("text", []),
    ],
)
def test_it_writes_what_postgresql_reads_back(kind: str, values: list[object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [column(values)])  # type: ignore[arg-type]
        assert cursor.fetchone() == (values,)
