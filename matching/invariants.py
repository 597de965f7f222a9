"""
What is true of every book between two commands.

`check` walks the whole book, so it is for tests, audits and a floor in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator

from matching.book import Book, BookBroken, Level
from matching.engine import Engine


def check(engine: Engine) -> None:
    """Raise BookBroken, naming every contradiction, if the book has one."""
    faults = list(_faults(engine._book))
    if faults:
        raise BookBroken(f"{engine.market} at {engine.seq}: {'; '.join(faults)}")


def _faults(book: Book) -> Iterator[str]:
    if book.bids and book.asks and book.bids[-1] >= -book.asks[-1]:
        yield f"crossed: bid {book.bids[-1]} meets ask {-book.asks[-1]}"
    for name, keys, sign in (("bids", book.bids, 1), ("asks", book.asks, -1)):
        if keys != sorted(set(keys)):
            yield f"{name} are out of order or repeated"
        if any(key * sign <= 0 for key in keys):
            yield f"{name} hold a price of the other side"
    if {*book.bids, *book.asks} != book.levels.keys():
        yield "prices and levels differ"

    seen = 0
    for key, level in book.levels.items():
        if level.key != key:
            yield f"level {level.key} is kept under {key}"
        yield from _faults_of_level(book, level)
        seen += level.count
    if seen != len(book.orders):
        yield f"{len(book.orders)} orders are known, {seen} are in line"


def _faults_of_level(book: Book, level: Level) -> Iterator[str]:
    lots = count = 0
    ahead = None
    for order in level:
        if count > len(book.orders):
            yield f"the line at {level.key} has no end"
            return
        if order.prev is not ahead or order.level is not level:
            yield f"order {order.order_id} is linked wrongly"
        if book.orders.get(order.order_id) is not order:
            yield f"order {order.order_id} is in line but not known"
        if order.lots <= 0:
            yield f"order {order.order_id} has {order.lots} lots"
        lots += order.lots
        count += 1
        ahead = order
    if count == 0:
        yield f"level {level.key} is empty"
    if level.last is not ahead:
        yield f"level {level.key} does not end where it says"
    if (level.lots, level.count) != (lots, count):
        yield (
            f"level {level.key} says {level.lots} lots in {level.count} orders,"
            f" has {lots} in {count}"
        )
