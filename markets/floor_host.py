"""
The floors of one process: takes markets over on first touch, runs batches, announces
what they did, and knows what to do when one fails. Both drivers stand on it.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto

from django.conf import settings
from django.db import connection

from exchange.lib import bus
from markets import feed
from markets.feed import Message, Unreadable
from markets.floor import PASSING, MarketFloor
from markets.settlement import LostFloor

log = logging.getLogger("markets.floor")


class Verdict(Enum):
    """What the driver does with a batch's messages."""

    DONE = auto()  # acknowledge them
    LATER = auto()  # keep them; the database is away
    LOST = auto()  # give them back; another floor has the market


class Host:
    """All floors of this process."""

    def __init__(self) -> None:
        self._floors: dict[str, MarketFloor] = {}
        # A full collection walks the whole book: half a second with a million orders.
        # The engine makes no cycles; what Django makes is young and is swept below.
        gc.collect()
        gc.freeze()
        gc.disable()

    def handle(
        self,
        market_id: str,
        messages: Sequence[Message | Unreadable],
        *,
        now: datetime,
    ) -> Verdict:
        """
        Run one batch of one market, and announce what it did after commit. Orders whose
        messages are late or lost are run before those that came after them.
        """
        try:
            self.floor(market_id)
            whole = [*feed.earlier(market_id, messages), *messages]
            for start in range(0, len(whole), settings.FEED_BATCH):
                bite = whole[start : start + settings.FEED_BATCH]
                self._run(market_id, bite, now)
        except LostFloor as error:
            log.warning("%s", error)
            self._floors.pop(market_id, None)
            return Verdict.LOST
        except PASSING as error:
            log.warning("%s: will try again: %s", market_id, error)
            connection.close()
            return Verdict.LATER
        except Exception:
            # One market that cannot be loaded must not end the floor of all. Its orders
            # stay pending in their rows, and the sweeper tries again.
            log.exception("%s cannot be run", market_id)
            return Verdict.DONE
        return Verdict.DONE

    def _run(
        self, market_id: str, messages: Sequence[Message | Unreadable], now: datetime
    ) -> None:
        for outcome in self.floor(market_id).run(messages, now=now):
            bus.announce("market", outcome.as_event())
        gc.collect(1)

    def floor(self, market_id: str) -> MarketFloor:
        """Return the market's floor, taking the market over on first touch."""
        floor = self._floors.get(market_id)
        if floor is None:
            floor = MarketFloor(market_id)
            floor.take_over()
            self._floors[market_id] = floor
        return floor
