"""
Planting both trees of a currency into files, for many currencies at once.

Pure, so that it can be done in processes of their own, which import no Django: a
million members take most of a minute for each currency, and each processor takes one.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from array import array
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wallets.solvency import legacy, levels, places, tree
from wallets.solvency.nonces import Nonces

HANDLE_BYTES = 32
# Fewer balances are planted sooner than a process is there.
_ALONE_MAX = 20_000
_PROCESSES_MAX = 2  # of half a gigabyte each, for a million members


@dataclass(frozen=True, slots=True)
class Debts:
    """What is owed in one currency: member ids, ascending, and what each has."""

    currency: str
    scale: int
    members: array[int]
    amounts: array[int]


@dataclass(frozen=True, slots=True)
class Handles:
    """Members' ids, ascending, and their handles, one after the other."""

    members: array[int]
    digests: bytearray

    def of(self, members: array[int]) -> Iterator[str]:
        """Yield the handles of some of the members, in the order of their ids."""
        index = 0
        for member in members:
            while self.members[index] != member:
                index += 1
            at = index * HANDLE_BYTES
            yield self.digests[at : at + HANDLE_BYTES].hex()


@dataclass(frozen=True, slots=True)
class Plot:
    """All that a currency's trees are made of, and the folder they go to."""

    debts: Debts
    handles: Handles
    asset: str
    snapshot: str
    at_ms: int
    seed: bytes
    depth_min: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Grown:
    """What there is to publish of a currency's trees, besides their files."""

    depth: int
    root: levels.Node
    leaves_digest: str
    legacy_file: str


def plant_all(plots: list[Plot]) -> list[Grown]:
    """Plant every plot. Raises levels.TooMuch."""
    processes = min(len(plots), os.cpu_count() or 1, _PROCESSES_MAX)
    if processes < 2 or sum(len(plot.debts.members) for plot in plots) <= _ALONE_MAX:
        return [plant(plot) for plot in plots]
    # Not by fork: a process of ours has connections, and perhaps threads.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=fresh) as pool:
        return list(pool.map(plant, plots))


def plant(plot: Plot) -> Grown:
    """Plant both trees of one currency, and write their files."""
    here, scale = plot.folder, plot.debts.scale
    members = plot.debts.members
    nonces = Nonces(plot.seed, plot.asset)
    here.mkdir()
    planted = tree.plant(
        asset=plot.asset,
        snapshot=plot.snapshot,
        users=plot.handles.of(members),
        amounts=plot.debts.amounts,
        nonce=lambda holder, part: nonces.leaf(members[holder], part),
        pad=nonces.pad,
        depth_min=plot.depth_min,
    )
    above = levels.heights(planted.ground, tree.combine)
    (here / "leaves").write_bytes(planted.ground)
    (here / "heights").write_bytes(above)
    places.write_parts(here / "parts", planted.places)
    old_ground, old_places = _legacy_ground(plot, nonces)
    old_above = levels.heights(old_ground, legacy.combiner(scale))
    (here / "legacy-leaves").write_bytes(old_ground)
    (here / "legacy-heights").write_bytes(old_above)
    places.write_members(here / "members", members, planted.starts, old_places)
    old_root = levels.root(old_above)
    return Grown(
        depth=planted.depth,
        root=levels.root(above),
        leaves_digest=hashlib.sha256(planted.ground).hexdigest(),
        legacy_file=legacy.root_file(
            old_root, scale=scale, currency=plot.asset, at_ms=plot.at_ms
        ),
    )


def _legacy_ground(plot: Plot, nonces: Nonces) -> tuple[bytearray, array[int]]:
    """Return a leaf for each member, shuffled, and the place of each."""
    debts = plot.debts
    shuffled = tree.shuffled(len(debts.members), tree.draws().__next__)
    ground = bytearray(len(shuffled) * levels.SIZE)
    users = plot.handles.of(debts.members)
    for member, amount, user, place in zip(
        debts.members, debts.amounts, users, shuffled, strict=True
    ):
        text = legacy.text_of(amount, debts.scale)
        hash = legacy.leaf_hash(user, text, nonces.legacy(member))
        levels.RECORD.pack_into(ground, place * levels.SIZE, hash, amount)
    return ground, shuffled
