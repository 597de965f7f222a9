"""Second factors: what a member can show besides the password, and losing all of it."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django_fsm import FSMField, transition


class Totp(models.Model):
    """A member's authenticator app. There is a row once it has shown a valid code."""

    member = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="totp"
    )
    secret_sealed = models.BinaryField()
    # The newest step a code was accepted of: that one and older ones are used up.
    last_step = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "authenticator app"

    def __str__(self) -> str:
        return f"authenticator app of member {self.member_id}"


class Phone(models.Model):
    """A mobile phone that has received a code."""

    member = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="phone"
    )
    number = models.CharField(max_length=16)  # E.164: "+" and at most 15 digits
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"phone of member {self.member_id}"


class SmsCode(models.Model):
    """
    A code on its way to a phone, for one purpose in one session. The row is the queue:
    see accounts.factors.sms.
    """

    class Purpose(models.TextChoices):
        """Those of proofs, and one of our own."""

        SIGN_IN = "sign_in"
        SECURITY = "security"
        WITHDRAWAL = "withdrawal"
        ENROLMENT = "enrolment"

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    number = models.CharField(max_length=16)
    purpose = models.CharField(max_length=16, choices=Purpose)
    session = models.CharField(max_length=40)  # the digest of its key
    asker = models.CharField(
        max_length=64, db_default=""
    )  # the digest of who, or where
    digest = models.CharField(max_length=64)
    sealed = models.BinaryField(null=True)  # what it says; forgotten once it is sent
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    try_at = models.DateTimeField()
    # Used, or replaced by a newer one.
    spent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "SMS code"
        indexes = [
            models.Index(fields=["member", "-id"], name="sms_codes_by_member"),
            models.Index(fields=["number"], name="sms_codes_by_number"),
            models.Index(
                fields=["try_at"],
                condition=models.Q(sealed__isnull=False),
                name="sms_codes_to_be_sent",
            ),
        ]

    def __str__(self) -> str:
        return f"SMS code {self.pk} for {self.purpose} of member {self.member_id}"


class Passkey(models.Model):
    """A passkey or hardware key: its public half."""

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="passkeys"
    )
    credential_id = models.BinaryField(unique=True, max_length=1023)
    public_key = models.BinaryField()
    sign_count = models.BigIntegerField()
    # The digest of the challenge it answered last: one answer to each.
    last_challenge = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["member"], name="passkeys_by_member")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sign_count__gte=0),
                name="sign_count_is_never_negative",
            )
        ]

    def __str__(self) -> str:
        return f"passkey {self.pk} of member {self.member_id}"


class RecoveryCode(models.Model):
    """One of ten codes on paper; only its digest is here."""

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["member"], name="recovery_codes_by_member")]

    def __str__(self) -> str:
        return f"recovery code {self.pk} of member {self.member_id}"


class FactorLoss(models.Model):
    """A member who knows the password has lost all factors, and says so."""

    class State(models.TextChoices):
        REQUESTED = "requested"
        COOLING = "cooling"  # approved; whoever still has a factor can object
        DONE = "done"
        REFUSED = "refused"
        CANCELLED = "cancelled"

    OPEN = (State.REQUESTED, State.COOLING)

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="factor_losses"
    )
    state = FSMField(choices=State, default=State.REQUESTED)
    story = models.CharField(max_length=500)  # what the member says has happened
    requested_at = models.DateTimeField()
    # Set once, when it is approved: no clock that jumps back makes it sooner.
    due_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "factor losses"
        permissions = [("decide_factorloss", "May approve and refuse lost factors")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    state__in=["requested", "cooling", "done", "refused", "cancelled"]
                ),
                name="factor_loss_state_is_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["cooling", "done"])
                | models.Q(due_at__isnull=False),
                name="factor_loss_is_done_after_its_cool_off",
            ),
            models.UniqueConstraint(
                fields=["member"],
                condition=models.Q(state__in=["requested", "cooling"]),
                name="one_factor_loss_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"factor loss {self.pk} of member {self.member_id}"

    @transition(field=state, source=State.REQUESTED, target=State.COOLING)
    def approve(self, *, reason: str, decided_by: str, due_at: str) -> None:
        self.reason, self.decided_by = reason, decided_by
        self.due_at = datetime.fromisoformat(due_at)

    @transition(field=state, source=list(OPEN), target=State.REFUSED)
    def refuse(self, *, reason: str, decided_by: str, ended_at: str) -> None:
        self.reason, self.decided_by = reason, decided_by
        self.ended_at = datetime.fromisoformat(ended_at)

    @transition(field=state, source=list(OPEN), target=State.CANCELLED)
    def cancel(self, *, ended_at: str) -> None:
        self.ended_at = datetime.fromisoformat(ended_at)

    @transition(field=state, source=State.COOLING, target=State.DONE)
    def finish(self, *, ended_at: str) -> None:
        self.ended_at = datetime.fromisoformat(ended_at)
