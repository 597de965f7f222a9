"""
Sessions of the pages: seen, listed, ended.

A session ends when its member signs out or ends it from elsewhere, when nobody was seen
in it for SESSION_IDLE_SECONDS, and SESSION_COOKIE_AGE after it began, however busy. A
page that listens to its stream counts as seen: the stream looks every few seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from accounts.models.sessions import Session
from accounts.session_store import digest_of

# How exactly "last seen" is kept: a row a minute at most, not one for each request.
_NOTED_EVERY = timedelta(minutes=1)
USER_AGENT_LENGTH_MAX = 300


def live(now: datetime) -> QuerySet[Session]:
    """Return the sessions that would open a page now."""
    return Session.objects.filter(
        expire_date__gt=now, seen_at__gt=now - idle_time(), member__isnull=False
    )


def idle_time() -> timedelta:
    """Return how long nobody may be seen in a session before it ends."""
    return timedelta(seconds=settings.SESSION_IDLE_SECONDS)


def note_seen(
    *, session_key: str, address: str, user_agent: str, now: datetime
) -> bool:
    """
    Note when and where a session was last seen; False where it has been idle too long,
    or is gone.
    """
    row = Session.objects.filter(pk=digest_of(session_key))
    found = row.values_list("seen_at", "address", "user_agent")
    if not found:
        return False
    seen_at, known_address, known_agent = found[0]
    if seen_at <= now - idle_time():
        return False
    user_agent = user_agent[:USER_AGENT_LENGTH_MAX]
    is_elsewhere = (known_address, known_agent) != (address or None, user_agent)
    if is_elsewhere or seen_at <= now - _NOTED_EVERY:
        row.update(seen_at=now, address=address or None, user_agent=user_agent)
    return True


def note_listening(session_keys: Collection[str], *, now: datetime) -> None:
    """Note that pages of these sessions listen to their streams."""
    digests = [digest_of(key) for key in session_keys]
    live(now).filter(pk__in=digests, seen_at__lte=now - _NOTED_EVERY).update(
        seen_at=now
    )


def end_others(*, member_id: int, session_key: str | None) -> int:
    """
    End all sessions of a member but this one (None: all of them); return how many.
    Their streams are told so within seconds.
    """
    others = Session.objects.filter(member_id=member_id)
    if session_key is not None:
        others = others.exclude(pk=digest_of(session_key))
    count, _ = others.delete()
    return count
