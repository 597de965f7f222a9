"""
Sessions of the pages: seen, listed, ended.

A session ends when its member signs out or ends it from elsewhere, when nobody was seen
in it for SESSION_IDLE_SECONDS, and SESSION_COOKIE_AGE after it began, however busy;
both are shorter for operators. A page that listens to its stream counts as seen: the
stream looks every second.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.session_store import digest_of
from accounts.visits import Visit
from exchange.lib import audit
from exchange.lib.errors import NotFound
from exchange.lib.transactions import transaction

# How exactly "last seen" is kept: a row a minute at most, not one for each request.
_NOTED_EVERY = timedelta(minutes=1)


class UnknownSession(NotFound):
    """The session has ended, or is somebody else's."""

    code = "unknown_session"
    text = _("This session has ended already.")


def live(now: datetime) -> QuerySet[Session]:
    """Return the sessions that would open a page now."""
    in_use = Q()
    for is_operator in (False, True):
        seen_after = now - idle_time(is_operator=is_operator)
        in_use |= Q(member__is_staff=is_operator, seen_at__gt=seen_after)
    return Session.objects.filter(in_use, expire_date__gt=now)


def idle_time(*, is_operator: bool) -> timedelta:
    """Return how long nobody may be seen in a session before it ends."""
    seconds = settings.SESSION_IDLE_SECONDS
    if is_operator:
        seconds = min(seconds, settings.OPERATOR_SESSION_IDLE_SECONDS)
    return timedelta(seconds=seconds)


def longest(*, is_operator: bool) -> timedelta:
    """Return after how long a session ends, however busy."""
    return timedelta(
        seconds=settings.OPERATOR_SESSION_AGE
        if is_operator
        else settings.SESSION_COOKIE_AGE
    )


def of(member: Member, *, now: datetime) -> list[Session]:
    """Return where a member is signed in, the one seen last first."""
    return list(live(now).filter(member=member).order_by("-seen_at", "pk"))


def note_seen(*, session_key: str, visit: Visit, now: datetime) -> bool:
    """
    Note when and where a session was last seen; False where it has been idle too long,
    or is gone.
    """
    row = live(now).filter(pk=digest_of(session_key))
    found = row.values_list("seen_at", "address", "user_agent", "place")
    if not found:
        return False
    seen_at, *where = found[0]
    is_elsewhere = where != [visit.address, visit.user_agent, visit.place]
    if is_elsewhere or seen_at <= now - _NOTED_EVERY:
        note_where(session_key=session_key, visit=visit, now=now)
    return True


def note_where(*, session_key: str, visit: Visit, now: datetime) -> None:
    """Write down where a session is used."""
    Session.objects.filter(pk=digest_of(session_key)).update(
        seen_at=now,
        address=visit.address,
        user_agent=visit.user_agent,
        place=visit.place,
    )


def note_listening(session_keys: Collection[str], *, now: datetime) -> None:
    """Note that pages of these sessions listen to their streams."""
    digests = [digest_of(key) for key in session_keys]
    heard = live(now).filter(pk__in=digests, seen_at__lte=now - _NOTED_EVERY)
    Session.objects.filter(pk__in=list(heard.values_list("pk", flat=True))).update(
        seen_at=now
    )


def end(*, member: Member, digest: str) -> None:
    """End one session of a member, named by its digest. Raises UnknownSession."""
    if not digest.isalnum():  # a NUL byte, say, which PostgreSQL takes in no text
        raise UnknownSession
    with transaction():
        count, _kinds = Session.objects.filter(member=member, pk=digest).delete()
        if not count:
            raise UnknownSession
        _record(member, f"member:{member.pk}", count=count)


def end_all(*, member: Member, by: str, reason: str) -> int:
    """Sign a member out everywhere, as an operator; return how many sessions ended."""
    with transaction():
        count = end_others(member_id=member.pk, session_key=None)
        _record(member, by, count=count, reason=reason)
    return count


def end_all_others(*, member: Member, session_key: str) -> int:
    """End all sessions of a member but this one; return how many."""
    with transaction():
        count = end_others(member_id=member.pk, session_key=session_key)
        _record(member, f"member:{member.pk}", count=count)
    return count


def end_others(*, member_id: int, session_key: str | None) -> int:
    """
    End all sessions of a member but this one (None: all of them); return how many.
    Their streams are told so within two seconds.
    """
    others = Session.objects.filter(member_id=member_id)
    if session_key is not None:
        others = others.exclude(pk=digest_of(session_key))
    count, _kinds = others.delete()
    return count


def forget_ended(*, now: datetime) -> int:
    """Forget the rows of sessions that are over; return how many."""
    over = Session.objects.exclude(pk__in=live(now).values("pk"))
    count, _kinds = over.exclude(member__isnull=True, expire_date__gt=now).delete()
    return count


def _record(member: Member, by: str, **facts: object) -> None:
    audit.record(by, "sessions_ended", f"member:{member.pk}", **facts)
