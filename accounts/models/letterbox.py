"""Mails that somebody asked for by naming an address, which may be nobody's."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Letter(models.Model):
    """Waits a few seconds for accounts.postman, who knows whose address it is."""

    email = models.EmailField()
    event = models.CharField(max_length=32)
    at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.event} for {self.email}"
