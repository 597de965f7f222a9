"""Public endpoints: markets, tickers, depth, trades, and our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.parameters import Parameters
from accounts.api.views import ApiView
from markets import book_feed, queries, tickers
from markets.api import shapes
from markets.models import Market

_YEAR_10000 = 253_402_300_800  # the first second that a datetime cannot hold


class Markets(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        return Response([shapes.market(row) for row in queries.visible_markets()])


class Tickers(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        found = tickers.tickers(self.now)
        return Response({row.market_id: shapes.ticker(row) for row in found})


class TickerOfMarket(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        market = read_market(self.parameters)
        return Response(shapes.ticker(tickers.ticker(market.pk, self.now)))


class Depth(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        name = self.parameters.required("market")
        limit = self.parameters.integer_within("limit", 1, 1000, default=300)
        self.parameters.demand_valid()
        market = market_called(name, self.parameters)
        book = book_feed.snapshot(market.pk, limit=limit)
        return Response(
            {
                "timestamp": int(self.now.timestamp()),
                # Both sides dearest first: so the asks end with the best one.
                "asks": shapes.levels(book.asks[::-1]),
                "bids": shapes.levels(book.bids),
            }
        )


class Trades(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        name = self.parameters.required("market")
        limit = self.parameters.integer_within("limit", 1, 1000, default=50)
        timestamp = self.parameters.integer("timestamp")
        after_id = self.parameters.integer("from")
        before_id = self.parameters.integer("to")
        order_by = self.parameters.choice("order_by", ("asc", "desc"), "desc")
        self.parameters.demand_valid()
        market = market_called(name, self.parameters)
        found = queries.trades(
            market.pk,
            limit=limit,
            after_id=after_id,
            before_id=before_id,
            until=_end_of_second(timestamp),
            newest_first=order_by == "desc",
        )
        return Response([shapes.public_trade(row) for row in found])


class Timestamp(ApiView):
    def get(self, request: Request, **path: Any) -> Response:
        return Response(int(self.now.timestamp()))


def read_market(parameters: Parameters) -> Market:
    """Read the market where it is the only parameter."""
    name = parameters.required("market")
    parameters.demand_valid()
    return market_called(name, parameters)


def market_called(name: str, parameters: Parameters) -> Market:
    """Return a visible market, or refuse the parameter."""
    try:
        return queries.market_of(name)
    except queries.UnknownMarket:
        parameters.refuse("market")


def _end_of_second(timestamp: int | None) -> datetime | None:
    """
    Return the last instant that reads as this second: answers show whole seconds, so
    what shows the asked second belongs to it. Beyond all calendars means no bound.
    """
    if timestamp is None or timestamp >= _YEAR_10000 - 1:
        return None
    second = datetime.fromtimestamp(max(timestamp, 0), UTC)
    return second + timedelta(seconds=1, microseconds=-1)
