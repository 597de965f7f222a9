"""The form of a key: what it is called, what it may do, from where, and how long."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later

from accounts import networks, scopes, tokens
from accounts.keys import LABEL_LENGTH_MAX, Terms
from accounts.models.tokens import ApiToken
from exchange.lib import words
from exchange.lib.errors import ExchangeError
from exchange.lib.templatetags.figures import day

_SCOPES = {
    "read": _later("Read: balances, orders, trades"),
    "trade": _later("Trade: place and cancel orders"),
    "withdraw": _later("Withdraw: from the addresses below only"),
    # For keys of the ancestor's time.
    "all": _later("All: read and trade"),
    "profile": _later("Profile: balances"),
    "history": _later("History: orders and trades"),
}
_DAYS = (30, 90, 365)
_KEEP, _NEVER = "keep", "never"
# Which field to show a refusal at; the rest concerns the whole form.
_FIELD_OF: dict[type[ExchangeError], str] = {
    words.Unseen: "label",
    networks.BadNetwork: "trusted_ips",
    scopes.NetworksMissing: "trusted_ips",
    scopes.UnknownScope: "scopes",
    tokens.LivesTooLong: "life",
}


class KeyForm(forms.Form):
    """A new key, or a key of which something is to change."""

    form_id = forms.UUIDField(widget=forms.HiddenInput)
    label = forms.CharField(
        label=_later("Name"),
        max_length=LABEL_LENGTH_MAX,
        help_text=_later("So that you know it again: where it is used, say."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_later("What it may do"), widget=forms.CheckboxSelectMultiple
    )
    trusted_ips = forms.CharField(
        label=_later("Addresses it may be used from"),
        required=False,
        max_length=networks.NETWORKS_MAX * 64,
        help_text=_later(
            "One a line: 192.0.2.7, 192.0.2.0/24, 2001:db8::/48. None means any."
        ),
        widget=forms.Textarea(
            attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    life = forms.ChoiceField(
        label=_later("How long it works"),
        help_text=_later(
            "Without a list of addresses 90 days at most; you can prolong it."
        ),
    )

    def __init__(
        self, data: Any = None, *, now: datetime, key: ApiToken | None = None
    ) -> None:
        super().__init__(data, initial=_initial(key))
        self._now, self._key = now, key
        has = key.scopes.split() if key else []
        offered = [name for name in _SCOPES if name in scopes.OURS or name in has]
        self._choices("scopes", [(name, _SCOPES[name]) for name in offered])
        self._choices("life", _lives(key))

    def clean(self) -> dict[str, Any]:
        filled: dict[str, Any] = super().clean() or {}
        if filled.get("life") == _NEVER and not filled.get("trusted_ips", "").strip():
            self.add_error("life", tokens.LivesTooLong.text)
        return filled

    def terms(self) -> Terms:
        """Return what was filled in, once it is valid."""
        filled = self.cleaned_data
        return Terms(
            label=filled["label"],
            scopes=filled["scopes"],
            trusted_ips=filled["trusted_ips"].replace(",", " ").split(),
            expires_at=self._end(filled["life"]),
        )

    def refuse(self, error: ExchangeError) -> None:
        """Show a refusal at the field it concerns."""
        found = (name for kind, name in _FIELD_OF.items() if isinstance(error, kind))
        self.add_error(next(found, None), error.message)

    def _end(self, life: str) -> datetime | None:
        if life == _KEEP and self._key is not None:
            return self._key.expires_at
        return None if life == _NEVER else self._now + timedelta(days=int(life))

    def _choices(self, name: str, choices: Sequence[tuple[str, Any]]) -> None:
        field: Any = self.fields[name]
        field.choices = choices


def _initial(key: ApiToken | None) -> dict[str, Any]:
    form_id = uuid.uuid4()
    if key is None:
        return {"form_id": form_id, "scopes": ["read"], "life": "90"}
    return {
        "form_id": form_id,
        "label": key.label,
        "scopes": key.scopes.split(),
        "trusted_ips": "\n".join(key.trusted_ips),
        "life": _KEEP,
    }


def _lives(key: ApiToken | None) -> list[tuple[str, str]]:
    days = [
        (str(count), _("%(count)s days from now") % {"count": count}) for count in _DAYS
    ]
    never = (_NEVER, _("Without end (with a list of addresses only)"))
    if key is None:
        return [*days, never]
    if key.expires_at is None:
        return [(_KEEP, _("As it is: without end")), *days]
    until = {"date": day(localtime(key.expires_at))}
    return [(_KEEP, _("As it is: until %(date)s") % until), *days, never]
