"""How the pages write numbers. The scripts write them the same way: js/numbers.json."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from markets import display
from tests.databases import ROOT

CASES: dict[str, list[Any]] = json.loads(
    (ROOT / "tests/markets/js/numbers.json").read_text()
)


@pytest.mark.promise("U-41")
@pytest.mark.parametrize(("text", "digits", "expected"), CASES["padded"])
def test_it_pads_amounts_without_ever_cutting_them(
    text: str, digits: int, expected: str
) -> None:
    assert display.padded(text, digits) == expected


@pytest.mark.parametrize(("before", "last", "direction", "text"), CASES["change"])
def test_it_says_how_far_a_price_has_come_with_a_sign(
    before: str | None, last: str | None, direction: str, text: str
) -> None:
    assert display.change(before, last) == (direction, text)


def test_it_draws_a_line_inside_its_box() -> None:
    line = display.spark([Decimal(3), Decimal(1), Decimal(2)])

    assert line == "0.0,2.0 48.0,22.0 96.0,12.0"


def test_it_draws_nothing_of_a_single_price() -> None:
    assert display.spark([Decimal(3)]) == ""
