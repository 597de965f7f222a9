"""
What a book amounts to, apart from how it is kept.

A book is its sequence number and its resting orders in priority order: bids from the
highest price down, then asks from the lowest up, at one price the first to come first.
Any book kept in any way that holds the same orders has the same `fingerprint`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple


class RestingOrder(NamedTuple):
    order_id: int
    member_id: int
    side: int
    price: int
    lots: int


def fingerprint(seq: int, orders: Iterable[RestingOrder]) -> str:
    """
    Name a state of the book by 64 hexadecimal digits.

    It is the SHA-256 of one line of ASCII for the number and one for each order, its
    fields in the order above separated by spaces, each line ended by a newline.
    """
    digest = sha256(b"%d\n" % seq)
    for order in orders:
        digest.update(b"%d %d %d %d %d\n" % order)
    return digest.hexdigest()
