"""
What makes a password a bad one: short, known, or guessed from whom it belongs to.

No rules of composition, no rotation: both make people choose worse ones. Length counts,
and what a list of common passwords and a little thinking do not find.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import password_validation
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.errors import Invalid

# Long enough for any pass phrase, short enough that hashing it costs us nothing extra.
LENGTH_MIN, LENGTH_MAX = 12, 1024
# What is left of a password without its obvious parts must have so many characters.
_REST_MIN = 6
_SITE_WORDS = ("pixiu", "peatio", "exchange", "password", "bitcoin")
_WORD_MIN = 4  # shorter ones stand inside too many good passwords
_RUN_MIN = 4
_SEPARATORS = re.compile(r"[\s._-]+")
_DECORATION = re.compile(r"[\W\d_]+")


class WeakPassword(Invalid):
    """The password is too short, too common or too close to the e-mail address."""

    code = "weak_password"
    text = _("Please choose another password.")


class LengthValidator:
    """Refuses short passwords, in our words and languages."""

    def validate(self, password: str, user: Member | None = None) -> None:
        if len(password) < LENGTH_MIN:
            raise ValidationError(self.get_help_text(), code="password_too_short")

    def get_help_text(self) -> str:
        words = _("A password has at least %(minimum)d characters.")
        return words % {"minimum": LENGTH_MIN}


class ObviousPasswordValidator:
    """Refuses repetitions, common passwords in decoration, and our and their names."""

    def validate(self, password: str, user: Member | None = None) -> None:
        if _is_obvious(password.casefold(), _words_of(user)):
            raise ValidationError(self.get_help_text(), code="password_obvious")

    def get_help_text(self) -> str:
        return str(
            _(
                "This password is easy to guess. Four or five words that have nothing"
                " to do with each other make a good one."
            )
        )


def demand_strong(password: str, member: Member) -> None:
    """Raise WeakPassword unless this is a password for the member to have."""
    if len(password) > LENGTH_MAX:
        message = _("A password has at most %(maximum)d characters.")
        raise WeakPassword(message % {"maximum": LENGTH_MAX})
    try:
        password_validation.validate_password(password, member)
    except ValidationError as error:
        raise WeakPassword(error.messages[0]) from error


def _is_obvious(password: str, words: list[str]) -> bool:
    for word in words:
        password = password.replace(word, " ")
    parts = dict.fromkeys(_SEPARATORS.split(_without_runs(password)))
    rest = _repeated("".join(parts))
    core = _DECORATION.sub("", rest)
    return len(rest) < _REST_MIN or rest in _common() or core in _common()


def _repeated(text: str) -> str:
    """Return the shortest text that, repeated, gives this one."""
    return text[: (text + text).find(text, 1)]


def _without_runs(text: str) -> str:
    """Leave out 1234, dcba and xxxx, however long."""
    kept, start = [], 0
    while start < len(text):
        end = _end_of_run(text, start)
        if end - start < _RUN_MIN:
            end = start + 1
            kept.append(text[start])
        start = end
    return "".join(kept)


def _end_of_run(text: str, start: int) -> int:
    """Return where the steps from one character to the next stop being the same."""
    codes = [ord(letter) for letter in text[start : start + 2]]
    end = start + len(codes)
    step = codes[-1] - codes[0]
    if abs(step) <= 1:
        while end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
            end += 1
    return end


def _words_of(member: Member | None) -> list[str]:
    theirs = re.split(r"[@.+_-]", member.email) if member else []
    site = settings.SITE_HOST.casefold().split(".")
    words = {*_SITE_WORDS, *site, *theirs}
    return sorted((word for word in words if len(word) >= _WORD_MIN), key=len)[::-1]


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    return frozenset(CommonPasswordValidator().passwords)
