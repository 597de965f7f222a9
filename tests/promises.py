"""
Which promises are kept by which test: `make promises`.

The promises stand in promises.txt, with the reason below those that are left open on
purpose, wholly or in part; the tests say in a mark which they keep. The marks are read
from the source, so that nothing has to run or even be importable.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
_LINE = re.compile(r"([A-Z]-\d+)\s+(.+)")
_REASON = re.compile(r"\s+open: (.+)")
_SET_ASIDE = "set aside:"


class Promises(NamedTuple):
    """What is promised, by number, and why some of it is open."""

    texts: dict[str, str]
    reasons: dict[str, str]


def known() -> dict[str, str]:
    """Return every promise: its number, and what it says."""
    return read((TESTS / "promises.txt").read_text()).texts


def reasons() -> dict[str, str]:
    """Return, for each promise that is left open on purpose, why."""
    return read((TESTS / "promises.txt").read_text()).reasons


def read(source: str) -> Promises:
    """Read a list of promises, each with its reason below it where it has one."""
    found = Promises({}, {})
    number = ""
    for line in source.splitlines():
        if not line or line.startswith("#"):
            continue
        reason = _REASON.fullmatch(line)
        if reason and number and number not in found.reasons:
            found.reasons[number] = reason[1]
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1] in found.texts:
            raise ValueError(f"promises.txt: malformed or repeated: {line!r}")
        number = match[1]
        found.texts[number] = match[2]
    return found


def kept() -> dict[str, list[str]]:
    """Return, for each number in a mark, the tests that carry it."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for number, test in marks(path.read_text()):
            found[number].append(f"{path.relative_to(TESTS)}::{test}")
    return dict(found)


def marks(source: str) -> Iterator[tuple[str, str]]:
    """Yield (number, test) for each promise marked on a function, class or module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                yield from ((number, node.name) for number in _numbers(decorator))
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark"
            for target in node.targets
        ):
            yield from ((number, "*") for number in _numbers(node.value))


def _numbers(node: ast.expr) -> Iterator[str]:
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "promise"
        ):
            yield from (
                argument.value
                for argument in call.args
                if isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
            )


def main() -> None:
    promises, why, tests = known(), reasons(), kept()
    for number, text in promises.items():
        print(f"[{_sign(number, text, why, tests)}] {number:<5} {text}")
        if number in why:
            print(f"            open: {why[number]}")
        for test in tests.get(number, []):
            print(f"            {test}")
    aside = sum(text.startswith(_SET_ASIDE) for text in promises.values())
    partly = len(tests.keys() & why.keys())
    print(
        f"\n{len(tests) - partly} kept, {partly} kept in part,"
        f" {len(promises) - len(tests) - aside} open"
        f" ({len(why) - partly} with a reason), {aside} set aside"
    )


def _sign(number: str, text: str, why: Container[str], tests: Container[str]) -> str:
    """Say in one letter whether a promise is set aside, kept, kept in part, or open."""
    if text.startswith(_SET_ASIDE):
        return "="
    if number in tests:
        return "~" if number in why else "x"
    return " "


if __name__ == "__main__":
    main()
