"""
The verifiers: our library, the single file, and the page's script are held to one
corpus; and a verifier that is not ours to the files that we make in its format.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import solvency_corpus as corpus
from tests.databases import ROOT
from tests.solvency_corpus import Case, Whole
from wallets.solvency import legacy, levels, manifest, tree
from wallets.solvency.levels import RECORD, Node
from wallets.solvency.strict import Unproven

VERIFIER = ROOT / "static/solvency/verify_liabilities.py"
LPROOF = ROOT / "node_modules/lproof/build/lproof.js"
CASES = corpus.cases()


def library_accepts(case: Case) -> bool:
    try:
        if case.kind == "legacy":
            legacy.verify(*case.files)
        elif case.kind == "chain":
            manifest.check_chain(list(case.files))
        elif case.kind == "proof":
            tree.verify(case.files[0], root_of(manifest.opened(case.files[1])))
        else:
            root = root_of(manifest.opened(case.files[1]))
            raw = base64.b64decode(case.files[0])
            named = manifest.opened(case.files[1])["assets"][0]["leaves"]
            tree.verify_leaves(io.BytesIO(raw), root, named)
    except Unproven:
        return False
    return True


def root_of(shown: dict[str, Any]) -> tree.Root:
    (asset,) = shown["assets"]
    return tree.Root(
        asset=asset["asset"],
        snapshot=shown["snapshot"],
        depth=asset["depth"],
        sum=int(asset["sum"]),
        hash=asset["root"],
    )


def single_file(folder: Path, case: Case) -> subprocess.CompletedProcess[str]:
    arguments = []
    for number, text in enumerate(case.files):
        path = folder / f"{number}"
        if case.kind == "leaves" and number == 0:
            path.write_bytes(base64.b64decode(text))
        else:
            path.write_text(text)
        arguments.append(str(path))
    if case.kind == "leaves":
        arguments[2] = case.files[2]
    return subprocess.run(
        [sys.executable, "-I", "-S", VERIFIER, case.kind, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node.js is not installed")
    return found


def script_accepts(cases: list[Case]) -> list[bool]:
    shown = [{"kind": case.kind, "files": case.files} for case in cases]
    # What newer ones see by themselves: the page's scripts are modules.
    options = ["--experimental-default-type=module", "--no-warnings"]
    done = subprocess.run(
        [node(), *options, str(ROOT / "tests/wallets/js/conformance.mjs")],
        input=json.dumps(shown),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


# --- Vectors -------------------------------------------------------------------------


@pytest.mark.promise("Q-1")
def test_it_agrees_with_the_published_vectors() -> None:
    franks = legacy.leaf_hash(
        "frank@example.com", "3.1415", "e3b0c44298fc1c149afbf4c8996fb924"
    ).hex()
    ours = [
        legacy.leaf_hash(user, legacy.text_of(amount, 8), nonce).hex()
        for user, (amount, nonce) in corpus.PEOPLE.items()
    ]
    ours.append(legacy.leaf_hash("dummy", "0", "0").hex())
    ground = b"".join(
        RECORD.pack(bytes.fromhex(hash), amount)
        for hash, amount in zip(ours, [150_000_000, 0, 2_025_000_000, 0], strict=True)
    )
    root = levels.root(levels.heights(ground, legacy.combiner(8)))

    assert franks[:8] + franks[-4:] == "7856aa357461"
    assert ours == [
        "08c933ae7b2a6422ab77a4d145098b2d4ca9acd5d51badc64577db6407ed7ea6",
        "b0f68ece870c42459c0c160187f1cc8efa853425d4913ae79a3fe1717ca03408",
        "c50c95fe91ddef655e802331939d476216cb435e469c61fd8bd1497769e69a43",
        "651624772b64ea9fb05fe99d6c6eddcf0d3bfdf3c71efaf62385d8aa573b81ae",
    ]
    assert legacy.text_of(root.sum, 8) == "21.75"
    assert root.hash.hex() == (
        "b1a53479fbc9ecbefbbed42967b1dc1ac08d19732d9b6cfb0465c082a01c519b"
    )


@pytest.mark.promise("Q-1")
def test_it_agrees_with_the_vectors_of_its_own_format() -> None:
    leaves = [
        Node(
            tree.leaf_hash("BTC", corpus.SNAPSHOT, user, amount, bytes.fromhex(nonce)),
            amount,
        )
        for user, (amount, nonce) in corpus.PEOPLE.items()
    ]
    leaves.append(Node(tree.pad_hash("BTC", corpus.SNAPSHOT, b"3"), 0))

    root = tree.node(tree.node(*leaves[:2]), tree.node(*leaves[2:]))

    assert leaves[0].hash.hex() == (
        "5b8fccd1a7cb4026d13ee5b73c8ead83f0d4527703ad634a7bb8e49ab11919c5"
    )
    assert root.sum == 2_175_000_000
    assert root.hash.hex() == (
        "676a859322065a463bdb5d54827b8485752546b8a79d0f64c31471ab8161c456"
    )


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [
        *((0, 8, "0"), (2_000_000_000, 8, "20"), (120_000_000, 8, "1.2")),
        *((1, 8, "0.00000001"), (5, 0, "5"), (10**19, 18, "10"), (1, 18, f"0.{1:018}")),
    ],
)
def test_it_writes_sums_in_their_shortest_form(
    units: int, scale: int, text: str
) -> None:
    assert legacy.text_of(units, scale) == text


def test_what_no_member_has_is_padding() -> None:
    secrets = {
        place: hashlib.sha256(b"pad %d" % place).digest() for place in range(1024)
    }
    whole = Whole()

    padding = secrets.keys() - set(whole.planted.places)

    assert whole.planted.depth == 10
    assert 0 < len(whole.planted.places) == 1024 - len(padding)
    for place in padding:
        expected = tree.pad_hash("BTC", corpus.SNAPSHOT, secrets[place])
        assert levels.leaf(io.BytesIO(whole.ground), place) == (expected, 0)


# --- One corpus for all --------------------------------------------------------------


@pytest.mark.promise("Q-1", "Q-2", "Q-3", "Q-4", "Q-9")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_library_judges_as_it_should(case: Case) -> None:
    assert library_accepts(case) == case.is_good


@pytest.mark.promise("Q-1", "Q-2", "Q-3", "Q-4", "Q-9")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_single_file_judges_as_it_should(case: Case, tmp_path: Path) -> None:
    done = single_file(tmp_path, case)

    assert done.returncode == (0 if case.is_good else 1), done.stdout + done.stderr
    assert done.stdout.startswith("Proven" if case.is_good else "NOT PROVEN: ")
    assert not done.stderr


@pytest.mark.promise("Q-1", "Q-2", "Q-3", "Q-4", "Q-9")
def test_the_script_of_the_page_judges_as_it_should() -> None:
    verdicts = script_accepts(CASES)

    wrong = [
        str(case)
        for case, verdict in zip(CASES, verdicts, strict=True)
        if verdict != case.is_good
    ]
    assert wrong == []


@pytest.mark.promise("Q-4")
def test_the_library_and_the_script_refuse_every_flipped_byte() -> None:
    flipped = corpus.flips()

    assert len(flipped) > 2000
    assert [str(case) for case in flipped if library_accepts(case)] == []
    verdicts = zip(flipped, script_accepts(flipped), strict=True)
    assert [str(case) for case, verdict in verdicts if verdict] == []


@pytest.mark.promise("Q-4")
def test_the_single_file_refuses_every_flipped_byte() -> None:
    # In one process: what it does for a file is the same function.
    code = (
        "import json, runpy, sys\n"
        f"own = runpy.run_path({str(VERIFIER)!r})\n"
        "for kind, one, two in json.load(sys.stdin):\n"
        "    try:\n"
        "        if kind == 'legacy': own['verify_legacy'](one, two)\n"
        "        else: own['verify_proof'](one, json.loads(two))\n"
        "        print(kind, one)\n"
        "    except own['Unproven']:\n"
        "        pass\n"
    )
    cases = [
        [case.kind, one, json.loads(two).get("manifest", two)]
        for case in corpus.flips()
        for one, two in [case.files]
    ]

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert done.stdout == ""


def test_the_single_file_says_how_it_is_used_and_what_it_cannot_read() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-S", VERIFIER, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert run().returncode == 2
    assert "verify_liabilities.py proof" in run("nonsense").stdout
    missing = run("legacy", "no-such-file", "nor-this-one")
    assert missing.returncode == 2
    assert missing.stdout.startswith("Cannot be read")


# --- The forgery ---------------------------------------------------------------------


@pytest.mark.promise("Q-3")
def test_the_forgery_that_the_old_format_cannot_see_is_caught_by_ours() -> None:
    # Four have 260 and the root says 100: each is told that the sibling has the rest.
    leaves = [
        Node(tree.leaf_hash("BTC", corpus.SNAPSHOT, user, amount, bytes(16)), amount)
        for user, amount in corpus.FORGED.items()
    ]

    def forged_for(at: int) -> str:
        """Return the root that one of the four would have to be shown."""
        here, level, place = leaves[at], leaves, at
        for largest in (max(leaves[at - at % 2].sum, leaves[at | 1].sum), 100):
            told = Node(level[place ^ 1].hash, largest - here.sum)
            here = tree.node(told, here) if place & 1 else tree.node(here, told)
            level = [
                Node(here.hash, max(left.sum, right.sum))
                for left, right in zip(level[::2], level[1::2], strict=True)
            ]
            place //= 2
        return here.hash.hex()

    assert len({forged_for(at) for at in range(2)}) == 2


@pytest.mark.promise("Q-3")
def test_the_whole_list_gives_the_forgery_away() -> None:
    whole = Whole({user: (amount, "") for user, amount in corpus.FORGED.items()})
    named = hashlib.sha256(whole.ground).hexdigest()
    root = whole.published()
    smaller = tree.Root(root.asset, root.snapshot, root.depth, 100, root.hash)

    tree.verify_leaves(io.BytesIO(whole.ground), root, named)
    with pytest.raises(Unproven):
        tree.verify_leaves(io.BytesIO(whole.ground), smaller, named)


# --- A verifier that is not ours -----------------------------------------------------


@pytest.mark.promise("Q-2")
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 1000])
def test_an_independent_verifier_accepts_our_legacy_files(count: int) -> None:
    if not LPROOF.exists():
        pytest.skip("lproof, a front-end package of the tests, is not installed")
    people = corpus.crowd(count)
    some = [f"member{number}" for number in {0, count // 2, count - 1}]
    files = [corpus.legacy_files(people, user) for user in some]
    code = (
        f"const lproof = require({str(LPROOF)!r});"
        "const told = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const found = told.map(([partial, root]) => lproof.verifyTree("
        "lproof.deserializePartialTree(partial), lproof.deserializeRoot(root)).user);"
        "console.log(JSON.stringify(found));"
    )

    done = subprocess.run(
        [node(), "-e", code],
        input=json.dumps(files),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == some
