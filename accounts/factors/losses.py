"""
Losing every factor: the member says so, an operator looks into it, and three days pass.

Whoever still holds a factor, or reads the member's mail, can object at any time before
the end. At the end all factors are gone and all sessions ended, and withdrawals rest as
after every such change. Who only knows the password gets nothing without an operator
who is convinced and three days in which nobody objects.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from accounts import links, members, notices
from accounts.factors import keyring
from accounts.models.factors import FactorLoss
from accounts.models.members import Member
from exchange.lib import audit, states, words
from exchange.lib.errors import NotAllowed
from exchange.lib.transactions import transaction

COOL_OFF = timedelta(hours=72)
_LINK_VALID = timedelta(days=60)
_PURPOSE = "factor_loss"


class OwnLoss(NotAllowed):
    """Nobody decides about themselves."""

    code = "own_factor_loss"
    text = _("You cannot decide about your own factors. Please ask a colleague.")


class OperatorsLoss(NotAllowed):
    """An operator's factors are the key to the desk."""

    code = "operators_factor_loss"
    text = _("Only who appoints operators decides about their factors.")


def request(*, member: Member, story: str, now: datetime) -> FactorLoss:
    """Write down that a member has lost all factors; once, however often it is said."""
    with transaction():
        members.lock_member(member)
        found = _open(member)
        if found is not None:
            return found
        loss = FactorLoss.objects.create(
            member=member, story=words.cleaned(story).strip()[:500], requested_at=now
        )
        audit.record(f"member:{member.pk}", "factor_loss_requested", _name(loss))
        _tell(loss, now)
    return loss


def approve(*, loss: FactorLoss, operator: Member, reason: str, now: datetime) -> None:
    """
    Believe the member; the three days begin. Raises OwnLoss, OperatorsLoss or
    IllegalMove.
    """
    _demand_other(loss, operator)
    _move(
        loss,
        "approve",
        by=f"operator:{operator.pk}",
        now=now,
        reason=reason,
        decided_by=f"operator:{operator.pk}",
        due_at=(now + COOL_OFF).isoformat(),
    )


def refuse(*, loss: FactorLoss, operator: Member, reason: str, now: datetime) -> None:
    """
    Do not believe the member, up to the end. Raises OwnLoss, OperatorsLoss or
    IllegalMove.
    """
    _demand_other(loss, operator)
    _move(
        loss,
        "refuse",
        by=f"operator:{operator.pk}",
        now=now,
        reason=reason,
        decided_by=f"operator:{operator.pk}",
        ended_at=now.isoformat(),
    )


def cancel(*, loss: FactorLoss, now: datetime) -> None:
    """Leave the factors as they are: nothing was lost. Raises IllegalMove."""
    by = f"member:{loss.member_id}"
    _move(loss, "cancel", by=by, now=now, ended_at=now.isoformat())


def disprove(*, member: Member, now: datetime) -> None:
    """Take back what a member reported who has shown a factor after all."""
    loss = _open(member)
    if loss is not None:
        cancel(loss=loss, now=now)


def finish_due(*, now: datetime) -> int:
    """Take the factors away of those whose three days are over. Safe to run twice."""
    due = FactorLoss.objects.filter(state=FactorLoss.State.COOLING, due_at__lte=now)
    done = 0
    for loss in due.order_by("pk"):
        try:
            _move(loss, "finish", by="system", now=now, ended_at=now.isoformat())
        except states.IllegalMove:
            continue  # cancelled a moment ago
        done += 1
    return done


def of(member: Member) -> FactorLoss | None:
    """Return what a member has reported and is not decided."""
    return _open(member)


def by_link(token: str) -> FactorLoss:
    """Return which report a link in a mail can cancel. Raises links.LinkSpent."""
    member = links.member_of(token, purpose=_PURPOSE, valid=_LINK_VALID)
    loss = _open(member)
    state = "" if loss is None else str(loss.pk)
    links.demand_unspent(token, member=member, purpose=_PURPOSE, state=state)
    if loss is None:
        raise links.LinkSpent
    return loss


def _move(loss: FactorLoss, move: str, *, by: str, now: datetime, **facts: str) -> None:
    """Make a move and tell the member of it; once, however often it is asked for."""
    with transaction():
        before = states.lock_row(loss).state
        loss = states.advance(loss, move, by=by, **facts)
        if loss.state == before:
            return
        if loss.state == FactorLoss.State.DONE:
            keyring.remove_all(member=loss.member, now=now)
        _tell(loss, now)


def _open(member: Member) -> FactorLoss | None:
    found = FactorLoss.objects.filter(member=member, state__in=FactorLoss.OPEN)
    return found.order_by("-pk").first()


def _demand_other(loss: FactorLoss, operator: Member) -> None:
    if operator.pk == loss.member_id:
        raise OwnLoss
    if loss.member.is_staff and not operator.has_perm("accounts.grant_role"):
        raise OperatorsLoss


def _tell(loss: FactorLoss, now: datetime) -> None:
    """Say where it stands; as long as it can be cancelled, with a link that does."""
    cancel_url = ""
    if loss.state in FactorLoss.OPEN:
        cancel_url = links.make(
            "/signin/lost/cancel/{}",
            member=loss.member,
            purpose=_PURPOSE,
            state=str(loss.pk),
        )
    notices.tell(
        loss.member,
        notices.Event.FACTOR_LOST,
        step=str(loss.state),
        due_at=loss.due_at,
        cancel_url=cancel_url,
        at=now,
    )


def _name(loss: FactorLoss) -> str:
    return f"factor_loss:{loss.pk}"
