"""
Fresh proof: whether somebody has just shown a factor, in this session, for a purpose.

A proof shown to sign in is none for anything else. Sensitive acts accept one of their
own for five minutes; a withdrawal points at one that nothing else used. How factors are
shown and checked is the business of `accounts.factors`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from accounts.factors import changes
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.session_store import digest_of
from exchange.lib.errors import NotAllowed
from exchange.lib.transactions import transaction_required

FRESH = timedelta(minutes=5)


class FreshProofRequired(NotAllowed):
    """The act is sensitive, and this session has no fresh proof for it."""

    code = "fresh_proof_required"
    text = _("Please prove again that it is you.")


@transaction_required
def record(
    *,
    member: Member,
    session_key: str,
    purpose: Proof.Purpose,
    factor: Proof.Factor,
    now: datetime,
) -> Proof:
    """Write down that a factor was shown. Only who has checked it may call this."""
    return Proof.objects.create(
        member=member,
        session=digest_of(session_key),
        purpose=purpose,
        factor=factor,
        at=now,
    )


def has_shown_factor(*, member: Member, session_key: str, since: datetime) -> bool:
    """Say whether a second factor was shown in a session since then, for anything."""
    shown = Proof.objects.filter(member=member, session=digest_of(session_key))
    return shown.filter(at__gt=since).exclude(factor=Proof.Factor.PASSWORD).exists()


def demand_fresh(
    *,
    member: Member,
    session_key: str,
    now: datetime,
    password_suffices: bool = False,
) -> Proof:
    """
    Return the newest proof for sensitive acts of this session.

    A password suffices only where it is said, and only for who has no factor: to set
    up the first one, and for what a factor would not protect. Raises
    FreshProofRequired.
    """
    fresh = Proof.objects.filter(
        member=member,
        session=digest_of(session_key),
        purpose=Proof.Purpose.SECURITY,
        at__gt=now - FRESH,
        at__lte=now,
    )
    if not password_suffices or changes.has_any(member.pk):
        fresh = fresh.exclude(factor=Proof.Factor.PASSWORD)
    found = fresh.order_by("-at", "-pk").first()
    if found is None:
        raise FreshProofRequired
    return found
