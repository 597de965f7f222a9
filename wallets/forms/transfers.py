"""The form in which members say whom of the house they want to pay, and how much."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from wallets import queries, transfers
from wallets.forms.withdrawals import AmountField


class TransferForm(forms.Form):
    """Whom to pay, and what."""

    recipient = forms.CharField(
        label=_("To"),
        max_length=254,
        help_text=_("The member number (PEA…TIO), or the e-mail address."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    currency = forms.ChoiceField(label=_("Currency"))
    amount = AmountField(label=_("Amount"), max_length=40)
    note = forms.CharField(
        label=_("Note"),
        max_length=transfers.NOTE_LENGTH_MAX,
        required=False,
        help_text=_("The recipient reads it on this page."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = [
            (each.code, f"{each.code.upper()} · {each.name}")
            for each in queries.visible_currencies()
        ]
        self.fields["currency"].choices = shown  # type: ignore[attr-defined]
