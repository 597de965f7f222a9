"""
The history of signing in: written by whoever decides, read by the member.

A sign-in is unusual on a device the member's history does not know, from a country it
does not know, or after a row of wrong attempts: then the member hears of it by mail.
The very first one is not, for there is nothing yet to compare it with.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import devices, notices, user_agents, visits
from accounts.devices import Device
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sign_ins import SignIn
from exchange.lib.transactions import transaction, transaction_required

# So many wrong attempts before a right one are somebody's guesses.
_KNOWN_AFTER = timedelta(days=1)
_WRONG_MAX = 4


@transaction_required
def note_admitted(
    request: HttpRequest,
    member: Member,
    *,
    factors: Collection[Proof.Factor],
    now: datetime,
) -> SignIn:
    """Write down that a member was let in, and tell them where it is unusual."""
    visit = visits.of(request)
    device = devices.of(request).digest
    is_unusual = _is_unusual(member, device=device, place=visit.place)
    row = SignIn.objects.create(
        member=member,
        at=now,
        outcome=SignIn.Outcome.ADMITTED,
        factors=list(factors),
        device=device,
        **asdict(visit),
    )
    if is_unusual:
        notices.tell(
            member,
            notices.Event.SIGNED_IN,
            at=now,
            # Words of ours only: what a stranger sends has no place in a mail of ours.
            device=user_agents.recognised(visit.user_agent),
            address=visit.address or "",
        )
    return row


def note_refused(
    request: HttpRequest,
    member: Member | None,
    *,
    outcome: SignIn.Outcome,
    now: datetime,
    factors: Collection[Proof.Factor] = (),
) -> SignIn:
    """
    Write down that somebody was not let in; None where there is no such member, whose
    row costs the same.
    """
    with transaction():
        return SignIn.objects.create(
            member=member,
            at=now,
            outcome=outcome,
            factors=list(factors),
            device=devices.of(request).digest,
            **asdict(visits.of(request)),
        )


def of(member: Member) -> QuerySet[SignIn]:
    """Return a member's history, newest first."""
    return SignIn.objects.filter(member=member).order_by("-pk")


def is_known_device(member: Member, device: Device, *, now: datetime) -> bool:
    """
    Say whether a browser has been the member's for a day, or is the only one they ever
    signed in with.
    """
    admitted = of(member).filter(outcome=SignIn.Outcome.ADMITTED)
    mine = admitted.filter(device=device.digest)
    others = admitted.exclude(device=device.digest)
    return mine.filter(at__lt=now - _KNOWN_AFTER).exists() or not others.exists()


def _is_unusual(member: Member, *, device: str, place: str) -> bool:
    admitted = of(member).filter(outcome=SignIn.Outcome.ADMITTED)
    if not admitted.exists():
        return False
    if not admitted.filter(device=device).exists():
        return True
    if place and not admitted.filter(place=place).exists():
        return True
    last_id = admitted.values_list("pk", flat=True)[0]
    return of(member).filter(pk__gt=last_id).count() > _WRONG_MAX
