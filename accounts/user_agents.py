"""
What browsers call themselves, in words: "Firefox on Windows".

A name for people to recognise, and nothing to decide by: anybody may send any text.
What is not recognised is shown as it came.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

# In this order, because each pretends to be those below it as well.
_BROWSERS = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex"),
    ("MicroMessenger/", "WeChat"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
]
_SYSTEMS = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
]


def named(user_agent: str) -> str:
    """Return browser and system, or the text itself where either is unknown."""
    return recognised(user_agent) or user_agent


def recognised(user_agent: str) -> str:
    """Return browser and system, in words of ours only; nothing where unknown."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if not (browser and system):
        return ""
    facts = {"browser": browser, "system": system}
    return _("%(browser)s on %(system)s") % facts


def _first(signs: list[tuple[str, str]], user_agent: str) -> str:
    return next((name for sign, name in signs if sign in user_agent), "")
