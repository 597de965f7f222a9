"""
The ancestor's tree: Maxwell's, in the format of olalonde's specification and of the
gem liability-proof 0.0.9, so that verifiers written for them read ours.

A leaf is SHA-256 of `user|sum|nonce`, a node of `sum|left hash|right hash`, all hashes
as hex, all sums in their shortest decimal form. Leaves are paired from left to right,
and a last one without a sibling is promoted unchanged.

Its limit, which no verifier can mend: a node binds the total of its children, not each
child's share, so that a dishonest operator can show every member a path that holds
while publishing too small a total. `tree` closes it. (Hu, Zhang and Guo, "Breaking the
Binding", 2018.)

Pure: no Django.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from wallets.solvency.levels import RECORD, Combine, Node
from wallets.solvency.strict import HASH, USER, Unproven, keyed, matched, parsed

DEPTH_MAX = 64
_DIGITS = 18  # after the point, at most

_SUM = re.compile(r"(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{0,17}[1-9])?", re.ASCII)
_NONCE = re.compile(r"[0-9a-f]{32,128}", re.ASCII)


class Leaf(NamedTuple):
    """Whose a proof is, and what is theirs, as decimal text."""

    user: str
    sum: str


def text_of(units: int, scale: int) -> str:
    """Write base units in the shortest decimal form: "20", "1.2", "0"."""
    whole, rest = divmod(units, 10**scale)
    digits = f"{rest:0{scale}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def leaf_hash(user: str, sum_text: str, nonce: str) -> bytes:
    """Hash a leaf. Raises ValueError for a user that could be read in two ways."""
    if not USER.fullmatch(user):
        raise ValueError(f"{user[:40]!r} can be no user of this format.")
    return hashlib.sha256(f"{user}|{sum_text}|{nonce}".encode()).digest()


def combiner(scale: int) -> Combine:
    """Return what makes a level from the one below, for sums of so many digits."""
    sha256, unpack, pack = hashlib.sha256, RECORD.iter_unpack, RECORD.pack

    def combine(level: bytes) -> bytes:
        records = list(unpack(level))
        last = records.pop() if len(records) % 2 else None
        found = []
        for (left, one), (right, two) in zip(records[::2], records[1::2], strict=True):
            preimage = f"{text_of(one + two, scale)}|{left.hex()}|{right.hex()}"
            found.append(pack(sha256(preimage.encode()).digest(), one + two))
        if last is not None:
            found.append(pack(*last))
        return b"".join(found)

    return combine


def root_file(root: Node, *, scale: int, currency: str, at_ms: int) -> str:
    """Return the root file, in the order in which the gem writes it."""
    shown = {
        "root": {"hash": root.hash.hex(), "sum": text_of(root.sum, scale)},
        "currency": currency,
        "timestamp": at_ms,
    }
    return json.dumps(shown, separators=(",", ":"))


def partial_tree(
    *,
    user: str,
    amount: int,
    nonce: str,
    position: int,
    path: Sequence[Node | None],
    scale: int,
) -> str:
    """Return a member's partial tree: their leaf without its hash, and siblings."""
    mine = {"sum": text_of(amount, scale), "nonce": nonce, "user": user}
    tree: dict[str, Any] = {"data": mine}
    for sibling in path:
        if sibling is not None:
            data = {"sum": text_of(sibling.sum, scale), "hash": sibling.hash.hex()}
            other = {"data": data}
            left, right = (other, tree) if position & 1 else (tree, other)
            tree = {"left": left, "right": right}
        position >>= 1
    return json.dumps({"partial_tree": tree}, separators=(",", ":"))


def verify(partial: str | bytes, root: str | bytes) -> Leaf:
    """
    Check a partial tree against a root file; return whose it is and what is theirs.

    More is refused than the format's own verifiers refuse: a leaf that brings its hash
    along, a sum in any but the shortest form, a node that is leaf and parent at once, a
    second user. Raises Unproven.
    """
    shown = parsed(partial)
    published = parsed(root)
    if not isinstance(shown, dict) or shown.keys() - {"id"} != {"partial_tree"}:
        raise Unproven("There must be a partial tree, and nothing else.")
    if not isinstance(shown.get("id", ""), str):
        raise Unproven("The id must be a text.")
    if not isinstance(published, dict) or "root" not in published:
        raise Unproven("There must be a root.")
    wanted = keyed(published["root"], "sum", "hash")
    users: list[Leaf] = []
    total, hash = _fold(shown["partial_tree"], users, 0)
    if len(users) != 1:
        raise Unproven("There must be one user in the tree.")
    if total != _units(wanted["sum"]) or hash != matched(HASH, wanted["hash"]):
        raise Unproven("The tree does not lead to the published root.")
    return users[0]


def _fold(tree: Any, users: list[Leaf], depth: int) -> tuple[int, str]:
    if depth > DEPTH_MAX:
        raise Unproven("The tree is too deep.")
    if not isinstance(tree, dict):
        raise Unproven("A node must be an object.")
    if tree.keys() == {"data"}:
        return _leaf(tree["data"], users)
    keyed(tree, "left", "right")
    left, left_hash = _fold(tree["left"], users, depth + 1)
    right, right_hash = _fold(tree["right"], users, depth + 1)
    total = text_of(left + right, _DIGITS)
    preimage = f"{total}|{left_hash}|{right_hash}"
    return left + right, hashlib.sha256(preimage.encode()).hexdigest()


def _leaf(data: Any, users: list[Leaf]) -> tuple[int, str]:
    if isinstance(data, dict) and "user" in data:
        keyed(data, "user", "sum", "nonce")
        user, nonce = matched(USER, data["user"]), matched(_NONCE, data["nonce"])
        amount = _units(data["sum"])
        users.append(Leaf(user, data["sum"]))
        return amount, leaf_hash(user, data["sum"], nonce).hex()
    keyed(data, "sum", "hash")
    return _units(data["sum"]), matched(HASH, data["hash"])


def _units(text: Any) -> int:
    whole, _point, digits = matched(_SUM, text).partition(".")
    return int(whole + digits.ljust(_DIGITS, "0"))
