"""
A tree kept in two flat files, from which any path is read by a few seeks.

A record is a hash of 32 bytes and a sum of 8 (big-endian, of base units). The *ground*
is one record per leaf. The *heights* are the levels above, beginning with one record
per block of the ground: what lies between is hashed again when a path is read, which
takes less than a millisecond and saves half of the disk.

How two records become one is the format's business (`combine`); a last node without a
sibling is promoted unchanged, which never happens where leaves are padded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

RECORD = struct.Struct(">32sQ")
SIZE = RECORD.size
BLOCK = 256  # leaves; a power of two
SUM_MAX = 2**63 - 1

# One level in, the next one out: half as many records, rounded up.
Combine = Callable[[bytes], bytes]


class Node(NamedTuple):
    """A hash, and the sum below it in base units."""

    hash: bytes
    sum: int


class TooMuch(ValueError):
    """A sum is larger than the format carries: 2^63 - 1 base units."""


def heights(ground: bytes | bytearray, combine: Combine) -> bytes:
    """Return the levels above the blocks of a ground, the root last."""
    blocks = (
        _fold(bytes(ground[at : at + BLOCK * SIZE]), combine)
        for at in range(0, len(ground), BLOCK * SIZE)
    )
    level = b"".join(blocks)
    found = [level]
    while len(level) > SIZE:
        level = combine(level)
        found.append(level)
    return b"".join(found)


def root(levels_above: bytes) -> Node:
    """Return the root, which ends the heights."""
    return Node(*RECORD.unpack(levels_above[-SIZE:]))


def path(
    *,
    ground: BinaryIO,
    above: BinaryIO,
    count: int,
    position: int,
    combine: Combine,
) -> list[Node | None]:
    """
    Return the siblings from a leaf up to the root; None where there is none.

    `count` is the number of leaves, `above` the file of heights.
    """
    first = position - position % BLOCK
    ground.seek(first * SIZE)
    block = ground.read(min(BLOCK, count - first) * SIZE)
    found = list(_siblings(block, position - first, combine))
    index, width, start = position // BLOCK, -(-count // BLOCK), 0
    # A short last block is at its top early; it is promoted until the others are there.
    found += [None] * (_height(BLOCK) - len(found) if width > 1 else 0)
    while width > 1:
        found.append(_read(above, start + (index ^ 1)) if index ^ 1 < width else None)
        index, start, width = index // 2, start + width, -(-width // 2)
    return found


def leaf(ground: BinaryIO, position: int) -> Node:
    """Return one leaf."""
    return _read(ground, position)


def _siblings(level: bytes, index: int, combine: Combine) -> Iterator[Node | None]:
    while len(level) > SIZE:
        at = (index ^ 1) * SIZE
        yield Node(*RECORD.unpack_from(level, at)) if at < len(level) else None
        level, index = combine(level), index // 2


def _fold(level: bytes, combine: Combine) -> bytes:
    while len(level) > SIZE:
        level = combine(level)
    return level


def _height(width: int) -> int:
    return (width - 1).bit_length()


def _read(file: BinaryIO, index: int) -> Node:
    file.seek(index * SIZE)
    return Node(*RECORD.unpack(file.read(SIZE)))
