"""
Style as a test: what a machine can check, no reviewer mentions.

Each rule is a pattern, where it holds, and what to do instead. A second test plants
each sin and sees that its rule catches it: a rule that cannot fail protects nothing.
Rules about imports are contracts in pyproject.toml; rules about syntax are ruff's.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_BYTES_MAX = 1_000_000
# The one file that must spell out what it forbids.
_SELF = "tests/test_tidy.py"
_TEXT_SUFFIXES = {
    *(".py", ".md", ".txt", ".toml", ".yml", ".yaml", ".json", ".html", ".css"),
    *(".js", ".sql", ".tape", ".svg", ".example", ".po", ""),
}


@dataclass(frozen=True)
class Rule:
    """Something that must not stand in a file, and what stands there instead."""

    name: str
    find: Callable[[str], Iterable[int]]  # in a text, by line number
    instead: str
    sin: str
    # By path, relative to the root: where the rule holds.
    holds: Callable[[str], bool] = lambda path: path.endswith(".py")

    def breaches(self, path: str, text: str) -> Iterator[str]:
        if path != _SELF and self.holds(path):
            for line in self.find(text):
                yield f"{path}:{line}: {self.name}: {self.instead}"


def _pattern(pattern: str) -> Callable[[str], Iterable[int]]:
    compiled = re.compile(pattern, re.MULTILINE)
    return lambda text: (
        text.count("\n", 0, match.start()) + 1 for match in compiled.finditer(text)
    )


def _locks_in_passing(text: str) -> Iterator[int]:
    function = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*(?:async )?def _?(\w+)", line):
            function = match[1]
        if "select_for_update" in line and not function.startswith("lock_"):
            yield number


def _code(path: str) -> bool:
    return path.endswith(".py") and not path.startswith("tests/")


def _money(path: str) -> bool:
    homes = ("wallets/", "markets/", "matching/", "exchange/lib/money.py")
    return path.endswith(".py") and path.startswith(homes)


def _outside(*homes: str) -> Callable[[str], bool]:
    return lambda path: _code(path) and not path.startswith(homes)


# Who speaks by printing, besides commands; the last two hold programs to take away.
_SPEAKERS = (
    *("exchange/benches/", "exchange/supervisor.py"),
    *("templates/api/examples/", "static/solvency/"),
)


def _quiet(path: str) -> bool:
    return _code(path) and not (
        "/management/commands/" in path or path.startswith(_SPEAKERS)
    )


def _anywhere(_: str) -> bool:
    return True


# Spelled so that this file does not name them.
_REGISTRIES = "|".join(
    rf"\b{name}\.(?:org|com)\b"
    for name in (
        *("pypi", "pythonhosted", "registry\\.npmjs"),
        *("deb\\.debian", "security\\.debian", "archive\\.ubuntu"),
    )
)

RULES = [
    Rule(
        "float near money",
        _pattern(r"(?<![\w.])float\("),
        "amounts are Decimal outside the engine and integers inside",
        "fee = float(amount)",
        _money,
    ),
    Rule(
        "a clock without a zone",
        _pattern(r"datetime\.(?:now|utcnow|today)\("),
        "take `now` from the caller; at the border django.utils.timezone.now()",
        "created_at = datetime.now()",
        _code,
    ),
    Rule(
        "print",
        _pattern(r"(?<![\w.])print\("),
        "log it, or let a management command write it",
        "print(order)",
        _quiet,
    ),
    Rule(
        "first of no order",
        _pattern(r"^(?!.*order_by).*\.first\(\)"),
        "say order_by(...) on the same line: without one the first row is any row",
        "trade = Trade.objects.filter(market=market).first()",
        _code,
    ),
    Rule(
        "a swallowed error",
        _pattern(r"except(?: (?:Base)?Exception(?: as \w+)?)?:\s*(?:pass|\.\.\.)$"),
        "catch what you can name and do something about it; let the rest fly",
        "try:\n    settle()\nexcept Exception:\n    pass",
    ),
    Rule(
        "a bare except",
        _pattern(r"^\s*except\s*:"),
        "name the error: a bare except catches KeyboardInterrupt too",
        "try:\n    settle()\nexcept:\n    raise",
    ),
    Rule(
        "a lock in passing",
        _locks_in_passing,
        "lock rows in a function named lock_..., in the one order of the house",
        "def settle():\n    rows = Order.objects.select_for_update()",
        _code,
    ),
    Rule(
        "a state set by hand",
        _pattern(r"^\s*[\w.\[\]]+\.state\s*=(?!=)"),
        "states.advance(row, move, by=...) checks the move and writes it down",
        "withdrawal.state = State.DONE",
        _outside("exchange/lib/states.py"),
    ),
    Rule(
        "on_commit",
        _pattern(r"on_commit\("),
        "transactions.after_commit(deed)",
        "transaction.on_commit(publish)",
        _outside("exchange/lib/"),
    ),
    Rule(
        "an acknowledgement in advance",
        _pattern(r"(?:no|auto)_ack\s*=\s*True"),
        "acknowledge after the commit; only news, in the bus, may be missed",
        "channel.basic_consume(queue, run, auto_ack=True)",
        _outside("exchange/lib/bus_amqp.py"),
    ),
    Rule(
        "a leftover",
        _pattern(r"\b(?:FIXME|XXX|HACK)\b|\bTODO\b(?!\(#\d+\))"),
        "finish it, or say TODO(#12): with the number of its issue",
        "# TODO: settle this later",
    ),
    Rule(
        "a path of one machine",
        _pattern(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/"),
        "paths are relative to the checkout, or configured",
        'HISTORY = "/home/alice/history"',
        _anywhere,
    ),
    Rule(
        "the host of a registry",
        _pattern(_REGISTRIES),
        "packages come from wherever the machine gets its packages",
        f"pip install -i https://{'pypi'}.org/simple",
        _anywhere,
    ),
]


def _files() -> Iterator[str]:
    """List what is committed, or about to be."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in sorted(set(done.stdout.decode().split("\0"))):
        if name and (ROOT / name).is_file():
            yield name


