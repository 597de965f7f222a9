"""
Django's PostgreSQL backend, with a health check that asks nobody.

Before the first statement of a request Django asks `SELECT 1` whether the connection
still lives, which is a fifth of the work of a small request. A server that ended a
session has said so on the socket: it is readable while nobody waits for an answer.
"""

from __future__ import annotations

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """What ENGINE names."""

    def is_usable(self) -> bool:
        """
        Say whether the connection looks alive. One that died in silence (a cable, a
        firewall) is found by the statement itself, and dropped then.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
