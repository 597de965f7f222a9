"""Reading what a stranger wrote: exactly as it must be, or not at all."""

from __future__ import annotations

import json
import re
from typing import Any

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
# The legacy format's separator, what cannot be seen, and what has no UTF-8, would let
# one preimage be read in two ways.
USER = re.compile(r"(?! )[^|\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,254}(?<! )")
_LENGTH_MAX = 1_000_000  # a proof of ten parts and forty levels has 50,000


class Unproven(Exception):
    """What was shown does not prove what it says, and why."""


def parsed(text: str | bytes) -> Any:
    """Read JSON in which no key stands twice. Raises Unproven."""
    if len(text) > _LENGTH_MAX:
        raise Unproven("The file is too long.")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unproven("This is no JSON.") from error


def keyed(shown: Any, *keys: str) -> dict[str, Any]:
    """Return an object that has these keys and no others. Raises Unproven."""
    if not isinstance(shown, dict) or shown.keys() != set(keys):
        raise Unproven(f"There must be {', '.join(keys)}, and nothing else.")
    return shown


def matched(pattern: re.Pattern[str], text: Any) -> str:
    """Return a text that looks like this. Raises Unproven."""
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise Unproven(f"This is malformed: {str(text)[:40]!r}.")
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unproven("Something is said twice.")
    return found
