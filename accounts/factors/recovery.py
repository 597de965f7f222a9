"""
Recovery codes: ten on paper, for the day the phone is gone. Each works once.

Eighty random bits a code: a keyed digest is enough to keep them, since nobody can try
them all. They are shown when they are made, and never again.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from accounts import notices
from accounts.factors.attempts import WrongCode
from accounts.models.factors import RecoveryCode
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.sealed import fingerprint
from exchange.lib.transactions import transaction, transaction_required

COUNT = 10
LOW = 3  # at so few it is time for new ones
# Without what one hand writes and another misreads: 0 and O, 1 and I.
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH = 16  # × 5 bits
_GROUP = 4


def replace_all(*, member: Member, now: datetime) -> list[str]:
    """Make ten new codes; those of before are worth nothing any more."""
    with transaction():
        codes = make(member=member, now=now)
        audit.record(
            f"member:{member.pk}", "recovery_codes_replaced", f"member:{member.pk}"
        )
        notices.tell(member, notices.Event.FACTOR_ADDED, factor="recovery", at=now)
    return codes


@transaction_required
def make(*, member: Member, now: datetime) -> list[str]:
    """Make ten codes instead of those that were; return them as people read them."""
    forget(member=member)
    codes = [_new_code() for _ in range(COUNT)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(member=member, digest=_digest(member, code), created_at=now)
        for code in codes
    )
    return ["-".join(_groups(code)) for code in codes]


@transaction_required
def use(*, member: Member, code: str, now: datetime) -> None:
    """Use a code up, and let the member hear of it. Raises WrongCode."""
    mine = RecoveryCode.objects.filter(
        member=member, digest=_digest(member, _normalised(code)), used_at=None
    )
    if mine.update(used_at=now) != 1:
        raise WrongCode
    notices.tell(
        member, notices.Event.RECOVERY_USED, left=count_left(member.pk), at=now
    )


@transaction_required
def forget(*, member: Member) -> None:
    """Throw a member's codes away."""
    RecoveryCode.objects.filter(member=member).delete()


def count_left(member_id: int) -> int:
    """Return how many codes a member has not used."""
    return RecoveryCode.objects.filter(member_id=member_id, used_at=None).count()


def _new_code() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _groups(code: str) -> list[str]:
    return [code[at : at + _GROUP] for at in range(0, len(code), _GROUP)]


def _normalised(code: str) -> str:
    """Read a code as it was typed: in any case, with or without its dashes."""
    return "".join(filter(str.isalnum, code[:64])).upper()


def _digest(member: Member, code: str) -> str:
    # The master key, not SECRET_KEY: codes on paper outlive a change of that.
    return fingerprint(f"{member.pk}|{code}".encode(), purpose="recovery")
