"""The tags by which verifiers find our root files, for the head of a page."""

from __future__ import annotations

from django import template
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from wallets.solvency import lookup

register = template.Library()


@register.simple_tag
def solvency_roots() -> SafeString:
    """Name the newest root file of each currency, as olalonde's specification says."""
    codes = [root.currency_id for root in lookup.newest_roots()]
    return format_html_join(
        "\n",
        '<meta name="x-liabilities-proof-root" data="{}">',
        ([reverse("newest_legacy_root", args=[code])] for code in codes),
    )
