"""
Authenticator apps: codes of six digits, a new one every thirty seconds (RFC 6238).

Our clock says which code is right, and one step before and after it passes, for clocks
that are a little off. A code works once: the step it belongs to is remembered, and it
and all older ones are refused, to parallel requests too.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
import segno
from django.contrib.sessions.backends.base import SessionBase
from pyotp.exceptions import OTPVerificationError
from pyotp.totp import TOTP

from accounts import members
from accounts.factors import attempts, changes
from accounts.factors.attempts import WrongCode
from accounts.models.factors import Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib.errors import NotFound
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction, transaction_required

ISSUER = "Pixiu"
_WINDOW_STEPS = 1
_SECRET_LETTERS = 32  # × 5 bits = 160
_SEALED_FOR = "totp"
# A secret that waits for its first code, in the session of who is setting up.
_WAITING = "totp_offer"
_OFFERED_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret for an app that has yet to show a code."""

    secret: str
    uri: str

    @property
    def groups(self) -> str:
        """The secret as people type it."""
        return " ".join(
            self.secret[at : at + 4] for at in range(0, len(self.secret), 4)
        )

    @property
    def qr(self) -> str:
        """The secret as phones read it: a picture to put into a page."""
        code = segno.make(self.uri, error="m", micro=False)
        picture: str = code.svg_data_uri(scale=5, border=4, dark="#000", light="#fff")
        return picture


def offer(session: SessionBase, *, member: Member, now: datetime) -> Offer:
    """Return the secret a member is setting up in this session; make it if need be."""
    secret = _waiting(session, member, now)
    if secret is None:
        secret = pyotp.random_base32(_SECRET_LETTERS)
        session[_WAITING] = {
            "sealed": base64.b64encode(_seal(secret, member)).decode(),
            "at": now.isoformat(),
        }
    uri = TOTP(secret).provisioning_uri(name=member.email, issuer_name=ISSUER)
    return Offer(secret, uri)


def accept_offer(
    session: SessionBase, *, member: Member, code: str, now: datetime
) -> list[str]:
    """
    Enrol the secret of this session, as `enrol` does, and forget it here. Raises
    TooManyAttempts, too.
    """
    attempts.count(member_id=member.pk, now=now)
    secret = _waiting(session, member, now)
    if secret is None:
        raise WrongCode
    codes = enrol(
        member=member,
        secret=secret,
        code=code,
        session_key=session.session_key,
        now=now,
    )
    del session[_WAITING]
    attempts.forget(member_id=member.pk, now=now)
    return codes


def enrol(
    *, member: Member, secret: str, code: str, session_key: str | None, now: datetime
) -> list[str]:
    """
    Take an app whose code shows that it has the secret, instead of the one before it.
    The code is used up.

    Returns recovery codes to be shown once, where the member had none. Raises
    WrongCode.
    """
    step = _step_of(secret, code, now)
    with transaction():
        members.lock_member(member)
        before = Totp.objects.filter(member=member).order_by("pk").first()
        if before is not None and _secret(before) == secret:
            raise WrongCode  # the same form, sent twice
        Totp.objects.update_or_create(
            member=member,
            defaults={
                "secret_sealed": _seal(secret, member),
                "last_step": step,
                "created_at": now,
            },
        )
        return changes.added(
            member=member, factor=Proof.Factor.TOTP, session_key=session_key, now=now
        )


@transaction_required
def use(*, member: Member, code: str, now: datetime) -> None:
    """Use a code up. Raises WrongCode."""
    found = Totp.objects.filter(member=member).order_by("pk").first()
    if found is None:
        raise WrongCode
    step = _step_of(_secret(found), code, now)
    # One statement looks and writes: of parallel requests one finds an older step.
    unused = Totp.objects.filter(pk=found.pk, last_step__lt=step)
    if unused.update(last_step=step) != 1:
        raise WrongCode


def remove(*, member: Member, session_key: str | None, now: datetime) -> None:
    """Forget the app. Raises NotFound where there is none."""
    with transaction():
        members.lock_member(member)
        count, _ = Totp.objects.filter(member=member).delete()
        if not count:
            raise NotFound
        changes.removed(
            member=member, factor=Proof.Factor.TOTP, session_key=session_key, now=now
        )


def _step_of(secret: str, code: str, now: datetime) -> int:
    """Return which step a code is the right one of. Raises WrongCode."""
    digits = "".join(code[:16].split())
    try:
        return TOTP(secret).verify_and_get_timecode(
            digits, for_time=now, valid_window=_WINDOW_STEPS
        )
    except OTPVerificationError as error:
        raise WrongCode from error


def _waiting(session: SessionBase, member: Member, now: datetime) -> str | None:
    kept = session.get(_WAITING)
    if kept is None or now - datetime.fromisoformat(kept["at"]) > _OFFERED_FOR:
        return None
    return _unseal(base64.b64decode(kept["sealed"]), member)


def _secret(row: Totp) -> str:
    return _unseal(bytes(row.secret_sealed), row.member)


def _seal(secret: str, member: Member) -> bytes:
    return seal(secret.encode(), purpose=_SEALED_FOR, bound_to=f"member:{member.pk}")


def _unseal(sealed: bytes, member: Member) -> str:
    name = f"member:{member.pk}"
    return unseal(sealed, purpose=_SEALED_FOR, bound_to=name).decode()
