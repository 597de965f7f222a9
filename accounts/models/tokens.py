"""API tokens and the tonces that were used with them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class ApiToken(models.Model):
    """A pair of keys a bot signs with. The secret is stored encrypted."""

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tokens"
    )
    label = models.CharField(max_length=64, blank=True)
    access_key = models.CharField(max_length=40, unique=True)
    secret_encrypted = models.BinaryField()
    # Space separated, or "all", as the ancestor wrote them.
    scopes = models.CharField(max_length=128, default="all")
    # Networks that may use the token; empty means any.
    trusted_ips = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.access_key[:8]}… of member {self.member_id}"


class UsedTonce(models.Model):
    """A tonce that was accepted once; kept for twice the window."""

    pk = models.CompositePrimaryKey("token_id", "tonce")
    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+")
    tonce = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["tonce"], name="tonces_by_age")]

    def __str__(self) -> str:
        return f"{self.token_id}/{self.tonce}"
