"""Countries, by their ISO 3166 codes, in the reader's language."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from django.utils.translation import get_language

# What the list has beside countries: unions, parts of others, unknown ones.
_NO_COUNTRIES = frozenset(
    {
        *("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC"),
        *("QO", "TA", "UN", "XA", "XB", "XK", "ZZ"),
    }
)


def is_known(code: str) -> bool:
    """Say whether this is a country's code."""
    return code in _names("en")


def name_of(code: str) -> str:
    """Return what a country is called; its code, where that is unknown."""
    return _names(get_language() or "en").get(code, code)


def choices() -> list[tuple[str, str]]:
    """Return codes and names, in the order of the names."""
    return sorted(_names(get_language() or "en").items(), key=lambda each: each[1])


@lru_cache(maxsize=8)
def _names(language: str) -> dict[str, str]:
    try:
        locale = Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    return {
        code: str(name)
        for code, name in locale.territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
    }
