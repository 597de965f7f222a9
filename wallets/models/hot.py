"""
The hot wallet of each coin: whether it pays, what it sent without us, and how its
figures compare with the books.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class HotWallet(models.Model):
    """
    How a coin's payouts fare.

    trouble   why withdrawals wait by themselves; tried again at `try_at`
    paused    nothing new is signed until an operator has looked
    """

    class Trouble(models.TextChoices):
        NODE_AWAY = "node_away", _("The node of this coin does not answer.")
        NODE_UNWELL = "node_unwell", _("The node of this coin is not well.")
        NODE_REFUSED = "node_refused", _("The node did not do what it was asked.")
        LOCKED = "locked", _("The wallet is locked.")
        TOO_FEW_COINS = "too_few_coins", _("The hot wallet waits to be refilled.")
        FEE_ABSURD = "fee_absurd", _("The network asks for too high a fee.")
        LIMIT_REACHED = "limit_reached", _("The wallet has paid out its limit.")
        UNCOVERED = "uncovered", _("We hold less of this coin than we owe.")

    class Pause(models.TextChoices):
        SENT_WITHOUT_US = "sent_without_us", _("The wallet sent something without us.")
        UNSAFE = "unsafe", _("What was signed does not say what is owed.")

    currency = models.OneToOneField(
        Currency, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    trouble = models.CharField(max_length=20, choices=Trouble, blank=True)
    trouble_since = models.DateTimeField(null=True)
    try_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    paused_why = models.CharField(max_length=20, choices=Pause, blank=True)
    # Up to which block we know what it sent; empty for nothing yet.
    sent_until = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("hot wallet")
        verbose_name_plural = _("hot wallets")

    def __str__(self) -> str:
        return f"hot wallet of {self.currency_id}"


class ForeignSend(models.Model):
    """
    A transaction of our wallet that our rows do not know: somebody used its keys
    without us, or our database was restored from before it.
    """

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    txid = models.CharField(max_length=64)
    outputs = models.JSONField(default=list)  # [address, amount], as they are
    found_at = models.DateTimeField()
    # Looked at by an operator.
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.CharField(max_length=64, blank=True)
    # The miner's, once it is booked: with the first withdrawal that it paid.
    fee = AmountField(null=True)

    class Meta:
        verbose_name = _("payment without us")
        verbose_name_plural = _("payments without us")
        constraints = [
            sound_amount(
                "fee",
                "foreign_fee_is_sound",
                zero_allowed=True,
                null_allowed=True,
            ),
            models.UniqueConstraint(
                fields=["currency", "txid"], name="a_foreign_send_is_found_once"
            ),
        ]

    def __str__(self) -> str:
        return self.txid


class Reconciliation(models.Model):
    """
    What the node said we hold, at a block, beside what the books said. Append-only.

    explained     {why: amount}: what the node has more than the books, or (below zero)
                  less, and we know why
    unexplained   what is left
    """

    append_only = True

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    height = models.PositiveIntegerField()
    block_hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    on_chain = AmountField()
    in_books = AmountField()
    explained = models.JSONField(default=dict)
    unexplained = AmountField()

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "block_hash"], name="one_reconciliation_per_block"
            ),
            models.CheckConstraint(
                condition=models.Q(on_chain__gte=0),
                name="a_wallet_holds_nothing_below_zero",
            ),
        ]
        indexes = [
            models.Index(fields=["currency", "-id"], name="reconciled_last"),
        ]

    def __str__(self) -> str:
        return f"{self.currency_id} at {self.height}"
