"""
Our own tree, "xpol2": a summation Merkle tree that binds what its ancestor left open.

Every hash is SHA-256 over a tag and fields, each with its length before it, so that no
two readings share a preimage. A node binds the sum of *each* child: in the ancestor's
format it binds only their total, and a sibling's share had to be believed. Amounts are
whole base units, written as decimal text. Each balance is split at random into several
leaves, leaves are shuffled, and the rest up to a power of two is padding: neither the
number of members nor anybody's balance can be read off the published list of leaves.

Pure: no Django, no clock, and no chance but what the operating system gives.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

from wallets.solvency import levels
from wallets.solvency.levels import RECORD, SIZE, SUM_MAX, Node, TooMuch
from wallets.solvency.strict import HASH, USER, Unproven, keyed, matched, parsed

PROOF = "xpol2/proof"
DEPTH_MIN = 10
PARTS_MAX = 10

_AMOUNT = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Root:
    """What was published of one currency's tree, by a manifest."""

    asset: str
    snapshot: str
    depth: int
    sum: int
    hash: str


# --- Hashes --------------------------------------------------------------------------


def framed(tag: bytes, *fields: bytes) -> bytes:
    """Join a tag and fields, each with its length before it: 2 bytes, then 4 each."""
    parts = [len(tag).to_bytes(2, "big"), tag]
    for field in fields:
        parts += (len(field).to_bytes(4, "big"), field)
    return b"".join(parts)


def leaf_hash(asset: str, snapshot: str, user: str, amount: int, nonce: bytes) -> bytes:
    texts = (asset, snapshot, user, str(amount))
    preimage = framed(b"xpol2/leaf", *(text.encode() for text in texts), nonce)
    return hashlib.sha256(preimage).digest()


def pad_hash(asset: str, snapshot: str, secret: bytes) -> bytes:
    preimage = framed(b"xpol2/pad", asset.encode(), snapshot.encode(), b"0", secret)
    return hashlib.sha256(preimage).digest()


def node(left: Node, right: Node) -> Node:
    """Return the parent of two nodes. Raises TooMuch."""
    if left.sum + right.sum > SUM_MAX:
        raise TooMuch
    return Node(*RECORD.unpack(combine(RECORD.pack(*left) + RECORD.pack(*right))))


_NODE = framed(b"xpol2/node")
_LENGTH = [length.to_bytes(4, "big") for length in range(33)]


def combine(level: bytes) -> bytes:
    """Return the level above: see levels. Written for speed; `framed` says the same."""
    sha256, pack, lengths, hash_length = (
        hashlib.sha256,
        RECORD.pack,
        _LENGTH,
        _LENGTH[32],
    )
    found = []
    records = RECORD.iter_unpack(level)
    for (left, left_sum), (right, right_sum) in zip(records, records, strict=True):
        one, two = b"%d" % left_sum, b"%d" % right_sum
        preimage = b"".join(
            (
                *(_NODE, lengths[len(one)], one, hash_length, left),
                *(lengths[len(two)], two, hash_length, right),
            )
        )
        found.append(pack(sha256(preimage).digest(), left_sum + right_sum))
    return b"".join(found)


# --- Planting ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planted:
    """
    The ground of a tree, and where in it each holder's leaves are: those of holder n
    are `places[starts[n]:starts[n + 1]]`.
    """

    ground: bytearray
    depth: int
    starts: array[int]
    places: array[int]


