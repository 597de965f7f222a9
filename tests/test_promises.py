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
