"""
What follows from every change of a member's factors: a line in the audit trail, a mail,
withdrawals that rest, and the end of all other sessions.

The first factor brings the recovery codes along, and the last one takes them away.
"""

from __future__ import annotations

from datetime import datetime

from accounts import security, standing
from accounts.factors import recovery
from accounts.models.factors import Passkey, Phone, Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.notices import Event
from exchange.lib.transactions import transaction_required


def has_any(member_id: int) -> bool:
    """Say whether the password alone does not let this member in."""
    return any(
        model._default_manager.filter(member_id=member_id).exists()
        for model in (Totp, Phone, Passkey)
    )


@transaction_required
def added(
    *, member: Member, factor: Proof.Factor, session_key: str | None, now: datetime
) -> list[str]:
    """
    Do what follows from a new or replaced factor. Return the recovery codes, where the
    member had none, to be shown once.
    """
    # Or whoever joined with somebody else's address could leave a factor there.
    standing.demand_activated(member)
    security.changed(
        member,
        event=Event.FACTOR_ADDED,
        session_key=session_key,
        now=now,
        noted={"factor": factor.value},
        factor=factor.value,
        at=now,
    )
    if recovery.count_left(member.pk):
        return []
    return recovery.make(member=member, now=now)


@transaction_required
def removed(
    *, member: Member, factor: Proof.Factor, session_key: str | None, now: datetime
) -> None:
    """Do what follows from the removal of a factor."""
    is_last = not has_any(member.pk)
    if is_last:
        recovery.forget(member=member)
    security.changed(
        member,
        event=Event.FACTOR_REMOVED,
        session_key=session_key,
        now=now,
        noted={"factor": factor.value},
        factor=factor.value,
        is_last=is_last,
        at=now,
    )
