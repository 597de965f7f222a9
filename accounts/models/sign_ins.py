"""The history of signing in: who, when, from where, how, and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.proofs import Proof


class SignIn(models.Model):
    """
    An attempt to sign in. One that failed has no member where nobody has the address
    that was typed: it is written all the same, because a write that is left out can be
    measured from outside.
    """

    class Outcome(models.TextChoices):
        ADMITTED = "admitted"
        WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a name
        WRONG_FACTOR = "wrong_factor"

    append_only = True

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="sign_ins",
        null=True,
    )
    at = models.DateTimeField(db_default=Now(), editable=False)
    outcome = models.CharField(max_length=16, choices=Outcome)
    # What was shown: the password, and which second factor.
    factors = ArrayField(
        models.CharField(max_length=16, choices=Proof.Factor), default=list
    )
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    place = models.CharField(max_length=16, blank=True)
    # The digest of what the browser's own cookie says: see accounts.devices.
    device = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes = [models.Index(fields=["member", "-id"], name="sign_ins_by_member")]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["admitted", "wrong_password", "wrong_factor"]),
                name="sign_in_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="admitted") | Q(member__isnull=False),
                name="only_members_are_admitted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: member {self.member_id} from {self.address}"
