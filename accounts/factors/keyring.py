"""
The factors of a member: which there are, and whether what is shown is one of them.

Everything that asks for a factor asks here, so that attempts are counted once for all
doors, and every one of them leaves a line in the audit trail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from django.contrib.sessions.backends.base import SessionBase

from accounts import members, passwords, proofs, sessions
from accounts.factors import attempts, changes, passkeys, recovery, sms, totp
from accounts.factors.attempts import WrongCode
from accounts.models.factors import Passkey, Phone, Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib import audit
from exchange.lib.transactions import transaction, transaction_required

Factor = Proof.Factor


@dataclass(frozen=True, slots=True)
class Keyring:
    """What a member has."""

    totp: Totp | None
    phone: Phone | None
    passkeys: list[Passkey]
    recovery_left: int

    @property
    def is_empty(self) -> bool:
        """Whether the password alone lets the member in."""
        return not (self.totp or self.phone or self.passkeys)

    @property
    def offers(self) -> list[Factor]:
        """What the member can be asked for, the strongest first."""
        is_there = {
            Factor.PASSKEY: bool(self.passkeys),
            Factor.TOTP: self.totp is not None,
            Factor.SMS: self.phone is not None and sms.is_offered(),
            Factor.RECOVERY: self.recovery_left > 0,
        }
        return [factor for factor, there in is_there.items() if there]


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer, to what, for what, and where."""

    factor: Factor
    answer: str
    purpose: Proof.Purpose
    session_key: str
    challenge: bytes = b""  # of a passkey


def of(member: Member) -> Keyring:
    """Return what a member has."""
    return Keyring(
        totp=Totp.objects.filter(member=member).order_by("pk").first(),
        phone=Phone.objects.filter(member=member).order_by("pk").first(),
        passkeys=passkeys.of(member),
        recovery_left=recovery.count_left(member.pk),
    )


def check(*, member: Member, shown: Shown, now: datetime) -> None:
    """
    Believe what is shown, and use it up.

    The password is a factor only for security settings, and only of a member who has no
    other. Raises WrongCode, TooManyAttempts or, for a password, HashingBusy.
    """
    attempts.count(member_id=member.pk, now=now)
    try:
        if shown.factor == Factor.PASSWORD:
            _demand_password(member, shown, now)  # hashes for long: in no transaction
        with transaction():
            _use(member, shown, now)
            _record(member, "factor_shown", shown)
    except WrongCode:
        with transaction():
            _record(member, "factor_refused", shown)
        raise
    attempts.forget(member_id=member.pk, now=now)


def prove(session: SessionBase, *, member: Member, shown: Shown, now: datetime) -> None:
    """
    Believe what is shown, as `check` does, and let it be a fresh proof for this
    session, which gets a new id.
    """
    check(member=member, shown=shown, now=now)
    note_proof(
        session, member=member, purpose=shown.purpose, factor=shown.factor, now=now
    )


def note_proof(
    session: SessionBase,
    *,
    member: Member,
    factor: Factor,
    purpose: Proof.Purpose,
    now: datetime,
) -> None:
    """
    Let a factor that was just checked be a fresh proof for this session, which gets a
    new id: earlier proofs are worth nothing any more.
    """
    session.cycle_key()
    with transaction():
        proofs.record(
            member=member,
            session_key=str(session.session_key),
            purpose=purpose,
            factor=factor,
            now=now,
        )


@transaction_required
def remove_all(*, member: Member, now: datetime) -> None:
    """Take all factors of a member away, and end all sessions."""
    members.lock_member(member)
    for model in (Totp, Phone, Passkey):
        model._default_manager.filter(member=member).delete()
    recovery.forget(member=member)
    Member.objects.filter(pk=member.pk).update(security_changed_at=now)
    sessions.end_others(member_id=member.pk, session_key=None)


def _use(member: Member, shown: Shown, now: datetime) -> None:
    match shown.factor:
        case Factor.TOTP:
            totp.use(member=member, code=shown.answer, now=now)
        case Factor.SMS:
            sms.use(
                member=member,
                code=shown.answer,
                purpose=shown.purpose,
                session_key=shown.session_key,
                now=now,
            )
        case Factor.PASSKEY:
            passkeys.use(
                member=member,
                answer=shown.answer,
                challenge=shown.challenge,
                now=now,
            )
        case Factor.RECOVERY:
            recovery.use(member=member, code=shown.answer, now=now)
        case Factor.PASSWORD:
            _demand_no_other(member)  # hashing took long: one may have come
        case _:
            assert_never(shown.factor)


def _demand_password(member: Member, shown: Shown, now: datetime) -> None:
    if shown.purpose != Proof.Purpose.SECURITY or changes.has_any(member.pk):
        raise WrongCode
    try:
        passwords.demand_current(member, shown.answer, now=now)
    except passwords.WrongPassword as error:
        raise WrongCode(error.message) from error


def _demand_no_other(member: Member) -> None:
    members.lock_member(member)
    if changes.has_any(member.pk):
        raise WrongCode


def _record(member: Member, action: str, shown: Shown) -> None:
    who = f"member:{member.pk}"
    audit.record(
        who, action, who, factor=shown.factor.value, purpose=shown.purpose.value
    )
