"""The marks in the tests and the list of promises agree."""

from __future__ import annotations

import pytest

from tests import promises


def test_it_knows_every_promise_that_a_test_claims_to_keep() -> None:
    unknown = {
        number: tests
        for number, tests in promises.kept().items()
        if number not in promises.known()
    }

    assert not unknown


def test_it_finds_the_promises_of_this_very_test_folder() -> None:
    # Without this, a reader of marks that finds nothing would find nothing wrong.
    assert "exchange/test_databases.py::" in " ".join(promises.kept()["I-16"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            '@pytest.mark.promise("I-1", "F-2")\ndef test_it(): ...',
            [("I-1", "test_it"), ("F-2", "test_it")],
        ),
        ('@mark.promise("I-1")\nclass TestIt: ...', [("I-1", "TestIt")]),
        ('pytestmark = [mark.db, mark.promise("I-1")]', [("I-1", "*")]),
        ("@pytest.mark.races\ndef test_it(): ...", []),
    ],
)
def test_it_reads_marks(source: str, expected: list[tuple[str, str]]) -> None:
    assert list(promises.marks(source)) == expected


def _range(letter: str, first: int, last: int) -> list[str]:
    return [f"{letter}-{number}" for number in range(first, last + 1)]


# What the members' part of the exchange answers for.
MEMBERS = [
    *_range("S", 1, 33),
    *_range("S", 41, 51),
    *_range("S", 57, 57),
    *_range("S", 61, 77),
]


def test_it_keeps_what_members_were_promised_or_says_why_not() -> None:
    known, kept, reasons = promises.known(), promises.kept(), promises.reasons()
    silent = [
        f"{number} {known[number]}"
        for number in MEMBERS
        if number not in kept and number not in reasons
    ]

    assert not silent, "\n".join(silent)


def test_it_reads_a_reason_below_a_promise() -> None:
    found = promises.read("# Heads\nS-1  this\n     open: comes later\n\nS-2  that\n")

    assert found.texts == {"S-1": "this", "S-2": "that"}
    assert found.reasons == {"S-1": "comes later"}


@pytest.mark.parametrize(
    "source",
    [
        "S-1 this\nS-1 that",
        "S-1 this\n  open: one\n  open: two",
        "  open: before anything is promised",
        "this without a number",
        "S-1 this\n  closed: it is",
    ],
)
def test_it_refuses_a_list_it_cannot_read(source: str) -> None:
    with pytest.raises(ValueError, match="malformed or repeated"):
        promises.read(source)
