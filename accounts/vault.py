"""
The vault: pictures of documents, encrypted, outside of everything that is served.

Each file has a key of its own, which is kept sealed in the row that speaks of the file.
So the disk without the database opens nothing, nor does the database without the disk,
nor both without PIXIU_MASTER_KEY; and who forgets the row's key has erased the file in
every backup. A file is bound to its name: moved or tampered with, it does not open.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from exchange.lib.errors import BrokenPromise
from exchange.lib.sealed import seal, unseal

_SEALED_FOR = "vault"
_NONCE_BYTES = 12
_NAME = re.compile(r"[0-9a-f]{32}")


class Kept(NamedTuple):
    """Where a file lies, and what opens it."""

    name: str
    key_sealed: bytes


class DoesNotOpen(BrokenPromise):
    """A file is gone, was moved or was tampered with."""


def put(plain: bytes) -> Kept:
    """Write a file, encrypted, under a random name; it is on the disk afterwards."""
    name, key = secrets.token_hex(16), AESGCM.generate_key(bit_length=256)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(_path(name), "xb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(nonce + AESGCM(key).encrypt(nonce, plain, name.encode()))
        file.flush()
        os.fsync(file.fileno())
    _flush_folder()
    return Kept(name, seal(key, purpose=_SEALED_FOR, bound_to=name))


def read(kept: Kept) -> bytes:
    """Return what was put. Raises DoesNotOpen."""
    key = unseal(kept.key_sealed, purpose=_SEALED_FOR, bound_to=kept.name)
    try:
        content = _path(kept.name).read_bytes()
        nonce, rest = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
        return AESGCM(key).decrypt(nonce, rest, kept.name.encode())
    except (OSError, InvalidTag, ValueError) as error:
        raise DoesNotOpen(f"The file {kept.name[:8]}… does not open.") from error


def erase(name: str) -> None:
    """Delete a file; one that is gone already is fine."""
    _path(name).unlink(missing_ok=True)


def erase_strays(known: Collection[str], *, before: datetime) -> int:
    """
    Delete files that no row speaks of and that were written before that time: their
    transaction never committed. Return how many.
    """
    count = 0
    for path in _folder().glob("*"):
        is_old = path.stat().st_mtime < before.timestamp()
        if is_old and path.name not in known:
            path.unlink(missing_ok=True)
            count += 1
    return count


def _flush_folder() -> None:
    """Have the disk remember the name of a new file, too."""
    folder = os.open(_folder(), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise DoesNotOpen("This is no name of a file in the vault.")
    return _folder() / name


def _folder() -> Path:
    return Path(settings.DOCUMENTS_DIR)
