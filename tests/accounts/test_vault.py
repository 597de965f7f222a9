"""The vault: what is in it opens where it lies, and nowhere else."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts import vault
from exchange.lib.errors import BrokenPromise

PLAIN = b"a passport, a face, a number" * 10


@pytest.fixture
def folder(documents_dir: Path) -> Path:
    return documents_dir


@pytest.mark.promise("S-64")
def test_it_gives_back_what_was_put() -> None:
    assert vault.read(vault.put(PLAIN)) == PLAIN


@pytest.mark.promise("S-63", "S-64")
def test_it_writes_nothing_that_can_be_read(folder: Path) -> None:
    kept, other = vault.put(PLAIN), vault.put(PLAIN)

    content = (folder / kept.name).read_bytes()

    assert b"passport" not in content
    assert content[12:] != (folder / other.name).read_bytes()[12:]
    assert stat.S_IMODE((folder / kept.name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert kept.name != other.name


@pytest.mark.promise("S-64")
def test_it_opens_no_file_that_was_moved(folder: Path) -> None:
    kept, other = vault.put(PLAIN), vault.put(b"another")
    (folder / other.name).write_bytes((folder / kept.name).read_bytes())

    for wrong in (
        other,
        vault.Kept(other.name, kept.key_sealed),
        vault.Kept(kept.name, other.key_sealed),
    ):
        with pytest.raises(BrokenPromise):
            vault.read(wrong)


@pytest.mark.promise("S-64")
@pytest.mark.parametrize("at", [0, 12, -1])
def test_it_opens_no_file_that_was_tampered_with(folder: Path, at: int) -> None:
    kept = vault.put(PLAIN)
    content = bytearray((folder / kept.name).read_bytes())
    content[at] ^= 1
    (folder / kept.name).write_bytes(content)

    with pytest.raises(vault.DoesNotOpen):
        vault.read(kept)


@pytest.mark.promise("S-64")
def test_it_opens_nothing_under_another_master_key(settings: Any) -> None:
    kept = vault.put(PLAIN)
    settings.PIXIU_MASTER_KEY = "another one"

    with pytest.raises(BrokenPromise):
        vault.read(kept)


@pytest.mark.parametrize("name", ["", "../keys/secret_key", "a" * 33, "A" * 32, "."])
def test_it_looks_nowhere_else(name: str) -> None:
    with pytest.raises(vault.DoesNotOpen):
        vault.erase(name)


def test_it_erases_once_and_again() -> None:
    kept = vault.put(PLAIN)

    vault.erase(kept.name)
    vault.erase(kept.name)

    with pytest.raises(vault.DoesNotOpen):
        vault.read(kept)


def test_it_erases_strays_that_are_old_enough(folder: Path) -> None:
    known, stray, fresh = (vault.put(PLAIN).name for _ in range(3))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for name in (known, stray):
        os.utime(folder / name, (an_hour_ago.timestamp() - 60,) * 2)

    count = vault.erase_strays({known}, before=an_hour_ago)

    assert count == 1
    assert {path.name for path in folder.iterdir()} == {known, fresh}
