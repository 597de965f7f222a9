"""Moves between our own wallets: what is too much hot goes cold, and comes back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class TreasuryMove(models.Model):
    """
    Coins that go from one of our wallets to another. One of a coin at a time.

    amount     what arrives; the miner's fee is the sender's
    proposer   who wants it; nobody while only the machine has said that it is needed
    approver   another operator
    plan       what it spends and pays: {"coins": [[txid, vout, amount]], "outputs":
               [[address, amount]]}, fixed before anybody signs
    psbt       of a refill: the plan, as cold storage has to sign it
    """

    class Kind(models.TextChoices):
        SWEEP = "sweep", _("sweep: hot to cold")
        REFILL = "refill", _("refill: cold to hot")

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        APPROVED = "approved", _("approved")
        SIGNED = "signed", _("signed")
        BROADCAST = "broadcast", _("sent")
        CONFIRMED = "confirmed", _("confirmed")
        CANCELLED = "cancelled", _("cancelled")

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    amount = AmountField()
    state = FSMField(default=State.PROPOSED, choices=State.choices)
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    plan = models.JSONField(default=dict)
    psbt = models.TextField(blank=True)
    # The signed bytes: here before anybody else sees them.
    raw = models.TextField(blank=True)
    txid = models.CharField(max_length=64, blank=True)
    fee = AmountField(default=Decimal(0))
    problem = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("move between our wallets")
        verbose_name_plural = _("moves between our wallets")
        permissions = [
            ("propose_treasury", "Can propose moves between our wallets"),
            ("approve_treasury", "Can approve moves between our wallets"),
        ]
        constraints = [
            sound_amount("amount", "treasury_amount_is_positive"),
            sound_amount("fee", "treasury_fee_is_sound", zero_allowed=True),
            models.UniqueConstraint(
                fields=["currency"],
                condition=~models.Q(state__in=["confirmed", "cancelled"]),
                name="one_treasury_move_at_a_time",
            ),
            # W-11: two people, whatever a program says.
            models.CheckConstraint(
                condition=models.Q(state__in=["proposed", "cancelled"])
                | (
                    models.Q(proposer__isnull=False, approver__isnull=False)
                    & ~models.Q(proposer=models.F("approver"))
                ),
                name="two_approve_a_treasury_move",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["proposed", "approved", "cancelled"])
                | (~models.Q(raw="") & ~models.Q(txid="")),
                name="signed_treasury_moves_have_bytes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @transition(field=state, source=State.PROPOSED, target=State.APPROVED)
    def approve(self, *, approver: int, **_facts: Any) -> None:
        self.approver_id = approver

    @transition(
        field=state, source=[State.PROPOSED, State.APPROVED], target=State.CANCELLED
    )
    def cancel(self, **_facts: Any) -> None:
        self.psbt = ""

    # Its coins went elsewhere for good.
    @transition(
        field=state, source=[State.SIGNED, State.BROADCAST], target=State.CANCELLED
    )
    def lose(self, **_facts: Any) -> None:
        self.problem = ""

    @transition(field=state, source=State.APPROVED, target=State.SIGNED)
    def sign(self, **_facts: Any) -> None:
        self.problem = ""

    @transition(field=state, source=State.SIGNED, target=State.BROADCAST)
    def send(self, **_facts: Any) -> None:
        self.problem = ""

    @transition(
        field=state, source=[State.SIGNED, State.BROADCAST], target=State.CONFIRMED
    )
    def confirm(self, **_facts: Any) -> None:
        self.problem = ""


# Signed, and not booked yet.
SENT = (TreasuryMove.State.SIGNED, TreasuryMove.State.BROADCAST)
