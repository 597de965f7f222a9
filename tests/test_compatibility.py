"""
The tables of compatibility: each row of the READMEs names the test that holds it, and
that test exists.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.databases import ROOT

READMES = ("markets/api/README.md", "markets/README.md")
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows(readme: str) -> list[list[str]]:
    """Return the rows of all tables whose last column is called `test`."""
    found, inside = [], False
    for line in (ROOT / readme).read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif cells[-1] == "test":
            inside = True
        elif inside and set(cells[0]) != {"-"}:
            found.append(cells)
    return found


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("readme", READMES)
def test_each_row_names_tests_that_exist(readme: str) -> None:
    found = rows(readme)

    assert len(found) >= 10
    for behaviour, ours, _why, named in found:
        assert behaviour
        assert ours
        tests = _TEST.findall(named)
        assert tests, behaviour
        for path, name in tests:
            assert name in names_in(path), f"{behaviour}: {path}::{name}"
