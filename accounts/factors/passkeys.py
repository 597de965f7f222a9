"""
Passkeys and hardware keys, by WebAuthn.

The browser signs a challenge of ours together with the site it is on, so that what is
shown to a false site is worth nothing here. A challenge stays on our side, in the
session, for one purpose; it is answered once, within five minutes, by somebody whom the
key has recognised (a finger, a face, a PIN). A counter that goes backwards means a copy
of a key, and is refused.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import webauthn
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.translation import gettext_lazy as _
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts import members
from accounts.factors import changes
from accounts.factors.attempts import WrongCode
from accounts.models.factors import Passkey
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib import audit, words
from exchange.lib.errors import NotFound, Refused
from exchange.lib.transactions import transaction, transaction_required

COUNT_MAX = 10
LABEL_LENGTH_MAX = 64
_VALID = timedelta(minutes=5)
_VALID_MS = 300_000
_CHALLENGE = "passkey_challenge"
_ENROLMENT = "enrolment"
_RP_NAME = "Pixiu"
# Besides its own errors the library lets some of what malformed answers cause slip out.
_MALFORMED = (WebAuthnException, ValueError, LookupError, TypeError, RecursionError)
_VERIFIED = UserVerificationRequirement.REQUIRED


class TooManyPasskeys(Refused):
    """Ten keys are as many as anybody can look after."""

    code = "too_many_passkeys"
    text = _("You have ten passkeys already. Please remove one that you do not use.")


class KnownAlready(Refused):
    """This key was added before, here or by somebody else."""

    code = "passkey_known"
    text = _("This passkey cannot be added: it has been added already.")


def origin() -> str:
    """Return the one origin at which passkeys of this exchange work."""
    site = urlsplit(settings.SITE_URL)
    return f"{site.scheme}://{site.netloc}"


def enrolment_options(session: SessionBase, *, member: Member, now: datetime) -> str:
    """Return, as JSON, what a browser needs to make a passkey; keep the challenge."""
    options = webauthn.generate_registration_options(
        rp_id=settings.SITE_HOST,
        rp_name=_RP_NAME,
        user_id=member.sn.encode(),
        user_name=member.email,
        user_display_name=member.display_name or member.email,
        timeout=_VALID_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=_VERIFIED,
        ),
        exclude_credentials=_descriptors(member),
    )
    _keep(session, options.challenge, _ENROLMENT, member, now)
    return webauthn.options_to_json(options)


def options(
    session: SessionBase, *, member: Member, purpose: Proof.Purpose, now: datetime
) -> str:
    """Return, as JSON, what a browser needs to show a passkey; keep the challenge."""
    made = webauthn.generate_authentication_options(
        rp_id=settings.SITE_HOST,
        timeout=_VALID_MS,
        allow_credentials=_descriptors(member),
        user_verification=_VERIFIED,
    )
    _keep(session, made.challenge, purpose.value, member, now)
    return webauthn.options_to_json(made)


def take_challenge(
    session: SessionBase, *, member: Member, purpose: Proof.Purpose, now: datetime
) -> bytes:
    """Take the challenge for this purpose out of the session. Raises WrongCode."""
    return _take(session, purpose.value, member, now)


def enrol(
    session: SessionBase, *, member: Member, answer: str, label: str, now: datetime
) -> list[str]:
    """
    Take a new passkey that answers the challenge of this session.

    Returns recovery codes to be shown once, where the member had none. Raises
    WrongCode, TooManyPasskeys, KnownAlready or words.Unseen.
    """
    label = words.line(label)[:LABEL_LENGTH_MAX]
    challenge = _take(session, _ENROLMENT, member, now)
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=settings.SITE_HOST,
            expected_origin=origin(),
            require_user_verification=True,
        )
    except _MALFORMED as error:
        raise WrongCode from error
    with transaction():
        members.lock_member(member)
        if Passkey.objects.filter(member=member).count() >= COUNT_MAX:
            raise TooManyPasskeys
        _row, is_new = Passkey.objects.get_or_create(
            credential_id=made.credential_id,
            defaults={
                "member": member,
                "public_key": made.credential_public_key,
                "sign_count": made.sign_count,
                "label": label or str(_("Passkey")),
                "created_at": now,
            },
        )
        if not is_new:
            raise KnownAlready
        return changes.added(
            member=member,
            factor=Proof.Factor.PASSKEY,
            session_key=session.session_key,
            now=now,
        )


@transaction_required
def use(*, member: Member, answer: str, challenge: bytes, now: datetime) -> None:
    """Believe an answer to a challenge, once. Raises WrongCode."""
    passkey = _named_in(answer, member)
    try:
        shown = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=settings.SITE_HOST,
            expected_origin=origin(),
            credential_public_key=bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _MALFORMED as error:
        raise WrongCode from error
    # One statement looks and writes: of parallel requests one finds it as it was.
    answered = hashlib.sha256(challenge).hexdigest()
    as_it_was = Passkey.objects.filter(
        pk=passkey.pk, sign_count=passkey.sign_count
    ).exclude(last_challenge=answered)
    changed = as_it_was.update(
        sign_count=shown.new_sign_count, last_challenge=answered, used_at=now
    )
    if changed != 1:
        raise WrongCode


def of(member: Member) -> list[Passkey]:
    """Return a member's passkeys, the oldest first."""
    return list(Passkey.objects.filter(member=member).order_by("pk"))


def one_of(member: Member, pk: int) -> Passkey:
    """Return one of a member's own passkeys. Raises NotFound."""
    found = Passkey.objects.filter(member=member, pk=pk).order_by("pk").first()
    if found is None:
        raise NotFound
    return found


def rename(*, member: Member, pk: int, label: str) -> None:
    """Call a passkey otherwise. Raises NotFound or words.Unseen."""
    label = words.line(label)[:LABEL_LENGTH_MAX]
    with transaction():
        mine = Passkey.objects.filter(member=member, pk=pk)
        if not mine.update(label=label):
            raise NotFound
        audit.record(f"member:{member.pk}", "passkey_renamed", f"passkey:{pk}")


def remove(*, member: Member, pk: int, session_key: str | None, now: datetime) -> None:
    """Believe a passkey no more. Raises NotFound."""
    with transaction():
        members.lock_member(member)
        count, _rows = Passkey.objects.filter(member=member, pk=pk).delete()
        if not count:
            raise NotFound
        changes.removed(
            member=member,
            factor=Proof.Factor.PASSKEY,
            session_key=session_key,
            now=now,
        )


def _named_in(answer: str, member: Member) -> Passkey:
    try:
        named = parse_authentication_credential_json(answer)
    except _MALFORMED as error:
        raise WrongCode from error
    mine = Passkey.objects.filter(member=member, credential_id=named.raw_id)
    found = mine.order_by("pk").first()
    if found is None:
        raise WrongCode
    return found


def _descriptors(member: Member) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=bytes(each.credential_id))
        for each in of(member)
    ]


def _keep(
    session: SessionBase, challenge: bytes, purpose: str, member: Member, now: datetime
) -> None:
    session[_CHALLENGE] = {
        "challenge": bytes_to_base64url(challenge),
        "purpose": purpose,
        "member": member.pk,
        "at": now.isoformat(),
    }


def _take(session: SessionBase, purpose: str, member: Member, now: datetime) -> bytes:
    kept = session.pop(_CHALLENGE, None)
    if (
        kept is None
        or (kept["purpose"], kept["member"]) != (purpose, member.pk)
        or now - datetime.fromisoformat(kept["at"]) > _VALID
    ):
        raise WrongCode
    return base64url_to_bytes(kept["challenge"])
