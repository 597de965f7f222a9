"""
What was read a moment ago, as long as it is still true.

Books and tickers are asked for far more often than they change. An answer is kept with
the version of the rows it was made from; a look at the versions is cheap, and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

_ANSWERS_MAX = 64


class Remembered(Generic[T]):
    """One kind of answer, by what was asked for."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[str, T]] = {}

    def get(self, key: Hashable, version: str, make: Callable[[], T]) -> T:
        """Return the answer of this version, made now if need be."""
        known = self._answers.get(key)
        if known is not None and known[0] == version:
            return known[1]
        if len(self._answers) >= _ANSWERS_MAX:
            self._answers.clear()
        made = make()
        # Made after the version was read: it may be newer than that, never older.
        self._answers[key] = version, made
        return made
