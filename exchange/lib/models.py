"""The rows of exchange.lib: the audit trail, and mail on its way out."""

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
