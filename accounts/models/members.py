"""Members: who they are and whether they may act."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from taggit.managers import TaggableManager

_SERIAL_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # base32, as the ancestor used


def new_serial() -> str:
    """Make a public member number in the ancestor's form: PEA, 8 letters, TIO."""
    return "PEA" + "".join(secrets.choice(_SERIAL_LETTERS) for _ in range(8)) + "TIO"


class MemberManager(BaseUserManager):  # type: ignore[type-arg]  # not at run time
    """What Django's own commands need; everything else calls accounts.members."""

    def get_by_natural_key(self, username: str | None) -> Member:
        member: Member = self.get(email__iexact=username)
        return member

    def create_superuser(self, email: str, password: str, **extra: Any) -> Member:
        member: Member = self.model(
            email=email, is_staff=True, is_superuser=True, **extra
        )
        member.set_password(password)
        member.save(using=self._db)
        return member


class Member(AbstractBaseUser, PermissionsMixin):
    """A person or firm with an account here."""

    class State(models.TextChoices):
        ACTIVE = "active"
        FROZEN = "frozen"  # may look, may not trade or withdraw
        CLOSED = "closed"  # may not sign in

    # Members' numbers are public (PEA…TIO); the id stays inside.
    sn = models.CharField(
        max_length=14, unique=True, default=new_serial, editable=False
    )
    email = models.EmailField(unique=True)
    display_name = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    # Links that freeze are good until the next freeze: see accounts.freezing.
    times_frozen = models.PositiveIntegerField(db_default=0, editable=False)
    api_disabled = models.BooleanField(default=False)
    # When the e-mail address was shown to be theirs.
    activated_at = models.DateTimeField(null=True, blank=True)
    # Of the identity check: 0 none, then as far as documents were verified.
    identity_level = models.PositiveSmallIntegerField(default=0)
    # When password, factors or address last changed: withdrawals rest after it.
    security_changed_at = models.DateTimeField(null=True, blank=True)
    language = models.CharField(max_length=10, blank=True)  # empty: the browser's
    time_zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(max_length=5, blank=True)  # light, dark; empty: system's
    # Stands in every mail of ours, so that forged ones can be told.
    mail_phrase = models.CharField(max_length=64, blank=True)
    # Optional notices this member does not want: see accounts.notices.
    muted_notices = ArrayField(
        models.CharField(max_length=32), default=list, blank=True
    )
    # What operators call them: vip, hero. The member sees it.
    tags = TaggableManager(blank=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[MemberManager] = MemberManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="email_is_one_persons"),
            models.CheckConstraint(
                condition=models.Q(state__in=["active", "frozen", "closed"]),
                name="member_state_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(identity_level__lte=3),
                name="identity_level_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.masked_email} ({self.sn})"

    @property
    def masked_email(self) -> str:
        """Enough to recognise somebody one knows, too little to write to them."""
        name, _at, host = self.email.partition("@")
        return f"{name[:1]}…@{host}"

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # Django's name for it
        return self.state != self.State.CLOSED

    @property
    def is_activated(self) -> bool:
        return self.activated_at is not None

    @property
    def may_trade(self) -> bool:
        return self.state == self.State.ACTIVE and self.is_activated
