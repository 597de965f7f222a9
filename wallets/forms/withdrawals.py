"""The forms in which members say whom they want to pay, and how much."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from exchange.lib import money, words
from exchange.lib.errors import ExchangeError
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary


class AmountField(forms.CharField):
    """An amount in plain notation: exact, and never a float."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def clean(self, value: Any) -> Decimal:
        text = super().clean(value)
        try:
            return money.parse(text.strip())
        except ExchangeError as error:
            raise forms.ValidationError(error.message) from error


class LineField(forms.CharField):
    """One line of what can be seen: what is refused is said beside its own field."""

    def to_python(self, value: Any) -> str:
        try:
            return words.line(super().to_python(value) or "")
        except words.Unseen as error:
            raise forms.ValidationError(error.message) from error


class BeneficiaryField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of those who can be paid now."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.label} · {obj.destination}"


class WithdrawalForm(forms.Form):
    """Whom to pay, and how much leaves the balance."""

    beneficiary = BeneficiaryField(
        label=_("To"), queryset=Beneficiary.objects.none(), empty_label=None
    )
    amount = AmountField(
        label=_("Amount"), help_text=_("Our fee is taken from it."), max_length=40
    )

    def __init__(self, *args: Any, choices: list[Beneficiary], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keys = [row.pk for row in choices]
        usable = Beneficiary.objects.filter(pk__in=keys).order_by("label")
        self.fields["beneficiary"].queryset = usable  # type: ignore[attr-defined]


class BeneficiaryForm(forms.Form):
    """A new entry of the address book."""

    currency = forms.ModelChoiceField(
        label=_("Currency"),
        queryset=Currency.objects.filter(is_visible=True).order_by("sort_order"),
        empty_label=None,
    )
    label = LineField(
        label=_("Label"),
        max_length=40,
        help_text=_("How you call it: my phone, the bank in town."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    destination = forms.CharField(
        label=_("Address or account number"),
        max_length=128,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    bank = LineField(
        label=_("Bank"),
        max_length=80,
        required=False,
        help_text=_("Only for money, not for coins."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    holder = LineField(
        label=_("Account holder"),
        max_length=80,
        required=False,
        help_text=_("Only for money, not for coins."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
