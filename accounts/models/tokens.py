"""API tokens, what was used up with them, and when they were last used."""

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
    # Space separated: the ancestor's words or ours, see accounts.scopes.
    scopes = models.CharField(max_length=128, default="all")
    # Networks that may use the token; empty means any.
    trusted_ips = models.JSONField(default=list, blank=True)
    # Of the form it was made with: sent twice, it makes no second one.
    form_id = models.UUIDField(null=True, editable=False, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(scopes__contains="withdraw")
                | ~models.Q(trusted_ips=[]),
                name="withdrawals_are_for_named_networks",
            )
        ]

    def __str__(self) -> str:
        return f"{self.access_key[:8]}… of member {self.member_id}"


class TokenUse(models.Model):
    """
    When and from where a token was last used, to the minute. Apart from the token: a
    token's row changes only when what it may do changes.
    """

    token = models.OneToOneField(
        ApiToken, on_delete=models.PROTECT, primary_key=True, related_name="use"
    )
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)

    def __str__(self) -> str:
        return f"token {self.token_id} from {self.address} at {self.at:%F %H:%M}"


class UsedTonce(models.Model):
    """A tonce that was accepted once; kept for twice the window."""

    pk = models.CompositePrimaryKey("token_id", "tonce")
    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+")
    tonce = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["tonce"], name="tonces_by_age")]

    def __str__(self) -> str:
        return f"{self.token_id}/{self.tonce}"


class UsedNonce(models.Model):
    """A nonce that was accepted once, with its time; kept for thrice the window."""

    pk = models.CompositePrimaryKey("token_id", "nonce")
    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+")
    nonce = models.CharField(max_length=64)
    timestamp = models.BigIntegerField()  # milliseconds, as signed

    class Meta:
        indexes = [models.Index(fields=["timestamp"], name="nonces_by_age")]

    def __str__(self) -> str:
        return f"{self.token_id}/{self.nonce}"
