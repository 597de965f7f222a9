"""
Reference codes: what a member writes into a transfer, and how it is found again.

A code is PX and eight signs, of which the last two check the first six: any two wrong
signs, or two that changed places, make it no code at all (a Reed-Solomon code over the
32 signs). Without 0, O, 1 and I there is nothing to be mistaken for another.
"""

from __future__ import annotations

import re
import secrets
import unicodedata

PREFIX = "PX"
SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_FREE = 6
_WIDTH = 5  # bits of a sign
_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1: 2 generates all signs but zero
# Blanks, hyphens and breaks may stand anywhere in it: statements are made of lines.
_NOISE = re.compile(r"[^0-9A-Z]")
# Overlapping, so that a stray PX before a code hides nothing.
_CODE = re.compile(rf"(?={PREFIX}([{SIGNS}]{{8}}))")


def make() -> str:
    """Return a random code."""
    free = [secrets.randbelow(len(SIGNS)) for _ in range(_FREE)]
    return PREFIX + "".join(SIGNS[each] for each in [*free, *_checks(free)])


def is_sound(code: str) -> bool:
    """Say whether its check signs fit the others."""
    match = _CODE.match(code)
    if match is None or len(code) != len(PREFIX) + len(match[1]):
        return False
    values = [SIGNS.index(sign) for sign in match[1]]
    return values[_FREE:] == _checks(values[:_FREE])


def found_in(text: str) -> set[str]:
    """Return the sound codes of a text, whatever its case, blanks and hyphens."""
    plain = _NOISE.sub("", unicodedata.normalize("NFKC", text).upper())
    codes = {PREFIX + match[1] for match in _CODE.finditer(plain)}
    return {code for code in codes if is_sound(code)}


def _checks(free: list[int]) -> list[int]:
    """Return the two signs with which the plain and the weighted sum are zero."""
    plain = weighted = 0
    for place, value in enumerate(free):
        plain ^= value
        weighted ^= _times(_power(place), value)
    both = _power(_FREE) ^ _power(_FREE + 1)
    last = _times(_inverse(both), weighted ^ _times(_power(_FREE), plain))
    return [plain ^ last, last]


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> _WIDTH:
            a ^= _POLYNOMIAL
        b >>= 1
    return product


def _power(exponent: int) -> int:
    value = 1
    for _ in range(exponent):
        value = _times(value, 2)
    return value


def _inverse(value: int) -> int:
    return next(each for each in range(1, 1 << _WIDTH) if _times(value, each) == 1)
