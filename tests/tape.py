"""
Tapes: what happens in one market, told as text.

A line is one command and what came of it, in columns that at least two spaces part:

    # One lot is a tenth of a bitcoin.
    alice   sells 5 @ 100                    rests 5
    bob     buys 3 @ 101                     trades 3 @ 100 with alice
    bob     buys 9 at market, at worst 100   trades 2 @ 100 with alice, cancels 7: …
    book    asks -                           bids -

Orders are called by a name given to them, and a line may stand for many alike:

    alice   sells 1 @ 100, called first      rests 1
    alice   cancels first                    cancels 1: requested
    alice   sells 1 @ 100, 8200 times        rests 1, 8200 times

A market order says its collar (`at worst 100`), and a market buy its funds if it has a
budget: `buys 2 at market, at worst 9, for 25` or, sized by them alone, `buys at market,
at worst 9, for 25`. An order that got all it asked for has only trades to show; what
is cancelled names its reason: `cancels 7: no_liquidity`. `book` shows lots@price, the
best first. Numbers are ticks, lots and their products.

`play` runs a tape through an engine and writes it again with what really happened, so
that a test compares two texts: `assert tape.play(text) == tape.tidy(text)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from matching.commands import BUY, SELL, Cancel, Command, Place
from matching.engine import Engine
from matching.events import Event, Filled, Rejected, Rested, Traded, named

_SIZE = r"(?P<lots>\d+)"
_NAMES = r"(?:, called (?P<name>\w+))?(?:, (?P<times>\d+) times)?"
_LIMIT = re.compile(rf"(?P<verb>buys|sells) {_SIZE} @ (?P<limit>\d+){_NAMES}")
_MARKET = re.compile(
    rf"(?P<verb>buys|sells) (?:{_SIZE} )?at market, at worst (?P<limit>\d+)"
    rf"(?:, for (?P<budget>\d+))?{_NAMES}"
)
_CANCEL = re.compile(r"cancels (?P<name>\w+)")

MEMBERS = {"alice": 1, "bob": 2, "mallory": 3, "olive": 4}
_NAME_OF = {number: name for name, number in MEMBERS.items()}


class Matcher(Protocol):
    """What a tape needs of an engine."""

    def submit(self, command: Command) -> list[Event]: ...
    def levels(self, side: int) -> list[tuple[int, int, int]]: ...


@dataclass
class _Player:
    matcher: Matcher
    ids: dict[str, int] = field(default_factory=dict)
    orders: int = 0

    def answer(self, who: str, deed: str) -> str:
        """What the engine says to one line."""
        events: list[Event] = []
        for command in self.commands(who, deed):
            events += self.matcher.submit(command)
        told = [text for event in events if (text := _told(event))]
        return ", ".join(_counted(told))

    def commands(self, who: str, deed: str) -> Iterator[Command]:
        if match := _CANCEL.fullmatch(deed):
            yield Cancel(self.ids.get(match["name"], 999_999_999))
            return
        match = _LIMIT.fullmatch(deed) or _MARKET.fullmatch(deed)
        if match is None:
            raise ValueError(f"not in the language of tapes: {deed!r}")
        terms = match.groupdict()
        for _ in range(int(terms["times"] or 1)):
            self.orders += 1
            if terms["name"]:
                self.ids[terms["name"]] = self.orders
            yield Place(
                order_id=self.orders,
                member_id=MEMBERS[who],
                side=BUY if terms["verb"] == "buys" else SELL,
                limit=int(terms["limit"]),
                lots=int(terms["lots"] or 0),
                budget=int(terms["budget"]) if terms.get("budget") else None,
                rests="budget" not in terms,
            )

    def side(self, side: int) -> str:
        levels = self.matcher.levels(side)
        return " ".join(f"{lots}@{price}" for price, lots, _ in levels) or "-"


def play(text: str, matcher: Matcher | None = None) -> str:
    """Run a tape and return it with what happened. ValueError for bad grammar."""
    player = _Player(matcher or Engine("tape"))
    lines = []
    for who, deed, *_ in _lines(text):
        if who == "book":
            told = [f"asks {player.side(SELL)}", f"bids {player.side(BUY)}"]
        else:
            told = [deed, player.answer(who, deed)]
        lines.append("  ".join([who, *told]).rstrip())
    return "\n".join(lines)


def tidy(text: str) -> str:
    """Return the tape as it stands, spaced and without comments, as `play` does."""
    return "\n".join("  ".join(columns) for columns in _lines(text))


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        if content:
            yield re.split(r"\s{2,}", content)


def _told(event: Event) -> str:
    match named(event):
        case Traded() as traded:
            maker = _NAME_OF[traded.maker_member_id]
            return f"trades {traded.lots} @ {traded.price} with {maker}"
        case Rested() as rested:
            return f"rests {rested.lots}"
        case Filled():
            return ""
        case Rejected() as rejected:
            return f"rejected: {rejected.reason}"
        case cancelled:
            return f"cancels {cancelled.lots}: {cancelled.reason}"


def _counted(told: list[str]) -> Iterator[str]:
    for text, group in groupby(told):
        times = len(list(group))
        yield text if times == 1 else f"{text}, {times} times"
