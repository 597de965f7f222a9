"""Adjustments: corrections of the books by two operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, ScaleAtMost
from exchange.lib.money import plain
from wallets.models.currencies import Currency


class Adjustment(models.Model):
    """
    A correction that one operator proposes and another one decides about.

    Its terms are fixed by a trigger from when it is proposed, and all of it once it is
    decided.

    member    whose account it is; nobody for the house's `suspense`
    amount    what the account gets; below zero, what is taken from it
    reason    why, as the member reads it, too
    decider   who booked or refused it; nobody where its proposer took it back
    note      why it was decided so
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        BOOKED = "booked", _("booked")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("taken back")

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    amount = AmountField()
    reason = models.CharField(max_length=200)
    state = FSMField(default=State.PROPOSED, choices=State.choices)
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField()
    decider = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    decided_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("adjustment")
        verbose_name_plural = _("adjustments")
        permissions = [
            ("propose_adjustment", "Can propose corrections of the books"),
            ("approve_adjustment", "Can book and refuse corrections of the books"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(amount=0)
                & Q(amount__gt=-(10**30))
                & Q(amount__lt=10**30)
                & Q(ScaleAtMost("amount")),
                name="adjustment_amount_is_sound",
            ),
            models.CheckConstraint(
                condition=~Q(decider=F("proposer")) | Q(decider__isnull=True),
                name="adjustments_take_two_operators",
            ),
            models.CheckConstraint(
                condition=Q(member__isnull=True)
                | (
                    ~Q(member=F("proposer"))
                    & (~Q(member=F("decider")) | Q(decider__isnull=True))
                ),
                name="nobody_adjusts_their_own_account",
            ),
            models.CheckConstraint(
                condition=Q(state="proposed", decider=None, decided_at=None)
                | Q(state="withdrawn", decider=None, decided_at__isnull=False)
                | Q(
                    state__in=["booked", "refused"],
                    decider__isnull=False,
                    decided_at__isnull=False,
                ),
                name="adjustments_say_who_decided",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state="proposed"),
                name="adjustments_to_decide",
            ),
            models.Index(fields=["member", "-id"], name="adjustments_by_member"),
        ]

    def __str__(self) -> str:
        whose = "suspense" if self.member is None else str(self.member)
        amount = f"{plain(self.amount)} {self.currency_id}"
        return f"adjustment {self.pk}: {amount}, {whose}"

    @transition(field=state, source=State.PROPOSED, target=State.BOOKED)
    def book(self, *, decider: int, note: str, at: str) -> None:
        self._decide(decider, note, at)

    @transition(field=state, source=State.PROPOSED, target=State.REFUSED)
    def refuse(self, *, decider: int, note: str, at: str) -> None:
        self._decide(decider, note, at)

    @transition(field=state, source=State.PROPOSED, target=State.WITHDRAWN)
    def withdraw(self, *, note: str, at: str, **_facts: Any) -> None:
        self._decide(None, note, at)

    def _decide(self, decider: int | None, note: str, at: str) -> None:
        self.decider_id, self.note = decider, note
        self.decided_at = datetime.fromisoformat(at)
