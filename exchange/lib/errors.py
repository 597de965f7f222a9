"""
The families of errors. Concrete errors live beside the verb that raises them.

Anticipated errors (`ExchangeError`) carry a stable `code`, a calm message that says
what to do next, and `facts`. They know no HTTP: each face (pages, REST v2, later
ones) has one renderer. `UpstreamError` is the outside failing. `BrokenPromise` is
our own bug and is never caught below the roof: it rolls back, halts the market or
wallet concerned and wakes a human.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class ExchangeError(Exception):
    """An anticipated refusal: shown to whoever asked, logged as a fact."""

    code: ClassVar[str] = "error"
    # What people read, in the language they read when it happens.
    text: ClassVar[StrPromise | str] = _("This did not work.")

    def __init__(self, message: StrPromise | str = "", **facts: object) -> None:
        self.message = str(message or self.text)
        self.facts = facts
        super().__init__(self.message)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.code}: {self.message} {self.facts}>"


class Invalid(ExchangeError):
    """The request itself is malformed: a field is missing or of the wrong form."""

    code = "invalid"


class Refused(ExchangeError):
    """The request is well formed, and the rules say no."""

    code = "refused"


class NotSignedIn(ExchangeError):
    """We do not know who is asking, or cannot believe it."""

    code = "not_signed_in"
    text = _("Please sign in.")


class NotAllowed(ExchangeError):
    """We know who is asking, and they may not."""

    code = "not_allowed"


class NotFound(ExchangeError):
    """It is not there, or belongs to somebody else: the answer is the same."""

    code = "not_found"


class Conflict(ExchangeError):
    """It clashes with what has already happened."""

    code = "conflict"


class TooMany(ExchangeError):
    """A limit of rate or size is reached; `retry_after_seconds` says when to return."""

    code = "too_many_requests"
    text = _("Too many requests. Please wait a moment.")


class Busy(ExchangeError):
    """A passing state of ours; trying again later is right."""

    code = "busy"
    text = _("We are busy for a moment. Please try again.")


class UpstreamError(Exception):
    """Something outside failed: a node, a mail server, the broker."""

    is_transient: ClassVar[bool] = True


class BrokenPromise(Exception):
    """OUR bug. Never caught below the roof."""
