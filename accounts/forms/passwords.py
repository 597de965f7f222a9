"""Forms about passwords: forgotten, chosen anew, changed."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.password_rules import LENGTH_MAX


class ForgottenForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )


class NewPasswordForm(forms.Form):
    """One field only: it can be shown, and a second one would be pasted into, too."""

    new = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=LENGTH_MAX,
        help_text=_("At least 12 characters. Spaces and every script are welcome."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class ChangePasswordForm(NewPasswordForm):
    current = forms.CharField(
        label=_("Current password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    field_order = ("current", "new")
