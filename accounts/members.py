"""
Members: join, freeze, thaw, close.

What a member may do is decided where it is done (orders ask `may_trade`); this module
only keeps who they are and in which state. Signing in lives in sign_in, keys in tokens.
"""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts import hashing, notices, password_rules, sessions, tokens
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Conflict, Invalid, NotFound
from exchange.lib.states import IllegalMove, lock_row
from exchange.lib.transactions import transaction, transaction_required

_FROM = {
    Member.State.ACTIVE: [Member.State.FROZEN],
    Member.State.FROZEN: [Member.State.ACTIVE],
    Member.State.CLOSED: [Member.State.ACTIVE, Member.State.FROZEN],
}


class BadEmail(Invalid):
    """The text is no e-mail address."""

    code = "bad_email"
    text = _("This is not an e-mail address.")


class EmailTaken(Conflict):
    """Another member uses this address."""

    code = "email_taken"
    text = _("There is a member with this e-mail address already.")


class UnknownMember(NotFound):
    """Nobody joined under this address."""

    code = "unknown_member"
    text = _("There is no member with this e-mail address.")


def create(
    *,
    email: str,
    password: str,
    now: datetime,
    display_name: str = "",
    is_operator: bool = False,
    by: str = "system",
) -> Member:
    """
    Let somebody join whose address is known to be theirs. Operators may enter the
    admin, where they may do everything that the admin offers.

    Raises BadEmail, password_rules.WeakPassword or EmailTaken.
    """
    email = normalised(email)
    member = Member(
        email=email,
        display_name=display_name,
        is_staff=is_operator,
        is_superuser=is_operator,
        created_at=now,
        activated_at=now,
    )
    password_rules.demand_strong(password, member)
    # Hashing takes a tenth of a second on purpose: not inside a transaction.
    member.password = hashing.hashed(password)
    try:
        with transaction():
            member.save(force_insert=True)
            audit.record(
                by, "member_joined", f"member:{member.pk}", is_operator=is_operator
            )
    except IntegrityError as error:
        if Member.objects.filter(email=email).exists():
            raise EmailTaken from error
        raise
    return member


def freeze(*, member: Member, by: str, reason: str) -> None:
    """Let a member look, and neither trade nor withdraw. Raises IllegalMove."""
    _move(member, Member.State.FROZEN, by=by, reason=reason)


def thaw(*, member: Member, by: str, reason: str) -> None:
    """Undo a freeze. Raises IllegalMove."""
    _move(member, Member.State.ACTIVE, by=by, reason=reason)


def close(*, member: Member, by: str, reason: str, now: datetime) -> None:
    """
    Shut a member out for good: sessions and keys stop working at once, the books stay.
    Raises IllegalMove.
    """
    with transaction():
        if move(member, Member.State.CLOSED, by=by, reason=reason):
            sessions.end_others(member_id=member.pk, session_key=None)
            tokens.revoke_all(member_id=member.pk, by=by, now=now)
            notices.tell(member, notices.Event.CLOSED)


def by_email(email: str) -> Member:
    """Return the member with this address. Raises BadEmail or UnknownMember."""
    try:
        member: Member = Member.objects.get(email=normalised(email))
    except Member.DoesNotExist as error:
        raise UnknownMember from error
    return member


def normalised(email: str) -> str:
    """Return the one way in which we write this address. Raises BadEmail."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadEmail from error
    # A domain in letters of all scripts may have more in it than letters.
    if not words.is_line(email):
        raise BadEmail
    return email


def lock_member(member: Member) -> Member:
    """Lock a member's row until the transaction ends, and return it as it is now."""
    return lock_row(member)


@transaction_required
def move(member: Member, to: Member.State, *, by: str, reason: str) -> bool:
    """
    Change the state, in the transaction at hand, where it may be changed; being there
    already is fine. Return whether it was changed just now. Raises IllegalMove.
    """
    here = Member.objects.filter(pk=member.pk)
    freezes = int(to == Member.State.FROZEN)
    changed = {"state": to, "times_frozen": F("times_frozen") + freezes}
    if here.filter(state__in=_FROM[to]).update(**changed) == 0:
        if here.filter(state=to).exists():
            return False
        raise IllegalMove(move=to.value)
    audit.record(by, f"member_{to.value}", f"member:{member.pk}", reason=reason)
    return True


def _move(member: Member, to: Member.State, *, by: str, reason: str) -> None:
    with transaction():
        move(member, to, by=by, reason=reason)
