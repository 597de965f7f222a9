"""The rules by which a currency comes in and goes out, as the operator sets them."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class Rules(models.Model):
    """
    What is asked of deposits and withdrawals of one currency.

    Amounts are in that currency. A switch that is off takes effect on what comes
    after; what was already accepted runs its course.
    """

    currency = models.OneToOneField(
        Currency, on_delete=models.PROTECT, primary_key=True, related_name="rules"
    )
    takes_deposits = models.BooleanField(default=True)
    pays_withdrawals = models.BooleanField(default=True)
    deposit_min = AmountField(
        default=0, help_text=_("Deposits below it are kept, and not credited.")
    )
    withdrawal_min = AmountField(help_text=_("What the member gets at least."))
    withdrawal_fee = AmountField(default=0, help_text=_("Ours, for each withdrawal."))
    automatic_up_to = AmountField(
        default=0,
        help_text=_("A larger withdrawal waits for two operators, each another."),
    )
    # The hot wallet: below the one it is refilled, above the other it is swept.
    hot_min = AmountField(default=0)
    hot_max = AmountField(default=0, help_text=_("0: no upper end."))
    # What is paid to miners where the node cannot say what is usual, and what may be
    # paid at most, for a thousand virtual bytes and for one payment.
    fee_rate_usual = AmountField(default=Decimal("0.0001"))
    fee_rate_max = AmountField(default=Decimal("0.005"))
    fee_max = AmountField(default=Decimal("0.05"))
    explorer = models.CharField(
        max_length=200,
        blank=True,
        help_text=_("Where a transaction can be looked at; {txid} stands for its id."),
    )

    class Meta:
        verbose_name = _("rules of a currency")
        verbose_name_plural = _("rules of currencies")
        constraints = [
            sound_amount("deposit_min", "deposit_min_is_sound", zero_allowed=True),
            sound_amount("withdrawal_min", "withdrawal_min_is_sound"),
            sound_amount("withdrawal_fee", "withdrawal_fee_sound", zero_allowed=True),
            sound_amount("automatic_up_to", "automatic_is_sound", zero_allowed=True),
            sound_amount("hot_min", "hot_min_is_sound", zero_allowed=True),
            sound_amount("hot_max", "hot_max_is_sound", zero_allowed=True),
            sound_amount("fee_rate_usual", "fee_rate_usual_is_sound"),
            sound_amount("fee_rate_max", "fee_rate_max_is_sound", zero_allowed=True),
            sound_amount("fee_max", "fee_max_is_sound", zero_allowed=True),
        ]

    def __str__(self) -> str:
        return f"rules of {self.currency_id}"

    def link_to(self, txid: str) -> str:
        """Return where a transaction can be looked at; "" where nobody said."""
        is_address = self.explorer.startswith(("https://", "http://"))
        return self.explorer.replace("{txid}", txid) if txid and is_address else ""


class ConfirmationTier(models.Model):
    """How deep a deposit must be buried to be credited, from some amount on."""

    rules = models.ForeignKey(Rules, on_delete=models.CASCADE, related_name="tiers")
    amount_from = AmountField(default=0)
    confirmations = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name = _("confirmations by amount")
        verbose_name_plural = _("confirmations by amount")
        constraints = [
            models.UniqueConstraint(
                fields=["rules", "amount_from"], name="one_tier_per_amount"
            ),
            models.CheckConstraint(
                condition=models.Q(confirmations__gte=1, confirmations__lte=1000),
                name="a_deposit_is_confirmed_at_least_once",
            ),
            sound_amount("amount_from", "tier_amount_is_sound", zero_allowed=True),
        ]

    def __str__(self) -> str:
        return f"{self.confirmations} from {self.amount_from} {self.rules_id}"
