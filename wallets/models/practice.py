"""
The practice chain: blocks and coins that anybody can make, worth nothing.

Only `wallets.chains.practice` reads and writes here; to the rest of the exchange it is
a node like any other. Nothing is ever deleted: a block that lost is inactive.
"""

from __future__ import annotations

from django.db import models

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class PracticeBlock(models.Model):
    """A block; the active ones are the chain, one of each height."""

    currency = models.ForeignKey(Currency, on_delete=models.CASCADE, related_name="+")
    height = models.PositiveIntegerField()
    hash = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField()
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "height"],
                condition=models.Q(is_active=True),
                name="one_active_practice_block_per_height",
            )
        ]

    def __str__(self) -> str:
        return f"{self.currency_id} {self.height} {self.hash}"


class PracticeTransaction(models.Model):
    """A transaction; in a block, waiting for one, or dropped by the mempool."""

    currency = models.ForeignKey(Currency, on_delete=models.CASCADE, related_name="+")
    txid = models.CharField(max_length=64)
    raw = models.TextField()
    fee = AmountField(default=0)
    at = models.DateTimeField()
    is_dropped = models.BooleanField(default=False)
    blocks = models.ManyToManyField(PracticeBlock, related_name="transactions")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "txid"], name="one_practice_transaction_per_id"
            )
        ]

    def __str__(self) -> str:
        return f"{self.currency_id} {self.txid}"


class PracticeInput(models.Model):
    """What a transaction spends."""

    transaction = models.ForeignKey(
        PracticeTransaction, on_delete=models.CASCADE, related_name="inputs"
    )
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["txid", "vout"], name="practice_inputs_spent")]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class PracticeOutput(models.Model):
    """Whom a transaction pays."""

    transaction = models.ForeignKey(
        PracticeTransaction, on_delete=models.CASCADE, related_name="outputs"
    )
    vout = models.PositiveIntegerField()
    address = models.CharField(max_length=90, db_index=True)
    amount = AmountField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["transaction", "vout"], name="one_practice_output_per_place"
            ),
            sound_amount("amount", "practice_output_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} to {self.address}"


class PracticeAddress(models.Model):
    """An address of the exchange's own wallet."""

    address = models.CharField(max_length=90, primary_key=True)
    currency = models.ForeignKey(Currency, on_delete=models.CASCADE, related_name="+")
    is_change = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.address
