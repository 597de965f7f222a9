"""
Where the work at hand came from: the request's number and the client's address.

Set for the length of a request by a middleware, so that the audit trail and the log can
say so without every verb passing it on. Jobs and commands have no origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Origin(NamedTuple):
    """A request as the trail names it. The number is ours, never the client's."""

    request_id: str = ""
    address: str = ""


_origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - immutable


def current() -> Origin:
    """Return where the work at hand came from; empty texts where from no request."""
    return _origin.get()


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Let all that is done in the block come from there."""
    before = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(before)
