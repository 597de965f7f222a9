"""The forms in which members say how they want things."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import profile


class ProfileForm(forms.Form):
    """Name, language, time zone and colours."""

    display_name = forms.CharField(
        label=_("Display name"),
        required=False,
        max_length=profile.TEXT_LENGTH_MAX,
        help_text=_("Shown to you instead of your e-mail address."),
        widget=forms.TextInput(attrs={"autocomplete": "nickname"}),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("As my browser asks")), *settings.LANGUAGES],
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        help_text=_("Type a part of the name to search, say Shanghai."),
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off"}),
    )
    theme = forms.ChoiceField(
        label=_("Colours"),
        required=False,
        choices=[
            ("", _("As my system asks")),
            ("light", _("Light")),
            ("dark", _("Dark")),
        ],
    )


class MailPhraseForm(forms.Form):
    """The phrase that stands in our mails."""

    phrase = forms.CharField(
        label=_("Mail phrase"),
        required=False,
        max_length=profile.TEXT_LENGTH_MAX,
        help_text=_("Any words only you and we know. Never use your password."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
