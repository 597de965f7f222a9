"""
What verifiers of proofs of liabilities must accept and refuse, as files: one list for
all of them, ours and others'.

The people and the hashes of the legacy cases are those of published vectors; what must
be refused is made from what holds, by one change each.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wallets.solvency import legacy, levels, manifest, tree
from wallets.solvency.levels import RECORD

SNAPSHOT = "2026-11-22T00:00:00Z"
SCALE = 8
# Amounts in base units, and 128-bit nonces.
PEOPLE = {
    "alice": (150_000_000, "00112233445566778899aabbccddeeff"),
    "bob": (0, "0123456789abcdef0123456789abcdef"),
    "carol": (2_025_000_000, "ffeeddccbbaa99887766554433221100"),
}


@dataclass(frozen=True)
class Case:
    """Files for one kind of check, and whether they prove what they say."""

    name: str
    kind: str  # proof, leaves, chain or legacy
    files: tuple[str, ...]
    is_good: bool

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def cases() -> list[Case]:
    """Return all but the byte flips."""
    return [*_proofs(), *_leaves(), *_chains(), *_legacies()]


def flips() -> list[Case]:
    """Return a proof of each format with each of its bytes changed."""
    whole = Whole()
    good = [
        ("proof", whole.proof("alice"), whole.envelope),
        ("legacy", *legacy_files(PEOPLE, "alice")),
    ]
    found = []
    for kind, text, other in good:
        for at, letter in enumerate(text):
            flipped = chr(ord(letter) ^ (1 + at % 6))
            changed = text[:at] + flipped + text[at + 1 :]
            found.append(Case(f"byte {at} flipped", kind, (changed, other), False))
    return found


class Whole:
    """A planted tree with its manifest, and proofs out of it."""

    def __init__(self, people: dict[str, tuple[int, str]] = PEOPLE) -> None:
        self._users = list(people)
        amounts = [amount for amount, _nonce in people.values()]
        self.planted = tree.plant(
            asset="BTC",
            snapshot=SNAPSHOT,
            users=self._users,
            amounts=amounts,
            nonce=_nonce,
            pad=lambda place: hashlib.sha256(b"pad %d" % place).digest(),
        )
        self.ground = bytes(self.planted.ground)
        self.above = levels.heights(self.ground, tree.combine)
        self.root = levels.root(self.above)
        self.envelope = manifest.signed(manifest.canonical(self.manifest()))

    def published(self) -> tree.Root:
        root, depth = self.root, self.planted.depth
        return tree.Root("BTC", SNAPSHOT, depth, root.sum, root.hash.hex())

    def manifest(self, **changes: Any) -> dict[str, Any]:
        asset = {
            "asset": "BTC",
            "scale": SCALE,
            "depth": self.planted.depth,
            "sum": str(self.root.sum),
            "root": self.root.hash.hex(),
            "leaves": hashlib.sha256(self.ground).hexdigest(),
        }
        return {
            "format": manifest.FORMAT,
            "number": 1,
            "snapshot": SNAPSHOT,
            "previous": None,
            "assets": [asset | changes.pop("asset", {})],
        } | changes

    def shown(self, user: str) -> dict[str, Any]:
        number = self._users.index(user)
        starts, ground = self.planted.starts, io.BytesIO(self.ground)
        leaves = []
        for part in range(starts[number + 1] - starts[number]):
            place = self.planted.places[starts[number] + part]
            path = levels.path(
                ground=ground,
                above=io.BytesIO(self.above),
                count=2**self.planted.depth,
                position=place,
                combine=tree.combine,
            )
            amount = levels.leaf(ground, place).sum
            siblings = [each for each in path if each]
            leaves.append((place, amount, _nonce(number, part), siblings))
        return tree.proof(asset="BTC", snapshot=SNAPSHOT, user=user, leaves=leaves)

    def proof(self, user: str) -> str:
        return _compact(self.shown(user))


def legacy_files(people: dict[str, tuple[int, str]], user: str) -> tuple[str, str]:
    """Return a partial tree and the root file, as we publish them."""
    ground = b"".join(
        RECORD.pack(legacy.leaf_hash(name, _text(amount), nonce), amount)
        for name, (amount, nonce) in people.items()
    )
    combine = legacy.combiner(SCALE)
    above = levels.heights(ground, combine)
    position = list(people).index(user)
    path = levels.path(
        ground=io.BytesIO(ground),
        above=io.BytesIO(above),
        count=len(people),
        position=position,
        combine=combine,
    )
    amount, nonce = people[user]
    partial = legacy.partial_tree(
        user=user, amount=amount, nonce=nonce, position=position, path=path, scale=SCALE
    )
    root = levels.root(above)
    shown = legacy.root_file(root, scale=SCALE, currency="BTC", at_ms=1_795_305_600_000)
    return partial, shown


def crowd(count: int) -> dict[str, tuple[int, str]]:
    """Return so many people with something each."""
    return {
        f"member{number}": (number * number * 1_000_003, f"{number:032x}")
        for number in range(count)
    }


# --- What must be refused ------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def _put(*way: str | int, **values: object) -> Change:
    """Return what sets values inside a proof, found by keys and numbers."""

    def change(shown: Any) -> None:
        for step in way:
            shown = shown[step]
        shown.update(values)

    return change


BAD_AMOUNTS = (
    *(
        "-1",
        "1e3",
        "01",
        "1.",
        "+1",
        "１",
        "NaN",
        "9" * 400,
        "",
        " 1",
        "1 ",
        "Infinity",
    ),
    *("0x10", "1,5", ".5", "-0"),
)
_BOMB = '{"left":' * 10_000 + "{}" + "}" * 10_000


def _proofs() -> Iterator[Case]:
    whole = Whole()
    for user in PEOPLE:
        yield Case(user, "proof", (whole.proof(user), whole.envelope), True)
    changes: dict[str, Change] = {
        f"amount {text[:9]!r}": _put("leaves", 0, amount=text)
        for text in (*BAD_AMOUNTS, "1.5")
    }
    changes |= {
        f"sibling's sum {text[:9]!r}": _put("leaves", 0, "path", 0, sum=text)
        for text in BAD_AMOUNTS
    }
    changes |= {
        "amount as a number": lambda s: s["leaves"][0].update(amount=1),
        "above 2^63": lambda s: s["leaves"][0].update(amount=str(2**63)),
        "a leaf with a hash": lambda s: s["leaves"][0].update(hash="00" * 32),
        "no leaves": lambda s: s["leaves"].clear(),
        "a leaf twice": lambda s: s["leaves"].append(s["leaves"][0]),
        "too many leaves": lambda s: s.update(leaves=s["leaves"] * 9),
        "siblings swapped": lambda s: s["leaves"][0]["path"].reverse(),
        "a place too far": lambda s: s["leaves"][0].update(position=2**10),
        "a place below zero": lambda s: s["leaves"][0].update(position=-1),
        "the other side": lambda s: s["leaves"][0].update(
            position=s["leaves"][0]["position"] ^ 1
        ),
        "a short path": lambda s: s["leaves"][0]["path"].pop(),
        "a long path": lambda s: s["leaves"][0]["path"].append(
            s["leaves"][0]["path"][0]
        ),
        "a deep path": lambda s: s["leaves"][0].update(
            path=s["leaves"][0]["path"] * 1000
        ),
        "a sibling with children": lambda s: s["leaves"][0]["path"][0].update(left={}),
        "capital hex": lambda s: s["leaves"][0].update(
            nonce=s["leaves"][0]["nonce"].upper()
        ),
        "somebody else": lambda s: s.update(user="bob"),
        "another asset": lambda s: s.update(asset="LTC"),
        "another snapshot": lambda s: s.update(snapshot="2026-11-23T00:00:00Z"),
        "another tag": lambda s: s.update(format="xpol3/proof"),
        "something more": lambda s: s.update(more=1),
        "a user with a bar": lambda s: s.update(user="a|b"),
    }
    for name, change in changes.items():
        leaf = copy.deepcopy(whole.shown("alice"))
        change(leaf)
        yield Case(name, "proof", (_compact(leaf), whole.envelope), False)
    for name, text in {"no JSON": "{", "a bomb": _BOMB, "a list": "[]"}.items():
        yield Case(name, "proof", (text, whole.envelope), False)
    too_small = whole.manifest(asset={"sum": str(whole.root.sum - 1)})
    envelope = manifest.signed(manifest.canonical(too_small))
    yield Case("another total", "proof", (whole.proof("alice"), envelope), False)
    yield Case(
        "another signature",
        "proof",
        (whole.proof("alice"), _edited(whole.envelope, signature="00" * 64)),
        False,
    )


def _leaves() -> Iterator[Case]:
    whole = Whole()
    size = levels.SIZE

    def case(name: str, ground: bytes, envelope: str = "", *, is_good: bool) -> Case:
        text = base64.b64encode(ground).decode()
        files = (text, envelope or whole.envelope, "BTC")
        return Case(name, "leaves", files, is_good)

    yield case("all of them", whole.ground, is_good=True)
    yield case("one missing", whole.ground[size:], is_good=False)
    yield case("cut", whole.ground[:-1], is_good=False)
    swapped = whole.ground[size : 2 * size] + whole.ground[:size]
    yield case("two swapped", swapped + whole.ground[2 * size :], is_good=False)
    place = whole.planted.places[-1]
    hash, amount = RECORD.unpack_from(whole.ground, place * size)
    less = bytearray(whole.ground)
    RECORD.pack_into(less, place * size, hash, max(amount - 1, 0))
    yield case("one smaller", bytes(less), is_good=False)
    other = whole.manifest(asset={"leaves": "00" * 32})
    envelope = manifest.signed(manifest.canonical(other))
    yield case("another list named", whole.ground, envelope, is_good=False)


def _chains() -> Iterator[Case]:
    whole = Whole()
    texts: list[str] = []
    for number in range(1, 5):
        previous = manifest.digest(texts[-1]) if texts else None
        shown = whole.manifest(
            number=number, previous=previous, snapshot=f"2026-11-2{number}T00:00:00Z"
        )
        texts.append(manifest.canonical(shown))
    chain = [manifest.signed(text) for text in texts]
    edited = texts[1].replace('"scale":8', '"scale":9')
    early = whole.manifest(number=2, previous=manifest.digest(texts[0]))
    early["snapshot"] = "2026-11-20T00:00:00Z"
    spaced = manifest.signed(texts[0].replace(":", ": "))
    for name, files, is_good in (
        ("four in a row", chain, True),
        ("the first one", chain[:1], True),
        ("one edited", [chain[0], manifest.signed(edited), *chain[2:]], False),
        (
            "one edited, and not signed",
            [_edited(chain[0], manifest=texts[0] + " ")],
            False,
        ),
        ("one missing", [chain[0], *chain[2:]], False),
        ("the first missing", chain[1:], False),
        ("two swapped", [chain[1], chain[0], *chain[2:]], False),
        ("one twice", [chain[0], *chain], False),
        ("back in time", [chain[0], manifest.signed(manifest.canonical(early))], False),
        ("not canonical", [spaced], False),
        ("another key", [chain[0], _signed_by_another(texts[1])], False),
    ):
        yield Case(name, "chain", tuple(files), is_good)


# The fixtures of the gem liability-proof 0.0.9.
JAN = (
    '{"partial_tree":{"right":{"data":{"sum":"123.1","hash":"d1f12afd90e875891f5c12fc13'
    'a509fdbf383d2e2dd00e65a11932207f42f6cb"}},"left":{"right":{"data":{"sum":"13006.77'
    '","hash":"908534a5330fdb30d19a1e35483af8e0527c803433005be63a88bb346ad4c119"}},"lef'
    't":{"right":{"data":{"sum":"3515.82","hash":"4c0f31f337907634a702d767fdde5da58524b'
    '119025be0a6b51a69088be4b62e"}},"left":{"right":{"data":{"sum":"10690.05","hash":"2'
    '2c93df46910501fef170432d6b5f2caf11a0b4b46e927a2d7a6bd1e696c3f74"}},"left":{"right"'
    ':{"data":{"sum":"400.45","hash":"d6a8dc81b5593d8196572755edcab712bd6868c299295a0eb'
    '7107b1a901b7a97"}},"left":{"data":{"sum":"12.13","nonce":"2a399375206682842edbc36c'
    '56757b7f","user":"jan"}}}}}}}}'
)
JANS_ROOT = (
    '{"root":{"hash":"1b35088a66eca09c805f6b43f4fc70b5a7427cdfce14f5dae2b231c5144acd82"'
    ',"sum":"27748.32"},"currency":"BTC","timestamp":"Tue, 25 Mar 2014 09:38:50 +0800"}'
)


def _legacies() -> Iterator[Case]:
    yield Case("jan, of the gem 0.0.9", "legacy", (JAN, JANS_ROOT), True)
    yield Case("jan, as the gem 0.0.6", "legacy", (JAN, _without_bars(JAN)), False)
    for count in (1, 2, 3, 5, 8, 1000):
        people = crowd(count)
        last = legacy_files(people, f"member{count - 1}")
        yield Case(f"the last of {count}", "legacy", last, True)
    partial, root = legacy_files(PEOPLE, "alice")
    for user in PEOPLE:
        yield Case(user, "legacy", legacy_files(PEOPLE, user), True)
    # The flaw of the format, which a verifier of it cannot see: see forged_legacy.
    forged, published = forged_legacy()
    for user, tree_of_user in forged.items():
        yield Case(f"forged, {user}", "legacy", (tree_of_user, published), True)

    def mine(shown: dict[str, Any]) -> dict[str, Any]:
        node: dict[str, Any] = shown["partial_tree"]["left"]["left"]
        return node

    def sibling(shown: dict[str, Any]) -> dict[str, Any]:
        node: dict[str, Any] = shown["partial_tree"]["right"]
        return node

    changes: dict[str, Change] = {
        f"sum {text[:9]!r}": _put("partial_tree", "left", "left", "data", sum=text)
        for text in (*BAD_AMOUNTS, "1.50", "1.5000000000000000001")
    }
    changes |= {
        f"sibling's sum {text[:9]!r}": _put("partial_tree", "right", "data", sum=text)
        for text in BAD_AMOUNTS
    }
    changes |= {
        "a leaf with a hash": lambda s: mine(s)["data"].update(
            hash=legacy.leaf_hash("alice", "1.5", PEOPLE["alice"][1]).hex()
        ),
        "swapped": lambda s: s["partial_tree"].update(
            left=s["partial_tree"]["right"], right=s["partial_tree"]["left"]
        ),
        "two users": lambda s: s["partial_tree"].update(
            right={"data": {"user": "bob", "sum": "0", "nonce": PEOPLE["bob"][1]}}
        ),
        "no user": lambda s: s["partial_tree"].update(
            left={"data": {"sum": "1.5", "hash": "00" * 32}}
        ),
        "leaf and parent at once": lambda s: mine(s).update(
            left={"data": {"sum": "0", "hash": "00" * 32}},
            right={"data": {"sum": "0", "hash": "00" * 32}},
        ),
        "parent with data": lambda s: s["partial_tree"].update(
            data={"sum": "21.75", "hash": "00" * 32}
        ),
        "one child": lambda s: s["partial_tree"].pop("right"),
        "a user with a bar": lambda s: mine(s)["data"].update(user="alice|1.5"),
        "a user with a blank before": lambda s: mine(s)["data"].update(user=" alice"),
        "a user with a line feed": lambda s: mine(s)["data"].update(user="alice\n"),
        "a short nonce": lambda s: mine(s)["data"].update(nonce="00"),
        "something more": lambda s: s.update(more=1),
    }
    for name, change in changes.items():
        shown = json.loads(partial)
        change(shown)
        yield Case(name, "legacy", (_compact(shown), root), False)
    yield Case("a bomb", "legacy", ('{"partial_tree":' + _BOMB + "}", root), False)
    deep: dict[str, Any] = {"data": {"sum": "0", "hash": "00" * 32}}
    for _ in range(100):
        deep = {"left": deep, "right": {"data": {"sum": "0", "hash": "00" * 32}}}
    yield Case("too deep", "legacy", (_compact({"partial_tree": deep}), root), False)


FORGED = {"alice": 100, "bob": 60, "carol": 90, "dave": 10}


def forged_legacy() -> tuple[dict[str, str], str]:
    """
    Return partial trees of four who have 260, under a root of 100.

    Each parent's sum is that of the larger child, and each member is told that their
    sibling has what is missing: the format binds only the total.
    """
    nonces = {user: hashlib.sha256(user.encode()).hexdigest()[:32] for user in FORGED}
    leaves = [
        (sum, legacy.leaf_hash(user, str(sum), nonces[user]).hex())
        for user, sum in FORGED.items()
    ]

    def parent(left: tuple[int, str], right: tuple[int, str]) -> tuple[int, str]:
        sum = max(left[0], right[0])
        preimage = f"{sum}|{left[1]}|{right[1]}"
        return sum, hashlib.sha256(preimage.encode()).hexdigest()

    pairs = [parent(*leaves[:2]), parent(*leaves[2:])]
    root = parent(*pairs)
    found = {}
    for at, (user, sum) in enumerate(FORGED.items()):
        here: dict[str, Any] = {
            "data": {"user": user, "sum": str(sum), "nonce": nonces[user]}
        }
        own, place = sum, at
        for level, above in ((leaves, pairs[at // 2]), (pairs, root)):
            other = {"sum": str(above[0] - own), "hash": level[place ^ 1][1]}
            sides = [here, {"data": other}]
            left, right = sides if place % 2 == 0 else sides[::-1]
            here, own, place = {"left": left, "right": right}, above[0], place // 2
        found[user] = _compact({"partial_tree": here})
    return found, _compact({"root": {"sum": str(root[0]), "hash": root[1]}})


def _without_bars(partial: str) -> str:
    """Return the root file of the dialect that joins a node's fields without bars."""

    def fold(node: dict[str, Any]) -> tuple[int, str]:
        if data := node.get("data"):
            units = legacy._units(data["sum"])
            if "user" not in data:
                return units, data["hash"]
            user = legacy.leaf_hash(data["user"], data["sum"], data["nonce"])
            return units, user.hex()
        (left, one), (right, two) = fold(node["left"]), fold(node["right"])
        preimage = f"{legacy.text_of(left + right, 18)}{one}{two}"
        return left + right, hashlib.sha256(preimage.encode()).hexdigest()

    total, hash = fold(json.loads(partial)["partial_tree"])
    return _compact({"root": {"sum": legacy.text_of(total, 18), "hash": hash}})


def _signed_by_another(text: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(os.urandom(32))
    public_key = key.public_key().public_bytes_raw().hex()
    signature = key.sign(text.encode()).hex()
    return _compact(
        {"manifest": text, "public_key": public_key, "signature": signature}
    )


def _edited(envelope: str, **changes: str) -> str:
    return _compact(json.loads(envelope) | changes)


def _nonce(number: int, part: int) -> bytes:
    return hashlib.sha256(b"nonce %d of %d" % (part, number)).digest()


def _text(amount: int) -> str:
    return legacy.text_of(amount, SCALE)


def _compact(what: Any) -> str:
    return json.dumps(what, separators=(",", ":"))
