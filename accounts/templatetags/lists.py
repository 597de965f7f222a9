"""Words for what stands in rows as a list of names of ours."""

from __future__ import annotations

from collections.abc import Iterable

from babel.lists import format_list
from django import template
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext_lazy as _

from accounts import scopes
from accounts.models.proofs import Proof

register = template.Library()

_FACTORS = {
    Proof.Factor.PASSWORD: _("password"),
    Proof.Factor.TOTP: _("authenticator code"),
    Proof.Factor.SMS: _("SMS code"),
    Proof.Factor.PASSKEY: _("passkey"),
    Proof.Factor.RECOVERY: _("recovery code"),
}


@register.filter
def right(scope: str) -> str:
    """Return what a scope of a key is called."""
    return str(scopes.NAMES.get(scope, scope))


@register.filter
def rights(stored: str) -> str:
    """Return what a key may do, as part of a sentence."""
    return _listed(right(scope) for scope in stored.split())


@register.filter
def factors(shown: Iterable[str]) -> str:
    """Return which factors were shown."""
    return _listed(str(_FACTORS[Proof.Factor(each)]) for each in shown)


def _listed(words: Iterable[str]) -> str:
    return format_list(list(words), locale=to_locale(get_language() or "en"))
