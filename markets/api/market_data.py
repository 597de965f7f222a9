"""Endpoints of market data: markets, tickers, books, trades, candles, our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.parameters import NOT_VALID, Parameters
from accounts.api.views import ApiView, SignedParameters
from markets import book_feed, candles, queries, tickers
from markets.api import shapes
from markets.candles import Bar
from markets.models import Market, Side
from markets.queries import Window

_YEAR_10000 = 253_402_300_800  # the first second that a datetime cannot hold
# A week's candle may hold more trades than anybody wants at once.
_PENDING_TRADES_MAX = 10_000


class Markets(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        return Response([shapes.market(row) for row in queries.visible_markets()])


class Tickers(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        found = tickers.tickers(self.now)
        return Response({row.market_id: shapes.ticker(row) for row in found})


class TickerOfMarket(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        market = required_market(self.parameters)
        self.parameters.demand_valid()
        return Response(shapes.ticker(tickers.ticker(market.pk, self.now)))


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
        market = required_market(self.parameters)
        limit = self.parameters.integer_within("limit", 1, 1000, default=300)
        self.parameters.demand_valid()
        book = book_feed.snapshot(market.pk, limit=limit)
        return Response(
            {
                "timestamp": int(self.now.timestamp()),
                # Both sides dearest first: so the asks end with the best one.
                "asks": shapes.levels(book.asks[::-1]),
                "bids": shapes.levels(book.bids),
                "seq": book.seq,
            }
        )


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
                limit=_PENDING_TRADES_MAX,
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
