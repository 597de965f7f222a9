"""Transfers: what one member paid another, inside the house."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class Transfer(models.Model):
    """
    A payment from one member to another; written when it is booked, and never changed.

    value           what it was worth in the currency that limits are counted in
    is_by_address   whether the sender named an e-mail address, and no member number
    proof           the one code that was shown for it, and for nothing else; transfers
                    by API key have the key instead
    """

    append_only = True

    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    amount = AmountField()
    value = AmountField()
    is_by_address = models.BooleanField()
    # What the sender wants the recipient to read.
    note = models.CharField(max_length=140, blank=True)
    client_id = models.CharField(max_length=64, null=True)
    proof = models.OneToOneField(
        "accounts.Proof", on_delete=models.PROTECT, related_name="+", null=True
    )
    token = models.ForeignKey(
        "accounts.ApiToken", on_delete=models.PROTECT, related_name="+", null=True
    )
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        constraints = [
            sound_amount("amount", "transfer_amount_is_positive"),
            sound_amount("value", "transfer_value_is_sound", zero_allowed=True),
            models.CheckConstraint(
                condition=~Q(sender=F("recipient")), name="nobody_transfers_to_oneself"
            ),
            models.CheckConstraint(
                condition=Q(proof__isnull=True) ^ Q(token__isnull=True),
                name="a_transfer_has_a_proof_or_a_key",
            ),
            models.UniqueConstraint(
                fields=["sender", "client_id"], name="one_transfer_per_client_id"
            ),
        ]
        indexes = [
            models.Index(fields=["sender", "-id"], name="transfers_by_sender"),
            models.Index(fields=["recipient", "-id"], name="transfers_by_recipient"),
        ]

    def __str__(self) -> str:
        return f"transfer {self.pk}: {self.amount} {self.currency_id}"
