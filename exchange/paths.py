"""
What no page of ours is called.

Parts of paths become keys that rows are looked for by, and PostgreSQL has no text with
a NUL in it: each page would have to look, or be broken by whoever sends one.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

Handler = Callable[[HttpRequest], HttpResponseBase]


class KnowNoNul:
    """Middleware, inside of what its page of 404 needs."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info:
            raise Http404
        return self._pages(request)
