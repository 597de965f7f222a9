"""
Scopes: what a key may do, in the ancestor's words and in ours.

Routes ask for words, keys have words, and here stands which opens which. A leaf.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid, Refused

# What each scope of a key opens, of what routes ask for. Whatever else `all` may have
# meant to who has such a key: it never meant paying out.
_OPENS = {
    "read": {"read", "profile", "history"},
    "trade": {"trade"},
    "withdraw": {"withdraw"},
    # The ancestor's, for keys of its time.
    "all": {"read", "profile", "history", "trade"},
    "profile": {"profile"},
    "history": {"history"},
}
KNOWN = frozenset(_OPENS)
NAMES = {
    "read": _("Read"),
    "trade": _("Trade"),
    "withdraw": _("Withdraw"),
    "all": _("All"),
    "profile": _("Profile"),
    "history": _("History"),
}
OURS = ("read", "trade", "withdraw")  # what new keys are offered


class UnknownScope(Invalid):
    """A scope that no route asks for, or none at all."""

    code = "unknown_scope"


class NetworksMissing(Refused):
    """A key that may withdraw must say from where."""

    code = "networks_missing"
    text = _("A key that may withdraw needs a list of addresses it may be used from.")


def written(scopes: Collection[str], *, networks: Collection[str]) -> str:
    """
    Return scopes as they are stored, if a key that trusts these networks may have them.
    Raises UnknownScope or NetworksMissing.
    """
    if not scopes or not KNOWN.issuperset(scopes):
        raise UnknownScope(
            _("Choose one or more of %(scopes)s.")
            % {"scopes": ", ".join(sorted(KNOWN))}
        )
    if "withdraw" in scopes and not networks:
        raise NetworksMissing
    return " ".join(sorted(set(scopes)))


def open_any(has: str, wanted: Iterable[str]) -> bool:
    """Say whether stored scopes open one of those a route names; none: any key does."""
    wanted = tuple(wanted)
    return not wanted or not _opened(has).isdisjoint(wanted)


@lru_cache(maxsize=256)
def _opened(has: str) -> frozenset[str]:
    return frozenset[str]().union(*(_OPENS.get(word, ()) for word in has.split()))
