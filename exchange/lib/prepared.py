"""
Statements that PostgreSQL plans once per connection, not once per call.

For the few that run with every request: planning the statement that takes an order
costs as much as running it. psycopg2 prepares nothing by itself, so this says PREPARE
at first use on a connection, and EXECUTE from then on. A pool between us and PostgreSQL
must therefore keep a session on one connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary


class Statement:
    """
    An SQL text with parameters `%(name)s`, and the SQL type of each.

    The name must be unique in the exchange. What stands in `before` is sent along in
    the same message, which is one transaction where none is open.
    """

    def __init__(
        self, name: str, sql: str, types: Mapping[str, str], *, before: str = ""
    ) -> None:
        places = {name: f"${place}" for place, name in enumerate(types, start=1)}
        takes = f"({', '.join(types.values())})" if types else ""
        gets = f"({', '.join(f'%({name})s' for name in types)})" if types else ""
        self._prepare = f"PREPARE {name} {takes} AS {sql % places}"
        self._execute = f"{before};" * bool(before) + f"EXECUTE {name} {gets}"
        self._known_to: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def run(self, cursor: Any, values: Mapping[str, object]) -> None:
        """Execute it on a Django cursor, whose rows can then be fetched."""
        session = cursor.connection  # psycopg2's own: a new one after a reconnect
        if session not in self._known_to:
            cursor.execute(self._prepare)
            self._known_to[session] = True
        cursor.execute(self._execute, values)
