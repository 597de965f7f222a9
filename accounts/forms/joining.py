"""The form with which people join, and what in it is not for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.core import signing
from django.utils.translation import gettext_lazy as _

from accounts.joining import FORM_TAKES_AT_LEAST, TooQuick
from accounts.password_rules import LENGTH_MAX

_VALID = timedelta(hours=12)
_SIGNER = signing.Signer(salt="accounts.forms.joining")


class SignUpForm(forms.Form):
    """E-mail and password; a field that only machines see, and when it was asked."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=LENGTH_MAX,
        help_text=_(
            "At least 12 characters. Four or five words that have nothing to do with"
            " each other are easy to keep in mind and hard to guess."
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    # People neither see nor reach it: whatever fills it in reads no pages.
    website = forms.CharField(required=False)
    asked_at = forms.CharField(required=False, widget=forms.HiddenInput)

    @property
    def is_a_machines(self) -> bool:
        return bool(self.cleaned_data["website"])

    def demand_unhurried(self, now: datetime) -> None:
        """Raise TooQuick unless the form was asked for a little while ago."""
        try:
            asked_at = int(_SIGNER.unsign(self.cleaned_data["asked_at"]))
        except (signing.BadSignature, ValueError) as error:
            raise TooQuick from error
        took = timedelta(seconds=int(now.timestamp()) - asked_at)
        if not FORM_TAKES_AT_LEAST <= took <= _VALID:
            raise TooQuick


def asked(now: datetime) -> str:
    """Return what a form carries that is asked for now."""
    return _SIGNER.sign(str(int(now.timestamp())))
