"""
Passwords: changed by who knows the old one, reset by who reads the mail.

Either way all other sessions end, withdrawals rest for a while, and the member hears of
it. A reset signs nobody in, so a second factor is asked for as ever; and it confirms
the address, since it came by mail.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from accounts import (
    attempts,
    hashing,
    letterbox,
    links,
    lockout,
    members,
    networks,
    password_rules,
    security,
)
from accounts.attempts import Pace
from accounts.devices import Device
from accounts.models.members import Member
from accounts.notices import Event
from exchange.lib import audit
from exchange.lib.errors import Conflict, Refused
from exchange.lib.transactions import transaction, transaction_required

PER_MEMBER = Pace(5, timedelta(seconds=30), timedelta(hours=1))
RESETS_PER_ADDRESS = Pace(10, timedelta(minutes=1), timedelta(hours=6))
_PURPOSE = "reset"


class WrongPassword(Refused):
    """The current password is another one."""

    code = "wrong_password"
    text = _("This is not your current password.")


class PasswordChangedMeanwhile(Conflict):
    """Two changes at once: the other one was first."""

    code = "password_changed_meanwhile"
    text = _("Your password was changed just now, from elsewhere. Please sign in anew.")


def change(
    *, member: Member, current: str, new: str, session_key: str, now: datetime
) -> None:
    """
    Give a member another password and end all sessions but this one; `member` has the
    new hash afterwards, so that its session can go on under a new key.

    Raises WrongPassword, WeakPassword, PasswordChangedMeanwhile, TooManyAttempts or
    HashingBusy.
    """
    password_rules.demand_strong(new, member)
    demand_current(member, current, now=now)
    known, fresh = member.password, hashing.hashed(new)
    with transaction():
        locked = members.lock_member(member)
        if locked.password != known:
            raise PasswordChangedMeanwhile
        _store(locked, fresh, now, keep=session_key)
    member.password = fresh


def request_reset(*, email: str, device: Device, address: str, now: datetime) -> None:
    """
    Let whoever has this address, if anybody has, choose a new password by mail. The
    caller cannot tell. Raises BadEmail or TooManyAttempts.
    """
    email = members.normalised(email)
    if not device.knows(email):
        place = networks.neighbourhood(address)
        attempts.count(attempts.key_of("resets", place), RESETS_PER_ADDRESS, now=now)
    letterbox.count(email, address=address, device=device, now=now)
    letterbox.drop(email, Event.PASSWORD_RESET)


def reset_link(member: Member) -> str:
    """Return the link with which a member may choose a new password."""
    state = _state(member)
    return links.make("/reset/{}", member=member, purpose=_PURPOSE, state=state)


def whose_link(link: str) -> Member:
    """Return who may choose a new password. Raises LinkSpent."""
    member = links.member_of(link, purpose=_PURPOSE)
    links.demand_unspent(link, member=member, purpose=_PURPOSE, state=_state(member))
    return member


def reset(link: str, *, new: str, now: datetime) -> Member:
    """
    Give a new password to whom the link was sent, and end all their sessions. Raises
    LinkSpent, WeakPassword or HashingBusy.
    """
    member = whose_link(link)
    password_rules.demand_strong(new, member)
    fresh = hashing.hashed(new)
    with transaction():
        member = members.lock_member(member)
        state = _state(member)
        links.demand_unspent(link, member=member, purpose=_PURPOSE, state=state)
        if member.activated_at is None:
            member.activated_at = now
        _store(member, fresh, now, keep=None)
        audit.record(f"member:{member.pk}", "password_reset", f"member:{member.pk}")
    lockout.forgive(member)
    return member


@transaction_required
def _store(member: Member, fresh: str, now: datetime, *, keep: str | None) -> None:
    member.password = fresh
    member.save(update_fields=["password", "activated_at"])
    security.changed(member, event=Event.PASSWORD_CHANGED, session_key=keep, now=now)


def demand_current(member: Member, password: str, *, now: datetime) -> None:
    """
    Demand the password of a member who has signed in: whoever sits at an open session
    must not guess on. Raises WrongPassword, TooManyAttempts or HashingBusy.
    """
    hashing.demand_room()
    key = attempts.key_of("password", str(member.pk))
    attempts.count(key, PER_MEMBER, now=now)
    bounded = password[: password_rules.LENGTH_MAX + 1]
    try:
        verdict = hashing.check(bounded, member.password)
    except hashing.HashingBusy:
        attempts.take_back(key, now=now)
        raise
    if not verdict.is_right:
        raise WrongPassword
    attempts.forget(key)


def _state(member: Member) -> str:
    return f"{member.email}|{member.password}|{member.state == member.State.CLOSED}"
