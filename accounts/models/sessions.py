"""Sessions of the pages: who, since when, from where."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Now


class Session(AbstractBaseSession):
    """
    A browser's session. The key is stored as its digest, so that a stolen table opens
    no session; see accounts.session_store.
    """

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="sessions",
        null=True,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When a request, or a page that listens, was last seen.
    seen_at = models.DateTimeField(db_default=Now())
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True, db_default="")
    place = models.CharField(max_length=16, blank=True, db_default="")

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        verbose_name = "session"
        verbose_name_plural = "sessions"
        indexes = [models.Index(fields=["member"], name="sessions_by_member")]
