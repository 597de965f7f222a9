"""Numbers of bank accounts: the form in which two are compared, and IBANs checked."""

from __future__ import annotations

import re

_NOISE = re.compile(r"[\s.\-/]")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)


def bare(number: str) -> str:
    """Return a number in the form in which it is compared."""
    return _NOISE.sub("", number).upper()


def is_iban(number: str) -> bool:
    """Say whether it looks like an IBAN: a country, two digits, and much more."""
    return _IBAN.fullmatch(bare(number)) is not None


def is_sound_iban(number: str) -> bool:
    """Say whether the check digits of an IBAN fit (ISO 13616, ISO 7064)."""
    text = bare(number)
    digits = "".join(str(int(sign, 36)) for sign in text[4:] + text[:4])
    return int(digits) % 97 == 1
