"""
Tickers: what a market did in the last 24 hours, by the minute.

Computed from the 1-minute candles, so that the window moves by itself on a quiet day.
`open` is the last price before the window, or the first inside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from exchange.lib.money import ZERO, plain

WINDOW = timedelta(hours=24)
STEADY_WINDOW = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ticker:
    """One market's figures; prices are None where nothing was traded or is offered."""

    market_id: str
    buy: Decimal | None
    sell: Decimal | None
    last: Decimal | None
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: Decimal
    funds: Decimal
    at: datetime

    def as_json(self) -> dict[str, str | None]:
        names = ("last", "open", "high", "low", "volume", "funds", "buy", "sell")
        values = {name: getattr(self, name) for name in names}
        return {
            name: None if value is None else plain(value)
            for name, value in values.items()
        }


# Best prices by the index of the open book; figures from at most 1,440 candles each.
_TICKERS = """
SELECT market.id,
    (SELECT price FROM markets_order WHERE market_id = market.id AND side = 'buy'
        AND state = 'open' ORDER BY price DESC LIMIT 1),
    (SELECT price FROM markets_order WHERE market_id = market.id AND side = 'sell'
        AND state = 'open' ORDER BY price LIMIT 1),
    last.close,
    coalesce(before.close, day.open), day.high, day.low,
    coalesce(day.volume, 0), coalesce(day.funds, 0)
FROM markets_market AS market
LEFT JOIN LATERAL (
    SELECT close FROM markets_candle WHERE market_id = market.id
        AND minute <= %(now)s ORDER BY minute DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT close FROM markets_candle WHERE market_id = market.id
        AND minute <= %(start)s ORDER BY minute DESC LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
    SELECT max(high) AS high, min(low) AS low, sum(volume) AS volume,
        sum(funds) AS funds, (array_agg(candle.open ORDER BY minute))[1] AS open
    FROM markets_candle AS candle WHERE market_id = market.id
        AND minute > %(start)s AND minute <= %(now)s
) AS day ON true
WHERE market.is_visible AND (%(market)s::text IS NULL OR market.id = %(market)s)
ORDER BY market.sort_order, market.id
"""

_LAST_PRICES = """
SELECT market.base_id, market.quote_id, last.close
FROM markets_market AS market
CROSS JOIN LATERAL (
    SELECT close FROM markets_candle WHERE market_id = market.id
    ORDER BY minute DESC LIMIT 1
) AS last
WHERE market.is_visible ORDER BY market.sort_order, market.id
"""
# What stood at each hour of the days, and not what was paid most often: trades are
# cheap for who trades with a friend, time is not.
_STEADY_PRICES = """
SELECT market.base_id, market.quote_id,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY stood.close)
FROM markets_market AS market
CROSS JOIN generate_series(%(start)s::timestamptz, %(now)s, '1 hour') AS at
CROSS JOIN LATERAL (
    SELECT close FROM markets_candle WHERE market_id = market.id
        AND minute <= at ORDER BY minute DESC LIMIT 1
) AS stood
WHERE market.is_visible GROUP BY market.id ORDER BY market.sort_order, market.id
"""
# A rate that was divided has digits without end; these are more than any use of it.
_WIDE = Context(prec=40)


def tickers(now: datetime) -> list[Ticker]:
    """Return the tickers of all visible markets, in the operator's order."""
    return _read(None, now)


def ticker(market_id: str, now: datetime) -> Ticker:
    """Return one market's ticker; an unknown market has an empty one."""
    nothing = Ticker(market_id, None, None, None, None, None, None, ZERO, ZERO, now)
    return next(iter(_read(market_id, now)), nothing)


def price_of(currency: str, in_currency: str) -> Decimal | None:
    """
    Return what one of a currency costs in another at the last prices: of their market,
    of the market the other way round, or by way of one currency that trades with both.
    None where that is not known.
    """
    return _price(_rates(_LAST_PRICES), currency, in_currency)


def steady_price_of(currency: str, in_currency: str) -> Decimal | None:
    """
    Return what one of a currency mostly cost in another in the last seven days: as
    `price_of`, by the median of what stood hour by hour.
    """
    now = timezone.now()
    rates = _rates(_STEADY_PRICES, start=now - STEADY_WINDOW, now=now)
    return _price(rates, currency, in_currency)


def _price(
    rates: Mapping[tuple[str, str], Decimal], currency: str, in_currency: str
) -> Decimal | None:
    if (direct := rates.get((currency, in_currency))) is not None:
        return direct
    for (base, middle), first in rates.items():
        second = rates.get((middle, in_currency))
        if base == currency and second is not None:
            return _WIDE.multiply(first, second)
    return None


def _rates(prices: str, **times: datetime) -> dict[tuple[str, str], Decimal]:
    """Return {(currency, in currency): rate}, both ways, the operator's first first."""
    rates: dict[tuple[str, str], Decimal] = {}
    with connection.cursor() as cursor:
        cursor.execute(prices, times)
        for base, quote, price in cursor.fetchall():
            rates[base, quote] = price
            rates.setdefault((quote, base), _WIDE.divide(Decimal(1), price))
    return rates


def _read(market_id: str | None, now: datetime) -> list[Ticker]:
    with connection.cursor() as cursor:
        cursor.execute(
            _TICKERS, {"market": market_id, "now": now, "start": now - WINDOW}
        )
        return [_ticker(row, now) for row in cursor.fetchall()]


def _ticker(row: tuple[Any, ...], now: datetime) -> Ticker:
    return Ticker(*(*row, now))
