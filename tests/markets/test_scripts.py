"""The pages' scripts: their own tests, run by node, and what may stand in them."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess

import pytest

from markets.views import MODULES
from tests.databases import ROOT

SCRIPTS = ROOT / "static" / "js"
CHART = (
    "node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.js"
)
BUDGET_BYTES = 150_000  # U 5.3: scripts of the trading page, chart included, gzipped
# The modules that calculate. A chart is a picture; it may use floats.
EXACT = ("balances", "book", "book_view", "decimal", "estimate", "field", "form")


def test_it_calculates_as_the_scripts_own_tests_say() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    version = subprocess.check_output([node, "--version"], text=True)
    major, minor = map(int, version.strip("v\n").split(".")[:2])
    if (major, minor) < (18, 19):
        pytest.skip(f"Node.js {version.strip()} is too old for these tests")
    # Newer ones see by themselves that these are modules.
    options = (
        ["--experimental-default-type=module"] if (major, minor) < (20, 19) else []
    )
    tests = sorted(map(str, ROOT.glob("tests/*/js/*.test.mjs")))

    done = subprocess.run(
        [node, *options, "--test", *tests],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert tests
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_it_names_every_module_that_the_market_page_imports() -> None:
    found: set[str] = set()
    waiting = ["market"]
    while waiting:
        text = (SCRIPTS / f"{waiting.pop()}.js").read_text()
        fresh = set(re.findall(r'(?:from|import) "\./(\w+)\.js"', text)) - found
        found |= fresh
        waiting += fresh

    assert found == set(MODULES)


def test_it_stays_within_its_budget() -> None:
    chart = ROOT / CHART
    if not chart.exists():
        pytest.skip("the front-end packages are not installed")
    scripts = [SCRIPTS / f"{name}.js" for name in ("theme", "market", *MODULES)]

    size = sum(len(gzip.compress(path.read_bytes())) for path in [chart, *scripts])

    assert size <= BUDGET_BYTES


@pytest.mark.parametrize("name", EXACT)
def test_it_never_makes_a_float_of_money(name: str) -> None:
    text = (SCRIPTS / f"{name}.js").read_text()

    assert not re.search(
        r"\bparseFloat\b|\.toFixed\(|\bNumber\((?!mine > theirs\))", text
    )


def test_it_says_nothing_that_is_not_translated() -> None:
    words = (ROOT / "templates/markets/_words.html").read_text()
    known = set(re.findall(r'data-word="([\w-]+)"', words))
    said = {
        word
        for path in SCRIPTS.glob("*.js")
        for word in re.findall(r'\bsay\(\s*"([\w-]+)"', path.read_text())
    }

    assert said <= known
