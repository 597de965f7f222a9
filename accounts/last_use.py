"""
When and from where a key was last used, to the minute.

A key that works all day is written down once a minute, by one small statement that
waits for no disk; in between, a request costs a look into a dict.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address

from django.db import connection

from accounts.models.tokens import ApiToken
from exchange.lib.prepared import Statement

NOTED_EVERY = timedelta(minutes=1)
_NOTED_MAX = 10_000

# By access key: when this process last wrote it down.
_noted: dict[str, datetime] = {}

# Several processes see one key; the row is changed once a minute all the same.
_NOTE = Statement(
    "note_token_use",
    """
INSERT INTO accounts_tokenuse (token_id, at, address)
VALUES (%(token)s, %(at)s, %(address)s)
ON CONFLICT (token_id) DO UPDATE SET at = EXCLUDED.at, address = EXCLUDED.address
WHERE accounts_tokenuse.at <= EXCLUDED.at - interval '1 minute'
""",
    {"token": "bigint", "at": "timestamptz", "address": "inet"},
    before="SET LOCAL synchronous_commit TO off",
)


def note(token: ApiToken, *, address: str, now: datetime) -> None:
    """Note that a key was believed."""
    known = _noted.get(token.access_key)
    if known is not None and now - known < NOTED_EVERY:
        return
    values = {"token": token.pk, "at": now, "address": _address_or_none(address)}
    with connection.cursor() as cursor:
        _NOTE.run(cursor, values)
    if len(_noted) >= _NOTED_MAX:
        _noted.clear()
    _noted[token.access_key] = now


def _address_or_none(text: str) -> str | None:
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:  # what a proxy passed on was none
        return None
