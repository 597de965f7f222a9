"""What members write, as others read it."""

from __future__ import annotations

import unicodedata

import pytest

from exchange.lib import words

OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
MARKS = "\u061c\u200e\u200f"
HIDDEN = "\u00ad\u200b\u2060\ufeff\u180e\u3164\u115f\u2800\u034f\U000e0041\ue000"
GOOD = [
    "Wallet (2), day-to-day",
    "می\u200cخواهم",  # Persian, apart and yet one word
    "क्\u200dष, ക്\u200d",  # Indic, also at the end of a word
    "👩🏽\u200d💻 ❤️\u200d🔥",
    "عربي",
    "שלום",
    "葛\U000e0100城",  # a Japanese name in the form its owner writes
    "李\u3000四",
    "\U00032000",  # a letter that this Python does not know
]


@pytest.mark.promise("S-82")
@pytest.mark.parametrize("hidden", [*OVERRIDES, *MARKS, *HIDDEN])
def test_a_line_has_nothing_unseen(hidden: str) -> None:
    with pytest.raises(words.Unseen):
        words.line(f"invoice{hidden}fdp.exe")


@pytest.mark.parametrize(
    "text", ["ad\u200dmin", "\u200cAlice", "می\u200c\u200cخ", "é\u200d"]
)
def test_a_line_has_no_joiner_that_joins_nothing(text: str) -> None:
    assert not words.is_line(text)
    assert words.cleaned(text) != text


@pytest.mark.parametrize("text", GOOD)
def test_it_takes_what_scripts_need(text: str) -> None:
    assert words.is_line(text)
    assert words.cleaned(text) == text


def test_a_line_is_one_line() -> None:
    assert words.line(" one\r\n two\x00\u3000three\xa0") == "one two three"
    assert not words.is_line("one\ntwo")


@pytest.mark.promise("S-82")
def test_it_takes_out_of_a_text_what_steers() -> None:
    text = f"a{OVERRIDES}b{HIDDEN}c\r\n\td{MARKS}\x1b[2J"

    assert words.cleaned(text) == f"abc\n d{MARKS}[2J"


def test_it_lets_no_character_through_that_formats() -> None:
    known = (chr(n) for n in range(0x3000))
    formats = {each for each in known if unicodedata.category(each) == "Cf"}

    assert {each for each in formats if words.is_line(f"a{each}b")} == set()
