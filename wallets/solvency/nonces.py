"""
The secrets of one proof: one nonce for each leaf, and for each leaf of padding.

All are derived from one random seed by BLAKE2b with a key, so that keeping a proof for
years means to keep 32 bytes, sealed, instead of as many for each member. Every proof
has a seed of its own: no nonce is ever used twice.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

_PART = struct.Struct(">QI")


class Nonces:
    """The nonces of one currency's tree."""

    def __init__(self, seed: bytes, asset: str) -> None:
        key = blake2b(asset.encode(), key=seed, digest_size=32).digest()
        # Begun once and copied: the key is half of the work.
        self._leaf = blake2b(key=key, person=b"leaf", digest_size=32)
        self._pad = blake2b(key=key, person=b"pad", digest_size=32)
        self._legacy = blake2b(key=key, person=b"legacy", digest_size=16)

    def leaf(self, member_id: int, part: int) -> bytes:
        begun = self._leaf.copy()
        begun.update(_PART.pack(member_id, part))
        return begun.digest()

    def pad(self, place: int) -> bytes:
        begun = self._pad.copy()
        begun.update(_PART.pack(place, 0))
        return begun.digest()

    def legacy(self, member_id: int) -> str:
        begun = self._legacy.copy()
        begun.update(_PART.pack(member_id, 0))
        return begun.hexdigest()
