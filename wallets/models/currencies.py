"""Currencies: what can be held here, and with how many digits."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.lib import money


class Currency(models.Model):
    """
    A coin or a money.

    `scale` is the number of digits the ledger keeps and never changes once the
    currency exists; `digits` is how many are shown and withdrawn.
    """

    class Kind(models.TextChoices):
        COIN = "coin"
        FIAT = "fiat"

    code = models.CharField(
        max_length=10,
        primary_key=True,
        validators=[RegexValidator(r"\A[a-z][a-z0-9]{1,9}\Z")],
    )
    name = models.CharField(max_length=64)
    symbol = models.CharField(max_length=4)
    kind = models.CharField(max_length=4, choices=Kind)
    scale = models.PositiveSmallIntegerField(
        default=8,
        validators=[MaxValueValidator(18)],
        help_text=_("Digits kept in the ledger. Fixed once the currency exists."),
    )
    digits = models.PositiveSmallIntegerField(
        default=8, help_text=_("Digits shown and withdrawn; at most the scale.")
    )
    is_visible = models.BooleanField(default=True)
    sort_order = models.PositiveSmallIntegerField(default=9999)

    class Meta:
        verbose_name_plural = "currencies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scale__lte=18), name="scale_is_at_most_18"
            ),
            models.CheckConstraint(
                condition=models.Q(digits__lte=models.F("scale")),
                name="digits_shown_are_digits_kept",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        if self.digits > self.scale:
            raise ValidationError({"digits": "Cannot show more digits than are kept."})

    @property
    def unit(self) -> Decimal:
        """The smallest amount the ledger keeps."""
        return money.unit(self.scale)
