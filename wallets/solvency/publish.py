"""
Making a proof: read the books, plant the trees, sign the manifest, publish.

The files are whole on the disk before the rows are there, and only the rows make them
known. A run that dies leaves a folder behind that the next one takes away.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from exchange.lib import audit, sealed
from exchange.lib.errors import Busy, Conflict
from exchange.lib.money import plain
from exchange.lib.transactions import transaction
from wallets import reconcile, signing
from wallets.models.solvency import Proof, Root, Statement
from wallets.solvency import assets, manifest, nodes, places, planting, snapshot, tree
from wallets.solvency.planting import Debts, Grown, Handles, Plot
from wallets.solvency.snapshot import Snapshot

SEALED_FOR = "nonces of solvency proofs"


class AlreadyProven(Conflict):
    """There is a proof of this second, or of a later one."""

    code = "already_proven"
    text = _("There is a proof of this time already.")


@dataclass(frozen=True, slots=True)
class Tree:
    """What there is to publish of one currency."""

    debts: Debts
    grown: Grown

    @property
    def liabilities(self) -> Decimal:
        return Decimal(self.grown.root.sum).scaleb(-self.debts.scale)


def prove(*, now: datetime) -> Proof:
    """
    Prove what we owe and hold at this moment, and publish it.

    Raises Busy where another run is at work, AlreadyProven, and levels.TooMuch where a
    currency's total is above what the format carries.
    """
    with _only_one():
        previous = Proof.objects.order_by("-number").first()
        proof = Proof(
            number=previous.number + 1 if previous else 1,
            snapshot=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            salt=secrets.token_hex(16),
            previous=previous,
        )
        if previous and not proof.snapshot > previous.snapshot:
            raise AlreadyProven
        seed = secrets.token_bytes(32)
        # Before the books are read: what is paid out meanwhile is missing in both, and
        # nothing is credited that was in no block yet a moment ago.
        asked = nodes.sources() | assets.sources
        stated = assets.collect(asked, challenge=proof.salt)
        _compare_cold(stated)
        books = snapshot.take(salt=proof.salt)
        with _folder(proof) as folder:
            _write_handles(folder / "handles", books.handles)
            plots = _plots(proof, books, seed=seed, folder=folder)
            grown = planting.plant_all(plots)
        trees = list(map(Tree, books.debts, grown))
        text = manifest.canonical(_manifest(proof, books, trees, stated))
        proof.envelope, proof.hash = manifest.signed(text), manifest.digest(text)
        proof.sealed_seed = sealed.seal(
            seed, purpose=SEALED_FOR, bound_to=proof.snapshot
        )
        with transaction():
            _save(proof, trees, stated)
        return proof


def is_due(*, now: datetime) -> bool:
    """Say whether there is no proof of today yet."""
    return not Proof.objects.filter(snapshot__gte=f"{now:%Y-%m-%d}").exists()


def asset_of(currency: str) -> str:
    """Return what a currency is called in what we publish."""
    return currency.upper()


def _save(proof: Proof, trees: list[Tree], stated: dict[str, assets.Statement]) -> None:
    proof.save(force_insert=True)
    for each in trees:
        root = Root.objects.create(
            proof=proof,
            currency_id=each.debts.currency,
            liabilities=each.liabilities,
            depth=each.grown.depth,
            hash=each.grown.root.hash.hex(),
            legacy_file=each.grown.legacy_file,
        )
        if statement := stated.get(each.debts.currency):
            Statement.objects.create(
                root=root,
                height=statement.height,
                block_hash=statement.block_hash,
                total=statement.total,
                text=statement.text(),
            )
            if not root.is_covered:
                audit.alarm(
                    f"currency:{each.debts.currency}",
                    "insolvent",
                    owed=plain(each.liabilities),
                    held=plain(statement.total),
                )
    audit.record("system", "solvency_proven", audit.label(proof), hash=proof.hash)


def _compare_cold(stated: Mapping[str, assets.Statement]) -> None:
    for currency, addresses in settings.COLD_ADDRESSES.items():
        if statement := stated.get(currency):
            stored = [h.amount for h in statement.holdings if h.address in addresses]
            reconcile.compare_cold(currency, held=signing.total(stored))


def _plots(proof: Proof, books: Snapshot, *, seed: bytes, folder: Path) -> list[Plot]:
    return [
        Plot(
            debts=debts,
            handles=books.handles,
            asset=asset_of(debts.currency),
            snapshot=proof.snapshot,
            at_ms=int(proof.taken_at.timestamp()) * 1000,
            seed=seed,
            depth_min=_depth_min(debts.currency, proof.snapshot[:4]),
            folder=folder / debts.currency,
        )
        for debts in books.debts
    ]


def _depth_min(currency: str, year: str) -> int:
    """A tree is as deep as the deepest of its year: the number of members is hidden."""
    of_year = Root.objects.filter(currency=currency, proof__snapshot__startswith=year)
    deepest = of_year.order_by("-depth").values_list("depth", flat=True).first()
    return max(deepest or 0, tree.DEPTH_MIN)


def _manifest(
    proof: Proof,
    books: Snapshot,
    trees: list[Tree],
    stated: dict[str, assets.Statement],
) -> dict[str, Any]:
    return {
        "format": manifest.FORMAT,
        "number": proof.number,
        "snapshot": proof.snapshot,
        "salt": proof.salt,
        "previous": proof.previous.hash if proof.previous else None,
        "ledger": {"entry": books.entry, "position": books.position},
        "audit": books.breaks,
        "assets": [_of_asset(books, each, stated) for each in trees],
    }


def _of_asset(
    books: Snapshot, each: Tree, stated: dict[str, assets.Statement]
) -> dict[str, Any]:
    statement = stated.get(each.debts.currency)
    return {
        "asset": asset_of(each.debts.currency),
        "scale": each.debts.scale,
        "depth": each.grown.depth,
        "sum": str(each.grown.root.sum),
        "root": each.grown.root.hash.hex(),
        "leaves": each.grown.leaves_digest,
        "legacy": each.grown.legacy_file,
        "house": {
            purpose: plain(amount)
            for purpose, amount in books.house.get(each.debts.currency, {}).items()
        },
        "holdings": statement
        and {
            "total": plain(statement.total),
            "height": statement.height,
            "block_hash": statement.block_hash,
            "statement": statement.digest,
        },
    }


def _write_handles(path: Path, handles: Handles) -> None:
    size, digests = planting.HANDLE_BYTES, handles.digests
    with path.open("wb") as file:
        file.writelines(
            places.HANDLE.pack(member, digests[at * size : (at + 1) * size])
            for at, member in enumerate(handles.members)
        )


@contextmanager
def _only_one() -> Iterator[None]:
    """Let one run be at work at a time. The lock ends with its connection, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('prove solvency'))")
        if not cursor.fetchone()[0]:
            raise Busy
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('prove solvency'))")


@contextmanager
def _folder(proof: Proof) -> Iterator[Path]:
    """Fill a folder, and give it its name once it is whole and on the disk."""
    shelf: Path = settings.SOLVENCY_DIR
    shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in shelf.glob(".*"):
        shutil.rmtree(leftover)
    draft = shelf / f".{proof.folder}"
    draft.mkdir(mode=0o700)
    yield draft
    for path in [*draft.rglob("*"), draft]:
        _to_disk(path)
    draft.rename(shelf / proof.folder)
    _to_disk(shelf)


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
