"""
Attempts at factors: five in five minutes for a member, over all factors and doors.

Whoever succeeds starts anew. What was wrong with an answer is nobody's business but the
member's: every factor refuses with the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts import throttling
from accounts.attempts import TooManyAttempts
from exchange.lib.errors import Refused


class WrongCode(Refused):
    """What was shown is wrong, used, too old, or meant for something else."""

    code = "wrong_code"
    text = _(
        "This did not match. A code works once and for a short time: please wait for"
        " the next one, or ask for a new one."
    )


def count(*, member_id: int, now: datetime) -> None:
    """Count an attempt, before the answer is looked at. Raises TooManyAttempts."""
    with waiting():
        throttling.count_factor(member_id, now=now)


@contextmanager
def waiting() -> Iterator[None]:
    """Say of a limit that is reached how long to wait. Raises TooManyAttempts."""
    try:
        yield
    except throttling.LimitReached as error:
        raise TooManyAttempts(error.standing.reset_seconds) from error


def forget(*, member_id: int, now: datetime) -> None:
    """Forget the attempts of whoever turned out to have the factor."""
    throttling.forget_factor(member_id, now=now)
