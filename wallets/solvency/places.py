"""
Where in the trees a member's leaves are: three flat files, not to be published.

`handles` has a record per member: id and handle. `members` has one per member of a
currency: id, number of the first part, place of the legacy leaf; and one more at its
end, that says where the last member's parts end. `parts` has the place of each part.
Records of members are in the order of ids, so that one is found in twenty seeks.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

HANDLE = struct.Struct(">Q32s")
MEMBER = struct.Struct(">QII")
PART = struct.Struct(">I")
_NOBODY = 2**64 - 1  # above all ids


def write_members(
    path: Path, members: Sequence[int], starts: array[int], legacy: array[int]
) -> None:
    """Write who has leaves; `starts` has one number more than there are members."""
    with path.open("wb") as file:
        file.writelines(map(MEMBER.pack, members, starts, legacy))
        file.write(MEMBER.pack(_NOBODY, starts[-1], 0))


def write_parts(path: Path, places: array[int]) -> None:
    with path.open("wb") as file:
        file.writelines(map(PART.pack, places))


def find(file: BinaryIO, record: struct.Struct, member_id: int) -> int | None:
    """Return the number of a member's record; None where there is none."""
    low, high = 0, file.seek(0, 2) // record.size
    while low < high:
        middle = (low + high) // 2
        found = read(file, record, middle)[0]
        if found == member_id:
            return middle
        if found < member_id:
            low = middle + 1
        else:
            high = middle
    return None


def read(file: BinaryIO, record: struct.Struct, number: int) -> tuple[Any, ...]:
    file.seek(number * record.size)
    return record.unpack(file.read(record.size))
