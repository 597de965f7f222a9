"""
Attempts: counted before they are made, and made to wait longer and longer.

The first few are free. From then on the door stays shut after each one, twice as long
every time, up to a limit; a day without one forgets them all. The counters are rows in
PostgreSQL, not in the cache: they hold for all processes, no stranger can push them
out, and where they cannot be counted nobody gets in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models.attempts import Attempts
from exchange.lib.errors import TooMany
from exchange.lib.transactions import statement

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many attempts are free, and how long the door stays shut after more."""

    free: int
    first: timedelta
    longest: timedelta


class TooManyAttempts(TooMany):
    """The door is shut for a while. Facts: retry_after_seconds."""

    code = "too_many_attempts"
    text = _("Too many attempts.")

    def __init__(self, seconds: int) -> None:
        minutes = -(-seconds // 60)
        wait = ngettext(
            "Too many attempts. Please try again in a minute.",
            "Too many attempts. Please try again in %(minutes)d minutes.",
            minutes,
        )
        super().__init__(wait % {"minutes": minutes}, retry_after_seconds=seconds)


def count(key: str, pace: Pace, *, now: datetime) -> int:
    """
    Count an attempt that is about to be made; return the how manieth it is. Many at
    once are counted one after the other. Raises TooManyAttempts while the door is shut.
    """
    with statement(), connection.cursor() as cursor:
        values: dict[str, Any] = {
            "key": key,
            "now": now,
            "stale": now - FORGOTTEN_AFTER,
            "free": pace.free,
            "first": pace.first,
            "longest": pace.longest,
        }
        cursor.execute(_COUNT, values)
        row = cursor.fetchone()
    if row is None:
        raise TooManyAttempts(_seconds_shut(key, now))
    return int(row[0])


def take_back(key: str, *, now: datetime) -> None:
    """Undo one count: the attempt was none, or succeeded."""
    with statement(), connection.cursor() as cursor:
        cursor.execute(_TAKE_BACK, {"key": key, "now": now})


def forget(key: str) -> bool:
    """Forget all attempts; say whether there were any."""
    count, _ = Attempts.objects.filter(key=key).delete()
    return bool(count)


def forget_old(*, now: datetime) -> int:
    """Forget what is over; return how many counters went."""
    old = Attempts.objects.filter(last_at__lt=now - FORGOTTEN_AFTER)
    count, _ = old.delete()
    return count


def key_of(kind: str, name: str) -> str:
    """Return under which key attempts at a name (an address, a member) are counted."""
    return f"{kind}:{salted_hmac('accounts.attempts', name).hexdigest()[:32]}"


def _seconds_shut(key: str, now: datetime) -> int:
    opens_at = Attempts.objects.filter(key=key).values_list("opens_at", flat=True)
    left = (opens_at[0] - now).total_seconds() if opens_at else 0
    return max(int(left), 1)


# A shut door counts nothing: waiting is enough. The power is bounded, because a sum of
# times is. Attempts that are free do not look at the clock, since the clocks of two
# processes never agree.
_NEXT = "CASE WHEN known.last_at < %(stale)s THEN 1 ELSE known.count + 1 END"
_COUNT = f"""
INSERT INTO accounts_attempts AS known (key, count, since, last_at, opens_at)
VALUES (%(key)s, 1, %(now)s, %(now)s, %(now)s)
ON CONFLICT (key) DO UPDATE SET
    count = {_NEXT},
    since = CASE WHEN known.last_at < %(stale)s THEN %(now)s ELSE known.since END,
    last_at = %(now)s,
    opens_at = CASE WHEN {_NEXT} < %(free)s THEN %(now)s ELSE %(now)s + least(
        %(longest)s, %(first)s * power(2, least({_NEXT} - %(free)s, 20))) END
WHERE {_NEXT} <= %(free)s OR known.opens_at <= %(now)s
RETURNING count
"""
_TAKE_BACK = """
UPDATE accounts_attempts SET count = count - 1, opens_at = %(now)s
WHERE key = %(key)s AND count > 0
"""
