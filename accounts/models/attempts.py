"""How often something was tried in vain, by whom or at what."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Attempts(models.Model):
    """
    A row of failures that is not forgotten yet. The key says of what, digested: see
    accounts.attempts.
    """

    key = models.CharField(primary_key=True, max_length=80)
    count = models.PositiveIntegerField()
    # When this row of failures began, and when the last one came.
    since = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())
    # Until then nobody may try again.
    opens_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "attempts"
        verbose_name_plural = "attempts"
        indexes = [models.Index(fields=["last_at"], name="attempts_by_age")]

    def __str__(self) -> str:
        return f"{self.count} × {self.key}"
