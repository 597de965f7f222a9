"""
The step between the right password and the session, for members who have a factor.

Until it is taken nobody is signed in: the session, under a new id, only remembers who
gave which password, and where they wanted to go. It waits for five minutes, and not
beyond a change of the password.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts.factors import changes
from accounts.models.members import Member
from exchange.lib.errors import NotSignedIn

WAITS = timedelta(minutes=5)
_STEP = "second_step"


class StepOver(NotSignedIn):
    """Nobody gave a password in this session, or it was too long ago."""

    code = "second_step_over"
    text = _("This took too long. Please sign in again.")


def begin(session: SessionBase, *, member: Member, now: datetime) -> bool:
    """Have the session wait for a factor; False where the member has none."""
    if not changes.has_any(member.pk):
        return False
    session.flush()
    session.create()
    session[_STEP] = {
        "member": member.pk,
        "password": member.get_session_auth_hash(),
        "at": now.isoformat(),
    }
    session.set_expiry(int(WAITS.total_seconds()))
    return True


def is_waiting(session: SessionBase) -> bool:
    """Say whether a factor is still to be shown in this session."""
    return _STEP in session


def waiting(session: SessionBase, *, now: datetime) -> Member:
    """Return who gave the right password in this session. Raises StepOver."""
    step = session.get(_STEP)
    if step is None or not timedelta() <= now - _begun(step) <= WAITS:
        raise StepOver
    known = Member.objects.filter(pk=step["member"])
    member: Member | None = known.order_by("pk").first()
    if (
        member is None
        or not member.is_active
        or not changes.has_any(member.pk)
        or not constant_time_compare(step["password"], member.get_session_auth_hash())
    ):
        raise StepOver
    return member


def forget(session: SessionBase) -> None:
    """Leave the step behind, once it is taken."""
    session.pop(_STEP, None)


def _begun(step: dict[str, str]) -> datetime:
    return datetime.fromisoformat(step["at"])
