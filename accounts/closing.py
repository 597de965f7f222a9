"""
Closing one's own account, for good.

Nobody leaves anything behind: what still ties a member to the exchange is an obstacle.
Imports run one way, so accounts cannot look at balances or orders; the apps above add
what they know to `obstacles`, each in its AppConfig.ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts import members
from accounts.models.members import Member
from exchange.lib.errors import Invalid, NotAllowed, Refused

# Returns sentences for people, in the language at hand; none where nothing is left.
Obstacle = Callable[[Member], Iterable[str]]

obstacles: list[Obstacle] = []

_LEFT = _("Something is left in this account. Settle it first, or freeze the account.")


class WrongAddress(Invalid):
    """What was typed is not the member's e-mail address."""

    code = "wrong_address"
    text = _("This is not the e-mail address of your account.")


class NotEmpty(Refused):
    """Something is left in the account. Facts: obstacles."""

    code = "account_not_empty"
    text = _("Something is left in your account. Settle it first, then close it.")


class Frozen(NotAllowed):
    """A frozen account is closed by an operator only."""

    code = "account_frozen"
    text = _("Your account is frozen. Please ask our support to close it.")


def obstacles_of(member: Member) -> list[str]:
    """Return, in sentences, what must be settled before the member can leave."""
    return [sentence for look in obstacles for sentence in look(member)]


def close(*, member: Member, typed_email: str, now: datetime) -> None:
    """
    Close a member's own account: sessions and keys end with it, the books stay.

    Whoever is closed already stays so. Raises WrongAddress, Frozen or NotEmpty.
    """
    if typed_email.strip().lower() != member.email:
        raise WrongAddress
    if member.state == Member.State.FROZEN:
        raise Frozen
    # An order that is placed meanwhile moves no money out of the account, so it cannot
    # slip past: what it locked was a balance before.
    if found := obstacles_of(member):
        raise NotEmpty(obstacles=found)
    by = f"member:{member.pk}"
    members.close(member=member, by=by, reason="closed by the member", now=now)


def close_for(*, member: Member, by: str, reason: str, now: datetime) -> None:
    """
    Close a member's account as an operator, who leaves nothing in it, either: an
    account with money in it is frozen instead. Raises NotEmpty.
    """
    if found := obstacles_of(member):
        raise NotEmpty(" ".join([str(_LEFT), *found]), obstacles=found)
    members.close(member=member, by=by, reason=reason, now=now)