def _message(breaches: list[str]) -> str:
    return "\n".join(["", *breaches])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_it_catches_a_planted_sin(rule: Rule) -> None:
    breaches = list(rule.breaches("markets/settlement.py", f"x = 1\n{rule.sin}\n"))

    assert len(breaches) == 1
    assert rule.instead in breaches[0]


def test_it_finds_no_sin_in_the_house() -> None:
    breaches = [
        breach
        for path in _files()
        if Path(path).suffix in _TEXT_SUFFIXES
        for rule in RULES
        for breach in rule.breaches(path, (ROOT / path).read_text())
    ]

    assert not breaches, _message(breaches)


def _is_misplaced(path: Path) -> str:
    """Say what is wrong with a committed file as such; nothing, when nothing is."""
    content = path.read_bytes()
    if len(content) > _BYTES_MAX:
        return f"{path.name}: {len(content):,} bytes; a repository is no warehouse"
    if b"\0" in content and path.suffix not in {".png", ".ico", ".woff2", ".mo"}:
        return f"{path.name}: binary; keep its source instead"
    if path.stem in {"utils", "helpers", "misc", "services", "managers"} and (
        path.suffix == ".py" and path.parent.name != "tests"
    ):
        return f"{path}: name the module after its subject"
    return ""


def test_it_keeps_only_small_readable_files_with_a_subject() -> None:
    breaches = [found for name in _files() if (found := _is_misplaced(ROOT / name))]

    assert not breaches, _message(breaches)


@pytest.mark.parametrize(
    ("name", "content"),
    [("big.txt", b"x" * 1_000_001), ("blob.dat", b"\0\1"), ("helpers.py", b"")],
)
def test_it_catches_files_that_do_not_belong(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert _is_misplaced(path)


def test_it_speaks_to_postgresql_through_psycopg2_alone() -> None:
    # Django silently prefers psycopg 3 where somebody pulls it in.
    assert find_spec("psycopg2") is not None
    assert find_spec("psycopg") is None
