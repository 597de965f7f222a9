"""
What was published, found again: for the pages, and for the member it is about.

A member's proof is put together from a few seeks in the files of its snapshot, whoever
signed in asks for, and for nobody else.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from exchange.lib import sealed
from exchange.lib.errors import NotFound
from wallets.models.solvency import Proof, Root
from wallets.solvency import legacy, levels, places, tree
from wallets.solvency.levels import Node
from wallets.solvency.nonces import Nonces
from wallets.solvency.publish import SEALED_FOR, asset_of


class UnknownProof(NotFound):
    """There is no such proof, or the member had no account in that currency then."""

    code = "unknown_proof"
    text = _("There is no such proof.")


@dataclass(frozen=True, slots=True)
class MemberProof:
    """What one member has of one currency in one snapshot, in both formats."""

    root: Root
    user: str
    amount: str
    proof: str
    partial_tree: str
    parts: list[str]  # the amounts of its leaves


def proofs() -> QuerySet[Proof]:
    """Return every proof, the newest first."""
    return Proof.objects.order_by("-number")


def newest() -> Proof | None:
    return Proof.objects.order_by("-number").first()


def proof(number: int) -> Proof:
    """Return one proof. Raises UnknownProof."""
    found = Proof.objects.filter(number=number).order_by("pk").first()
    if found is None:
        raise UnknownProof
    return found


def roots(of: Proof) -> list[Root]:
    """Return what a proof says of each currency."""
    rows = of.roots.select_related("proof", "currency", "statement")
    return list(rows.order_by("currency__sort_order", "currency_id"))


def root(number: int, currency: str) -> Root:
    """Return what a proof says of a currency. Raises UnknownProof."""
    rows = Root.objects.select_related("proof", "currency", "statement")
    wanted = rows.filter(proof__number=number, currency_id=currency)
    found = wanted.order_by("pk").first()
    if found is None:
        raise UnknownProof
    return found


def newest_root(currency: str) -> Root:
    """Return the newest that was published of a currency. Raises UnknownProof."""
    found = Root.objects.filter(currency_id=currency).order_by("-pk").first()
    if found is None:
        raise UnknownProof
    return found


def newest_roots() -> list[Root]:
    """Return what the newest proof says of each currency."""
    proof = newest()
    return roots(proof) if proof else []


def leaves_of(root: Root) -> Path:
    """Return the published list of leaves: a hash of 32 bytes and a sum of 8 each."""
    return _folder(root) / "leaves"


def published(root: Root) -> tree.Root:
    """Return what the manifest says of a currency's tree: proofs are checked by it."""
    return tree.Root(
        asset=asset_of(root.currency_id),
        snapshot=root.proof.snapshot,
        depth=root.depth,
        sum=int(root.liabilities.scaleb(root.currency.scale)),
        hash=root.hash,
    )


def proof_of(*, member_id: int, root: Root) -> MemberProof:
    """
    Put a member's proof together, in both formats. Raises UnknownProof where the member
    had no account in the currency at that time.
    """
    with ExitStack() as stack:
        files = _Files(root, stack)
        user = _handle(files["../handles"], member_id)
        found = places.find(files["members"], places.MEMBER, member_id)
        if user is None or found is None:
            raise UnknownProof
        _id, first, old_place = places.read(files["members"], places.MEMBER, found)
        _next, end, _ = places.read(files["members"], places.MEMBER, found + 1)
        nonces = Nonces(_seed(root.proof), asset_of(root.currency_id))
        leaves = []
        for part in range(end - first):
            (place,) = places.read(files["parts"], places.PART, first + part)
            amount = levels.leaf(files["leaves"], place).sum
            path = _path(files, root, place)
            leaves.append((place, amount, nonces.leaf(member_id, part), path))
        total = sum(amount for _place, amount, _nonce, _path in leaves)
        scale = root.currency.scale
        shown = tree.proof(
            asset=asset_of(root.currency_id),
            snapshot=root.proof.snapshot,
            user=user,
            leaves=leaves,
        )
        partial_tree = legacy.partial_tree(
            user=user,
            amount=total,
            nonce=nonces.legacy(member_id),
            position=old_place,
            path=_legacy_path(files, scale, old_place),
            scale=scale,
        )
        return MemberProof(
            root=root,
            user=user,
            amount=legacy.text_of(total, scale),
            proof=json.dumps(shown, separators=(",", ":")),
            partial_tree=partial_tree,
            parts=[legacy.text_of(amount, scale) for _, amount, _, _ in leaves],
        )


def all_of(*, member_id: int, of: Proof) -> list[MemberProof]:
    """Return a member's proofs of every currency of a snapshot."""
    found = []
    for each in roots(of):
        try:
            found.append(proof_of(member_id=member_id, root=each))
        except UnknownProof:
            continue  # no account in this currency
    return found


class _Files:
    """The files of one root, opened when they are asked for."""

    def __init__(self, root: Root, stack: ExitStack) -> None:
        self._folder, self._stack = _folder(root), stack
        self._open: dict[str, BinaryIO] = {}

    def __getitem__(self, name: str) -> BinaryIO:
        if name not in self._open:
            file = (self._folder / name).open("rb")
            self._open[name] = self._stack.enter_context(file)
        return self._open[name]


def _path(files: _Files, root: Root, place: int) -> list[Node]:
    path = levels.path(
        ground=files["leaves"],
        above=files["heights"],
        count=2**root.depth,
        position=place,
        combine=tree.combine,
    )
    return [node for node in path if node]  # of a full tree none is missing


def _legacy_path(files: _Files, scale: int, place: int) -> list[Node | None]:
    return levels.path(
        ground=files["legacy-leaves"],
        above=files["legacy-heights"],
        count=files["legacy-leaves"].seek(0, 2) // levels.SIZE,
        position=place,
        combine=legacy.combiner(scale),
    )


def _handle(file: BinaryIO, member_id: int) -> str | None:
    found = places.find(file, places.HANDLE, member_id)
    if found is None:
        return None
    digest: bytes = places.read(file, places.HANDLE, found)[1]
    return digest.hex()


def _seed(proof: Proof) -> bytes:
    return sealed.unseal(
        bytes(proof.sealed_seed), purpose=SEALED_FOR, bound_to=proof.snapshot
    )


def _folder(root: Root) -> Path:
    folder: Path = settings.SOLVENCY_DIR / root.proof.folder / root.currency_id
    return folder
