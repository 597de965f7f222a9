"""Proofs of who is acting: each a fact that an act can point at."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Proof(models.Model):
    """
    Somebody showed a factor, in one session, for one purpose. Acts that are good for
    one proof each point at its row, and nothing is proven twice by one code.
    """

    class Purpose(models.TextChoices):
        SIGN_IN = "sign_in"
        SECURITY = "security"  # sensitive acts, for five minutes
        WITHDRAWAL = "withdrawal"  # one act: the withdrawal points at it

    class Factor(models.TextChoices):
        PASSWORD = "password"  # noqa: S105 - a name
        TOTP = "totp"
        SMS = "sms"
        PASSKEY = "passkey"
        RECOVERY = "recovery"

    append_only = True

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="proofs"
    )
    # The digest of the session it was shown in: see accounts.session_store.
    session = models.CharField(max_length=40)
    purpose = models.CharField(max_length=16, choices=Purpose)
    factor = models.CharField(max_length=16, choices=Factor)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["session", "-at"], name="proofs_by_session"),
            models.Index(fields=["member", "-at"], name="proofs_by_member"),
        ]

    def __str__(self) -> str:
        return f"{self.factor} for {self.purpose} by member {self.member_id}"
