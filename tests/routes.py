"""
Every route of the exchange, read from the URL configuration itself: what nobody wrote
down, nobody can forget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern, RoutePattern

from accounts.api.views import ApiView

# What stands for a part of an address, by its name, or else by its kind.
_SAMPLES = {"market_id": "btccny", "market": "btccny", "resource": "orders"}
_SAMPLES_BY_KIND = {
    "IntConverter": "1",
    "UUIDConverter": "00000000-0000-0000-0000-000000000000",
    "PathConverter": "1",
}


@dataclass(frozen=True)
class Route:
    """An address with samples filled in, and what answers there."""

    path: str
    name: str
    view: Any
    is_admins: bool
    has_samples: bool  # so that what it is about need not be there

    @property
    def needs(self) -> str:
        """Who is let in, by the door: see accounts.views.doors. Empty: nobody said."""
        return "operator" if self.is_admins else getattr(self.view, "needs", "")

    def __str__(self) -> str:
        return self.path


def pages() -> list[Route]:
    """Return the routes of the pages, the admin's among them."""
    return list(_walk(get_resolver().url_patterns, "/", False))


def endpoints() -> dict[str, type[ApiView]]:
    """Return the paths of REST v2 with the endpoints that answer there."""
    found = {}
    for pattern in get_resolver("markets.api.urls").url_patterns:
        view = getattr(pattern.callback, "cls", None)
        if view is not None:
            path = str(pattern.pattern).removeprefix(r"\A").split("(?P<suffix>")[0]
            found[f"/api/v2/{_regex(path)}"] = view
    return found


def _walk(
    patterns: list[URLPattern | URLResolver], before: str, is_admins: bool
) -> Iterator[Route]:
    for each in patterns:
        path = before + _sample(each.pattern)
        if isinstance(each, URLResolver):
            inside = is_admins or each.namespace == "admin"
            yield from _walk(each.url_patterns, path, inside)
        else:
            inside = is_admins or path.startswith("/admin/")
            has_samples = bool(getattr(each.pattern, "converters", None))
            yield Route(path, each.name or "", each.callback, inside, has_samples)


def _sample(pattern: Any) -> str:
    if isinstance(pattern, RegexPattern):
        return _regex(str(pattern).removeprefix("^").removesuffix("$"))
    assert isinstance(pattern, RoutePattern)
    path = str(pattern)
    for name, converter in pattern.converters.items():
        kind = type(converter).__name__
        text = _SAMPLES.get(name, _SAMPLES_BY_KIND.get(kind, "x"))
        for written in (f"<{name}>", *(f"<{k}:{name}>" for k in _kinds(converter))):
            path = path.replace(written, text)
    return path


def _kinds(converter: Any) -> list[str]:
    from django.urls.converters import get_converters

    return [kind for kind, known in get_converters().items() if known is converter]


def _regex(path: str) -> str:
    """Fill in `(?P<name>…)`; what else a regular expression may hold, we do not use."""
    while "(?P<" in path:
        start = path.index("(?P<")
        depth, end = 0, start
        for end in range(start, len(path)):
            depth += {"(": 1, ")": -1}.get(path[end], 0)
            if depth == 0:
                break
        name = path[start + 4 : path.index(">", start)]
        path = path[:start] + _SAMPLES.get(name, "1") + path[end + 1 :]
    return path.replace("\\", "").removesuffix("$").removesuffix("Z")
