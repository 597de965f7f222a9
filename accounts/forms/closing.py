"""The form that closes an account."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class ClosingForm(forms.Form):
    """The e-mail address, typed: nobody does that by mistake."""

    email = forms.EmailField(
        label=_("Type your e-mail address to close the account"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
