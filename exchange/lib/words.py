"""
Words of members, as others read them: what cannot be seen does not get in.

Characters that override the direction of writing make "fdp.exe" of what was written as
"exe.pdf", and fillers make two names look like one. Members' words stand among those of
others: in an operator's list, in a mail, in a trail. So a line (a name, a label, a
subject) has nothing that is not seen but what its script needs; from a text of many
lines it is taken out, since people paste it there without knowing.
"""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid

# Control, format, private use, surrogates, separators of lines and paragraphs. Letters
# newer than our Python have no category yet: those stay.
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# What fills room or is ignored, under the category of letters, marks and signs.
_FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2065\u2800\u3164\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
_JOINERS = frozenset("\u200c\u200d")
# Joiners belong into Persian, Indic scripts and emoji: after a sign of those. Between
# Latin letters, twice or at the start they are there to hide.
_STRAY_JOINER = re.compile("(?<![^\0-\u024f\\s\u200c\u200d])[\u200c\u200d]")
# Marks at which Hebrew, Arabic and Latin meet. They turn no letter round.
_MARKS = frozenset("\u061c\u200e\u200f")
# With these a cell begins that a spreadsheet would compute. The wide ones are what
# Chinese keyboards write; spreadsheets take them for the others.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


class Unseen(Invalid):
    """A line holds what cannot be seen, or what turns the direction of writing."""

    code = "unseen_signs"
    text = _(
        "A name or subject has signs in it that cannot be seen. Please type it instead"
        " of pasting it."
    )


def line(text: str) -> str:
    """
    Return a text as one line, without the spaces around it; breaks, tabs and many
    spaces are one. Raises Unseen.
    """
    text = " ".join(_CONTROL.sub(" ", text).split())
    if not is_line(text):
        raise Unseen
    return text


def is_line(text: str) -> bool:
    """
    Say whether a text is one line of what can be seen. Left-to-right and right-to-left
    marks are not: no spelling needs them, and beside digits they change what is read.
    """
    return not any(map(_is_unseen, set(text) - _JOINERS)) and not (
        _STRAY_JOINER.search(text)
    )


def cleaned(text: str) -> str:
    """Return a text without what cannot be seen, but for lines, joiners and marks."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    kept = _JOINERS | _MARKS | {"\n"}
    dropped = {letter for letter in set(text) - kept if _is_unseen(letter)}
    return _STRAY_JOINER.sub("", text.translate(dict.fromkeys(map(ord, dropped))))


def harmless(cell: str) -> str:
    """
    Return a cell of a table that no spreadsheet takes for a formula: one that it would
    reckon with gets a mark before it, and stays a text.
    """
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN or bool(_FILLERS.match(letter))
