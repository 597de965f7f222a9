"""The rows of exchange.lib: the audit trail. They refer by text, never by key."""

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
