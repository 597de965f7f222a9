"""How HTML writes the names of languages."""

from __future__ import annotations

from django import template
from django.utils.translation import to_locale

register = template.Library()


@register.filter
def html_lang(code: str) -> str:
    """Write zh-hans as browsers, fonts and screen readers know it: zh-Hans."""
    return to_locale(code).replace("_", "-")
