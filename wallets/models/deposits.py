"""Deposits of coins: where they are awaited, what came, and how far we have looked."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class DepositAddress(models.Model):
    """
    An address of our wallet, given to one member; watched for ever.

    A new one is given when the newest has been used, so that a member has one unused
    address at most.
    """

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="addresses"
    )
    address = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    is_used = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("deposit address")
        verbose_name_plural = _("deposit addresses")
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "address"], name="an_address_is_one_members"
            ),
            models.UniqueConstraint(
                fields=["currency", "member"],
                condition=models.Q(is_used=False),
                name="one_unused_address_per_member",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Deposit(models.Model):
    """
    An output of a transaction that pays one of our addresses. One row per output.

    member          nobody where the address is none we gave away: credited to suspense
    confirmations   as last seen; negative where another payment took its coins
    required        how many confirmations it needs, fixed when it is first seen
    credits         how often it was credited: a reorganisation can take it back, and
                    the chain can bring it back
    """

    class State(models.TextChoices):
        SEEN = "seen", _("seen")
        CREDITED = "credited", _("credited")
        TOO_SMALL = "too_small", _("too small")
        GONE = "gone", _("replaced or forgotten")
        REVERSED = "reversed", _("taken back")

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="deposits",
        null=True,
        blank=True,
    )
    address = models.CharField(max_length=128)
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount = AmountField()
    state = FSMField(default=State.SEEN, choices=State.choices)
    confirmations = models.IntegerField(default=0)
    required = models.PositiveSmallIntegerField()
    block_hash = models.CharField(max_length=64, blank=True)
    credits = models.PositiveSmallIntegerField(default=0)
    seen_at = models.DateTimeField()
    credited_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("deposit")
        verbose_name_plural = _("deposits")
        permissions = [("claim_deposit", "Can give deposits to their owners")]
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "txid", "vout"], name="one_deposit_per_output"
            ),
            sound_amount("amount", "deposit_amount_is_positive"),
            models.CheckConstraint(
                condition=models.Q(state="credited", credited_at__isnull=False)
                | ~models.Q(state="credited"),
                name="credited_deposits_say_when",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-id"], name="deposits_by_member"),
            models.Index(
                fields=["currency"],
                condition=models.Q(state__in=["seen", "gone", "reversed"]),
                name="deposits_not_credited",
            ),
        ]

    def __str__(self) -> str:
        return f"deposit {self.pk}: {self.amount} {self.currency_id}"

    @transition(
        field=state,
        source=[State.SEEN, State.GONE, State.REVERSED],
        target=State.CREDITED,
    )
    def credit(self, **_facts: Any) -> None:
        self.credits += 1

    @transition(field=state, source=State.SEEN, target=State.GONE)
    def lose(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.GONE, target=State.SEEN)
    def reappear(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.CREDITED, target=State.REVERSED)
    def reverse(self, **_facts: Any) -> None:
        pass


class Scan(models.Model):
    """How far a chain has been looked through, and whether its node is well."""

    currency = models.OneToOneField(
        Currency, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    # Where the next scan begins; empty for the chain's beginning.
    block_hash = models.CharField(max_length=64, blank=True)
    # The highest its node ever was at: lower, it is not believed.
    height = models.PositiveIntegerField(default=0)
    # Raised by every scan: whoever finds another number than theirs stops writing.
    turn = models.PositiveBigIntegerField(default=0)
    scanned_at = models.DateTimeField(null=True)
    # What is wrong, in words, and since when; empty while all is well.
    problem = models.CharField(max_length=200, blank=True)
    problem_since = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("chain")
        verbose_name_plural = _("chains")

    def __str__(self) -> str:
        return f"{self.currency_id} at {self.height}"
