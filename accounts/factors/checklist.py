"""How well an account is protected, as a list to tick off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from accounts.factors import recovery
from accounts.factors.keyring import Keyring
from accounts.models.members import Member

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


@dataclass(frozen=True, slots=True)
class Point:
    """Something that protects, and whether it is there."""

    text: StrPromise
    is_done: bool


@dataclass(frozen=True, slots=True)
class Checklist:
    points: list[Point]

    @property
    def done(self) -> int:
        return sum(point.is_done for point in self.points)


def of(member: Member, held: Keyring) -> Checklist:
    """Return what protects a member's account, and what is missing."""
    kinds = bool(held.totp) + bool(held.phone) + bool(held.passkeys)
    points = [
        (_("Your e-mail address is confirmed"), member.is_activated),
        (_("A second factor is asked for when you sign in"), not held.is_empty),
        (_("A passkey: no false site can use it"), bool(held.passkeys)),
        (_("A second kind of factor, for the day one is lost"), kinds > 1),
        (_("Recovery codes on paper"), held.recovery_left > recovery.LOW),
        (
            _("A mail phrase, which tells our mails from forged ones"),
            bool(member.mail_phrase),
        ),
    ]
    return Checklist([Point(text, is_done) for text, is_done in points])
