"""Every tape in the folder, played by the engine and by its judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tape
from tests.matching.naive import NaiveBook

TAPES = sorted((Path(__file__).parent / "tapes").glob("*.tape"))


@pytest.mark.parametrize("path", TAPES, ids=lambda path: path.stem)
def test_it_plays_the_tape(path: Path) -> None:
    text = path.read_text()

    played = tape.play(text)

    assert played == tape.tidy(text)


@pytest.mark.parametrize(
    "path", [path for path in TAPES if "deep" not in path.stem], ids=lambda p: p.stem
)
def test_it_judges_the_tape_alike(path: Path) -> None:
    text = path.read_text()

    played = tape.play(text, NaiveBook())

    assert played == tape.tidy(text)


def test_it_shows_where_a_tape_is_wrong() -> None:
    text = "alice  sells 5 @ 100  rests 4"

    played = tape.play(text)

    assert played == "alice  sells 5 @ 100  rests 5"


def test_it_refuses_what_is_no_tape() -> None:
    with pytest.raises(ValueError, match="not in the language"):
        tape.play("alice  gives 5 @ 100  rests 5")