def plant(
    *,
    asset: str,
    snapshot: str,
    users: Iterable[str],
    amounts: Sequence[int],
    nonce: Callable[[int, int], bytes],
    pad: Callable[[int], bytes],
    depth_min: int = DEPTH_MIN,
) -> Planted:
    """
    Split, shuffle and pad.

    `nonce(n, part)` and `pad(place)` give 32 secret bytes for a part of holder n and
    for a leaf of padding. At least a fifth of the leaves is padding; `depth_min` keeps
    the depth of earlier trees, so that the number of members does not show.

    Raises TooMuch when the total is above what the format carries.
    """
    if sum(amounts) > SUM_MAX:
        raise TooMuch
    draw = draws().__next__
    starts = array("I", [0])
    for _ in amounts:
        starts.append(starts[-1] + 2 + _RUNS[draw() & 255])
    depth = max(depth_min, (starts[-1] * 5 // 4 - 1).bit_length())
    places = shuffled(2**depth, draw)
    ground = bytearray(2**depth * SIZE)
    sha256, pack_into, lengths = hashlib.sha256, RECORD.pack_into, _LENGTH
    head = framed(b"xpol2/leaf", asset.encode(), snapshot.encode())
    for holder, (user, amount) in enumerate(zip(users, amounts, strict=True)):
        name = user.encode()
        before = b"".join((head, len(name).to_bytes(4, "big"), name))
        at = starts[holder]
        for part, share in enumerate(split(amount, starts[holder + 1] - at, draw)):
            text = b"%d" % share
            secret = nonce(holder, part)
            preimage = before + lengths[len(text)] + text + lengths[32] + secret
            digest = sha256(preimage).digest()
            pack_into(ground, places[at + part] * SIZE, digest, share)
    head = framed(b"xpol2/pad", asset.encode(), snapshot.encode(), b"0") + lengths[32]
    for place in places[starts[-1] :]:
        pack_into(ground, place * SIZE, sha256(head + pad(place)).digest(), 0)
    return Planted(ground, depth, starts, places[: starts[-1]])


def split(amount: int, parts: int, draw: Callable[[], int]) -> list[int]:
    """Cut an amount at random places into so many parts, none of them below zero."""
    cuts = sorted([(draw() * (amount + 1)) >> 64 for _ in range(parts - 1)])
    return [high - low for low, high in pairwise([0, *cuts, amount])]


# How many ones end a byte: 0 in half of all cases, 1 in a quarter, …
_RUNS = bytes((~byte & (byte + 1)).bit_length() - 1 for byte in range(256))


def draws() -> Iterator[int]:
    """Yield numbers of 64 random bits from the operating system, for ever."""
    while True:
        yield from array("Q", os.urandom(8 * 8192))


def shuffled(count: int, draw: Callable[[], int]) -> array[int]:
    """Return the numbers below `count` in random order."""
    places = array("I", range(count))
    for last in range(count - 1, 0, -1):
        # 64 bits over at most 2^32 places: what is uneven about it cannot be seen.
        other = (draw() * (last + 1)) >> 64
        places[last], places[other] = places[other], places[last]
    return places


# --- Proofs --------------------------------------------------------------------------


def proof(
    *,
    asset: str,
    snapshot: str,
    user: str,
    leaves: Sequence[tuple[int, int, bytes, Sequence[Node]]],
) -> dict[str, Any]:
    """Return a proof: per leaf its position, amount, nonce, and the siblings above."""
    return {
        "format": PROOF,
        "asset": asset,
        "snapshot": snapshot,
        "user": user,
        "leaves": [
            {
                "position": position,
                "amount": str(amount),
                "nonce": nonce.hex(),
                "path": [
                    {"sum": str(each.sum), "hash": each.hash.hex()} for each in path
                ],
            }
            for position, amount, nonce, path in leaves
        ],
    }


def verify(text: str | bytes, root: Root) -> tuple[str, int]:
    """
    Check a proof against a published root; return whose it is and what is theirs.

    Everything is computed anew and nothing in the proof is believed. Raises Unproven.
    """
    shown = keyed(parsed(text), "format", "asset", "snapshot", "user", "leaves")
    wanted = {"format": PROOF, "asset": root.asset, "snapshot": root.snapshot}
    if any(shown[key] != text for key, text in wanted.items()):
        raise Unproven("This is a proof of something else.")
    user, leaves = matched(USER, shown["user"]), shown["leaves"]
    if not isinstance(leaves, list) or not 0 < len(leaves) <= PARTS_MAX:
        raise Unproven("The proof has no leaves, or too many.")
    total, places, hashes = 0, set(), set()
    for each in leaves:
        leaf = keyed(each, "position", "amount", "nonce", "path")
        amount = _amount(leaf["amount"])
        nonce = bytes.fromhex(matched(_NONCE, leaf["nonce"]))
        start = Node(leaf_hash(root.asset, root.snapshot, user, amount, nonce), amount)
        place = leaf["position"]
        _climb(start, place, leaf["path"], root)
        total += amount
        places.add(place)
        hashes.add(start.hash)
    if len(places) < len(leaves) or len(hashes) < len(leaves):
        raise Unproven("A leaf is counted twice.")
    if total > root.sum:
        raise Unproven("The leaves hold more than the whole tree.")
    return user, total


def verify_leaves(file: BinaryIO, root: Root, digest: str) -> None:
    """
    Check a published list of leaves: that it is the one of this SHA-256, and that it
    adds up to the root. Raises Unproven.
    """
    ground = file.read()
    if len(ground) != 2**root.depth * SIZE:
        raise Unproven("The list has not as many leaves as the tree.")
    if sum(each for _hash, each in RECORD.iter_unpack(ground)) != root.sum:
        raise Unproven("The leaves do not add up to the published total.")
    if levels.root(levels.heights(ground, combine)).hash.hex() != root.hash:
        raise Unproven("The leaves do not lead to the published root.")
    if hashlib.sha256(ground).hexdigest() != digest:
        raise Unproven("This is another list.")


def _climb(start: Node, place: Any, path: Any, root: Root) -> None:
    if type(place) is not int or not 0 <= place < 2**root.depth:
        raise Unproven("A leaf is at no place of the tree.")
    if not isinstance(path, list) or len(path) != root.depth:
        raise Unproven("A path is not as long as the tree is deep.")
    here = start
    for each in path:
        step = keyed(each, "sum", "hash")
        hash = bytes.fromhex(matched(HASH, step["hash"]))
        sibling = Node(hash, _amount(step["sum"]))
        try:
            here = node(sibling, here) if place & 1 else node(here, sibling)
        except TooMuch as error:
            raise Unproven("A sum is too large.") from error
        place >>= 1
    if (here.sum, here.hash.hex()) != (root.sum, root.hash):
        raise Unproven("A path does not lead to the published root.")


def _amount(text: Any) -> int:
    amount = int(matched(_AMOUNT, text))
    if amount > SUM_MAX:
        raise Unproven("An amount is too large.")
    return amount
