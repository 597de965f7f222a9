"""Words for where somebody came from."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

from accounts import user_agents
from accounts.visits import THIS_NETWORK

register = template.Library()


@register.filter
def device(user_agent: str) -> str:
    """Return browser and system, or what the browser calls itself."""
    return user_agents.named(user_agent) or _("unknown")


@register.filter
def place(mark: str) -> str:
    """Return a country's letters, or what else is known of a place."""
    return _("this network") if mark == THIS_NETWORK else mark or _("unknown")
