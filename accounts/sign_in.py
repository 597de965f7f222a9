"""
Signing in and out of the pages.

A failure says nothing about which half was wrong, and costs the same time whether the
e-mail is known or not. Guessing is slowed down by accounts.lockout. Bots sign their
requests instead: see tokens.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.contrib import auth
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts import (
    devices,
    hashing,
    lockout,
    members,
    password_rules,
    proofs,
    sessions,
    sign_ins,
    throttling,
    visits,
)
from accounts.factors import keyring, losses, second_step
from accounts.factors.attempts import WrongCode
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sign_ins import SignIn
from accounts.session_store import SessionStore, digest_of
from exchange.lib import audit
from exchange.lib.errors import NotSignedIn
from exchange.lib.transactions import transaction


class WrongCredentials(NotSignedIn):
    """No member has this e-mail and this password."""

    code = "wrong_credentials"
    text = _("The e-mail address or the password is wrong.")


def sign_in(
    request: HttpRequest, *, email: str, password: str, now: datetime
) -> Member:
    """
    Check the password and give the session to the member, under a new session id. Of a
    member with a second factor the session waits for that instead: see `finish`.

    Raises WrongCredentials, attempts.TooManyAttempts after too many of them, or
    hashing.HashingBusy.
    """
    member = recognise(request, email=email, password=password, now=now)
    if not second_step.begin(request.session, member=member, now=now):
        admit(request, member, now=now)
    return member


def recognise(
    request: HttpRequest, *, email: str, password: str, now: datetime
) -> Member:
    """
    Return the member with this e-mail address and password; nobody is signed in yet.
    Raises what sign_in raises.
    """
    hashing.demand_room()
    try:
        email = members.normalised(email)
    except members.BadEmail as error:
        raise WrongCredentials from error
    knock = lockout.knock(
        email=email,
        device=devices.of(request),
        address=throttling.client_address(request.META),
        now=now,
    )
    try:
        member = _member(email, password[: password_rules.LENGTH_MAX + 1])
    except WrongCredentials:
        outcome = SignIn.Outcome.WRONG_PASSWORD
        sign_ins.note_refused(request, _known(email), outcome=outcome, now=now)
        lockout.failed(knock)
        raise
    except hashing.HashingBusy:
        lockout.undo(knock, now=now)
        raise
    lockout.passed(knock, now=now)
    return member


def finish(request: HttpRequest, *, shown: keyring.Shown, now: datetime) -> Member:
    """
    Check the factor that was asked for after the password, and give the session to the
    member.

    Raises second_step.StepOver, WrongCode or TooManyAttempts.
    """
    member = second_step.waiting(request.session, now=now)
    shown_so_far = (Proof.Factor.PASSWORD, shown.factor)
    try:
        keyring.check(member=member, shown=shown, now=now)
    except WrongCode:
        outcome = SignIn.Outcome.WRONG_FACTOR
        sign_ins.note_refused(
            request, member, outcome=outcome, factors=shown_so_far, now=now
        )
        raise
    second_step.forget(request.session)
    losses.disprove(member=member, now=now)
    admit(request, member, factors=shown_so_far, now=now)
    with transaction():
        proofs.record(
            member=member,
            session_key=str(request.session.session_key),
            purpose=shown.purpose,
            factor=shown.factor,
            now=now,
        )
    return member


def admit(
    request: HttpRequest,
    member: Member,
    *,
    now: datetime,
    factors: Collection[Proof.Factor] = (Proof.Factor.PASSWORD,),
) -> None:
    """
    Give the session to a member who has shown all that is asked for, under a new
    session id. `factors` is what was shown. Their browser is a known one from now on:
    see accounts.middleware.
    """
    with transaction():
        auth.login(request, member)
        request.admitted = member  # type: ignore[attr-defined]  # for RememberDevice
        session = request.session
        # However busy it is: a session does not outlive this.
        session.set_expiry(now + sessions.longest(is_operator=member.is_staff))
        session.save()
        sessions.note_where(
            session_key=str(session.session_key), visit=visits.of(request), now=now
        )
        sign_ins.note_admitted(request, member, factors=factors, now=now)
        audit.record(f"member:{member.pk}", "signed_in", f"member:{member.pk}")


def renew(request: HttpRequest, member: Member) -> None:
    """Go on under a new session id after the member's password changed."""
    auth.update_session_auth_hash(request, member)


def sign_out(request: HttpRequest) -> None:
    """End the session on our side: a copy of its cookie opens nothing any more."""
    if request.user.is_authenticated:
        member = f"member:{request.user.pk}"
        audit.record(member, "signed_out", member)
    auth.logout(request)


def still_signed_in(session_keys: Collection[str], *, now: datetime) -> set[str]:
    """
    Return those of the sessions that would open a page now: neither ended nor expired,
    under the password of today, of a member who may sign in.
    """
    sessions.note_listening(session_keys, now=now)
    keys = {digest_of(key): key for key in session_keys}
    live = sessions.live(now).filter(pk__in=keys)
    contents = {
        keys[row.session_key]: SessionStore().decode(row.session_data) for row in live
    }
    ids = [
        each[auth.SESSION_KEY] for each in contents.values() if auth.SESSION_KEY in each
    ]
    found = Member.objects.in_bulk([int(id) for id in ids])
    return {
        key
        for key, each in contents.items()
        if (member := found.get(int(each.get(auth.SESSION_KEY, 0))))
        and member.is_active
        and constant_time_compare(
            each.get(auth.HASH_SESSION_KEY, ""), member.get_session_auth_hash()
        )
    }


def _known(email: str) -> Member | None:
    return Member.objects.filter(email=email).order_by("pk").first()


def _member(email: str, password: str) -> Member:
    found = _known(email)
    verdict = hashing.check(password, found.password if found else None)
    if found is None or not verdict.is_right or not found.is_active:
        raise WrongCredentials
    if verdict.is_outdated:
        _hash_anew(found, password)
    return found


def _hash_anew(member: Member, password: str) -> None:
    """Store the hash with today's parameters. It ends the member's other sessions."""
    try:
        fresh = hashing.hashed(password)
    except hashing.HashingBusy:
        return  # another time
    known, member.password = member.password, fresh
    Member.objects.filter(pk=member.pk, password=known).update(password=fresh)
