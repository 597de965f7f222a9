"""
What a member takes away of their account. Secrets are no part of it, nor what operators
said among themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from accounts import exports, identity
from accounts.exports import Row
from accounts.models.factors import Passkey, Phone, Totp
from accounts.models.identity import IdentityDocument
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.models.sign_ins import SignIn
from accounts.models.tickets import Comment
from accounts.models.tokens import ApiToken
from exchange.lib.models import AuditRecord

_AT_ONCE = 500  # rows read from the database at a time


def install() -> None:
    """Add to what an export holds."""
    exports.parts |= {
        "profile": _profile,
        "identity": _identity,
        "factors": _factors,
        "sessions": _sessions,
        "sign_ins": _sign_ins,
        "api_keys": _keys,
        "tickets": _tickets,
        "audit_trail": _audit_trail,
    }


def _profile(member: Member) -> Iterator[Row]:
    names = (
        *("sn", "email", "display_name", "state", "created_at", "activated_at"),
        *("identity_level", "security_changed_at", "last_login"),
        *("language", "time_zone", "theme", "mail_phrase", "muted_notices"),
    )
    yield {name: getattr(member, name) for name in names}


def _sessions(member: Member) -> Iterator[Row]:
    names = ("created_at", "seen_at", "address", "user_agent", "place")
    rows = Session.objects.filter(member=member).order_by("created_at")
    yield from rows.values(*names).iterator(_AT_ONCE)


def _sign_ins(member: Member) -> Iterator[Row]:
    names = ("at", "outcome", "factors", "address", "user_agent", "place")
    rows = SignIn.objects.filter(member=member).order_by("pk")
    yield from rows.values(*names).iterator(_AT_ONCE)


def _keys(member: Member) -> Iterator[Row]:
    names = (
        *("label", "access_key", "scopes", "trusted_ips"),
        *("created_at", "expires_at", "revoked_at"),
    )
    rows = ApiToken.objects.filter(member=member).order_by("pk")
    yield from rows.values(*names).iterator(_AT_ONCE)


def _audit_trail(member: Member) -> Iterator[Row]:
    """What was done to the member; not by which of our people, nor their notes."""
    rows = AuditRecord.objects.filter(subject=f"member:{member.pk}").order_by("pk")
    for row in rows.iterator(_AT_ONCE):
        by = row.actor if row.actor == row.subject else row.actor.partition(":")[0]
        facts = row.facts if by == row.subject else {}
        yield {"at": row.at, "by": by, "action": row.action, "facts": facts}


def _identity(member: Member) -> Iterator[Row]:
    case = identity.case_of(member)
    if case is None:
        return
    if said := identity.personal_data(case):
        yield asdict(said)
    names = ("part", "kind", "state", "created_at")
    documents = IdentityDocument.objects.filter(case=case).order_by("pk")
    yield from documents.values(*names).iterator(_AT_ONCE)


def _factors(member: Member) -> Iterator[Row]:
    for app in Totp.objects.filter(member=member):
        yield {"kind": "totp", "created_at": app.created_at}
    for phone in Phone.objects.filter(member=member):
        row = {"kind": "sms", "number": phone.number}
        yield row | {"created_at": phone.created_at}
    passkeys = Passkey.objects.filter(member=member).order_by("pk")
    for passkey in passkeys.values("label", "created_at", "used_at"):
        yield {"kind": "passkey", **passkey}


def _tickets(member: Member) -> Iterator[Row]:
    said = Comment.objects.filter(ticket__member=member, is_note=False).order_by("pk")
    for row in said.select_related("ticket").iterator(_AT_ONCE):
        ticket = row.ticket
        yield {
            "ticket": ticket.number,
            "subject": ticket.subject,
            "by": "support" if row.is_operator else "member",
            "at": row.at,
            "text": row.text,
        }
