"""Endpoints of market data: markets, tickers, books, trades, candles, our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.json import encode
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.parameters import NOT_VALID, Parameters
from accounts.api.views import ApiView, SignedParameters
from markets import book_feed, candles, queries, tickers
from markets.api import shapes
from markets.api.remembered import Remembered
from markets.candles import Bar
from markets.models import Market, Side
from markets.queries import Window

_YEAR_10000 = 253_402_300_800  # the first second that a datetime cannot hold
# A week's candle may hold more trades than anybody wants at once.
PENDING_TRADES_MAX = 10_000


class Markets(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        return Response([shapes.market(row) for row in queries.visible_markets()])


class Tickers(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        at = int(self.now.timestamp())
        found = _tickers(self.now)
        return Response({id: {"at": at, "ticker": body} for id, body in found.items()})


class TickerOfMarket(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        name = self.parameters.required("market")
        found = _tickers(self.now).get(name)
        if found is None:
            self.parameters.refuse("market")
        return Response({"at": int(self.now.timestamp()), "ticker": found})


class OrderBook(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        market = required_market(self.parameters)
        asks_limit = self.parameters.integer_within("asks_limit", 1, 200, default=20)
        bids_limit = self.parameters.integer_within("bids_limit", 1, 200, default=20)
        self.parameters.demand_valid()
        book = book_feed.snapshot(market.pk, limit=max(asks_limit, bids_limit))
        sides = {
            "asks": (Side.SELL, book.asks[:asks_limit]),
            "bids": (Side.BUY, book.bids[:bids_limit]),
        }
        shown = {
            name: [
                shapes.book_order(rank, side, level, market=market.pk, at=self.now)
                for rank, level in enumerate(levels, start=1)
            ]
            for name, (side, levels) in sides.items()
        }
        return Response({**shown, "seq": book.seq})


class Depth(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        name = self.parameters.required("market")
        version = self._version(name)
        limit = self.parameters.integer_within("limit", 1, 1000, default=300)
        self.parameters.demand_valid()
        asks, bids, seq = _depths.get(
            (name, limit), version, lambda: _read_depth(name, limit)
        )
        timestamp = int(self.now.timestamp())
        return Response(
            {"timestamp": timestamp, "asks": asks, "bids": bids, "seq": seq}
        )

    def _version(self, name: str) -> str:
        try:
            return queries.book_version(name)
        except queries.UnknownMarket:
            self.parameters.note("market", NOT_VALID)
            return ""


class Trades(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        market = required_market(self.parameters)
        window = _read_window(self.parameters)
        self.parameters.demand_valid()
        found = queries.trades(market.pk, window)
        return Response([shapes.public_trade(row) for row in found])


class MyTrades(SignedParameters):
    scopes = {"GET": ("history",)}

    def note_missing(self) -> None:
        super().note_missing()
        required_market(self.parameters)

    def get(self, request: Request, **path: Any) -> Response:
        market = required_market(self.parameters)
        window = _read_window(self.parameters)
        self.parameters.demand_valid()
        found = queries.trades_of(self.member, market.pk, window)
        return Response([shapes.own_trade(row, self.member) for row in found])


class Candles(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        bars = _read_candles(self.parameters, self.now)
        return Response([shapes.candle(bar) for bar in bars])


class CandlesWithPendingTrades(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        trade_id = self.parameters.required_integer("trade_id")
        bars = _read_candles(self.parameters, self.now)
        pending = []
        if bars and trade_id > 0:
            pending = queries.trades_since(
                self.parameters.required("market"),
                bars[-1].at,
                before_id=trade_id,
                limit=PENDING_TRADES_MAX,
            )
        return Response(
            {
                "k": [shapes.candle(bar) for bar in bars],
                "trades": [shapes.pending_trade(row, is_up=up) for row, up in pending],
            }
        )


class Timestamp(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        return Response(int(self.now.timestamp()))


_depths: Remembered[tuple[msgspec.Raw, msgspec.Raw, int]] = Remembered()
_all_tickers: Remembered[dict[str, msgspec.Raw]] = Remembered()


def _read_depth(market_id: str, limit: int) -> tuple[msgspec.Raw, msgspec.Raw, int]:
    """Return both sides dearest first, so that the asks end with the best one."""
    book = book_feed.snapshot(market_id, limit=limit)
    asks, bids = shapes.levels(book.asks[::-1]), shapes.levels(book.bids)
    return msgspec.Raw(encode(asks)), msgspec.Raw(encode(bids)), book.seq


def _tickers(now: datetime) -> dict[str, msgspec.Raw]:
    """Return all markets' tickers, written out. They change with trades and minutes."""
    version = f"{now:%F %H:%M} {queries.versions()}"

    def read() -> dict[str, msgspec.Raw]:
        found = tickers.tickers(now)
        return {row.market_id: msgspec.Raw(encode(shapes.ticker(row))) for row in found}

    return _all_tickers.get("all", version, read)


def required_market(parameters: Parameters) -> Market:
    """
    Read the visible market; an unknown one is noted, and what is returned then is good
    for nothing.
    """
    name = parameters.required("market")
    try:
        return queries.market_of(name)
    except queries.UnknownMarket:
        parameters.note("market", NOT_VALID)
        return Market()


def _read_window(parameters: Parameters) -> Window:
    limit = parameters.integer_within("limit", 1, 1000, default=50)
    timestamp = parameters.integer("timestamp")
    after_id, before_id = parameters.integer("from"), parameters.integer("to")
    order_by = parameters.choice("order_by", ("asc", "desc"), "desc")
    until = _end_of_second(timestamp)
    return Window(limit, after_id, before_id, until, newest_first=order_by == "desc")


def _read_candles(parameters: Parameters, now: datetime) -> list[Bar]:
    market = required_market(parameters)
    limit = parameters.integer_of("limit", range(1, 10_001), default=30)
    period = parameters.integer_of("period", candles.PERIODS, default=1)
    timestamp = parameters.integer("timestamp")
    parameters.demand_valid()
    if timestamp is None:
        return candles.rows(market.pk, period_minutes=period, limit=limit, now=now)
    if timestamp >= _YEAR_10000:
        return []
    start = datetime.fromtimestamp(max(timestamp, 0), UTC)
    return candles.rows_from(
        market.pk, start=start, period_minutes=period, limit=limit, now=now
    )


def _end_of_second(timestamp: int | None) -> datetime | None:
    """
    Return the last instant that reads as this second: answers show whole seconds, so
    what shows the asked second belongs to it. Beyond all calendars means no bound.
    """
    if timestamp is None or timestamp >= _YEAR_10000 - 1:
        return None
    second = datetime.fromtimestamp(max(timestamp, 0), UTC)
    return second + timedelta(seconds=1, microseconds=-1)
