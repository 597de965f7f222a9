"""The rows of exchange.lib: the audit trail with its chain, and mail on its way out."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class AuditRecord(models.Model):
    """One deed: append-only."""

    append_only = True

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=96)
    facts = models.JSONField(default=dict)
    is_alarm = models.BooleanField(default=False)
    # Where it came from; empty for what the exchange does by itself.
    request_id = models.CharField(max_length=32, blank=True, db_default="")
    address = models.CharField(max_length=64, blank=True, db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["subject", "id"], name="audit_by_subject"),
            models.Index(
                fields=["id"],
                condition=models.Q(is_alarm=True),
                name="audit_alarms",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject} (#{self.pk})"


class AuditLink(models.Model):
    """
    One record's place in the chain, in the order of chaining: append-only. What its
    hash covers is said in `audit_chain`.
    """

    append_only = True

    seq = models.BigIntegerField(primary_key=True)
    record = models.OneToOneField(
        AuditRecord, on_delete=models.PROTECT, related_name="link"
    )
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"link {self.seq} {self.hash[:8]}…"


class AuditCheckpoint(models.Model):
    """How far the chain was once verified: append-only."""

    append_only = True

    seq = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"checkpoint {self.seq} {self.hash[:8]}…"


class Mail(models.Model):
    """A mail that is to be sent, or was. The row is the queue: see `mail`."""

    to = models.EmailField()
    subject = models.CharField(max_length=200)
    # Text and HTML, encrypted: there are links in it that open things. Forgotten once
    # it is sent, except where /dev/mail shows it.
    sealed = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(db_default=0)
    try_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["try_at"],
                condition=models.Q(sent_at=None),
                name="mails_to_be_sent",
            )
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} to {self.to}"
