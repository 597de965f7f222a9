"""Forms about second factors."""

from __future__ import annotations

import phonenumbers
from babel import Locale
from django import forms
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext_lazy as _

from accounts.factors.passkeys import LABEL_LENGTH_MAX


def countries() -> list[tuple[str, str]]:
    """Return where phones may be, by name in the reader's language."""
    names = Locale.parse(to_locale(get_language() or "en")).territories
    found = [
        (region, f"{names.get(region, region)} +{_prefix(region)}")
        for region in phonenumbers.SUPPORTED_REGIONS
    ]
    return sorted(found, key=lambda each: each[1])


def _prefix(region: str) -> int:
    return phonenumbers.country_code_for_region(region)


class CodeForm(forms.Form):
    """A code of six digits from an app or a phone."""

    code = forms.CharField(
        label=_("One-time code"),
        max_length=16,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "autofocus": True,
            }
        ),
    )


class RecoveryCodeForm(forms.Form):
    """A code from the list on paper."""

    code = forms.CharField(
        label=_("Recovery code"),
        max_length=64,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "autofocus": True}
        ),
    )


class PasswordForm(forms.Form):
    """The password, of a member who has no factor yet."""

    # Named as every answer is; bounded by the verb.
    code = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(
            attrs={"autocomplete": "current-password", "autofocus": True}
        ),
    )


class PasskeyForm(forms.Form):
    """What a browser says for a passkey; its script fills it in."""

    code = forms.CharField(max_length=32_768, widget=forms.HiddenInput)


class PhoneForm(forms.Form):
    """A mobile phone: its country, and the number as people there dial it."""

    country = forms.ChoiceField(label=_("Country"), choices=countries)
    number = forms.CharField(
        label=_("Mobile number"),
        max_length=40,
        help_text=_("As you dial it at home, or with + and the country's prefix."),
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
    )


class LabelForm(forms.Form):
    """What a member calls a passkey."""

    label = forms.CharField(
        label=_("Name"),
        max_length=LABEL_LENGTH_MAX,
        help_text=_("So that you can tell it from others: “Phone”, “Blue key”."),
    )


class NewPasskeyForm(LabelForm, PasskeyForm):
    """A new passkey and its name."""

    field_order = ["label", "code"]


class LossForm(forms.Form):
    """What has happened to the factors."""

    story = forms.CharField(
        label=_("What has happened?"),
        max_length=500,
        help_text=_("A person reads this. Please write no passwords and no codes."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
