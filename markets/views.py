"""
The trading pages: the list of markets, one market, and what its scripts ask for.

Views parse, make one call and render. A page carries its first snapshot twice: as HTML,
so that it is whole at the first paint and without scripts, and as JSON, from which the
scripts go on. How numbers are written is display's business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import throttling
from accounts.models.members import Member
from accounts.views.doors import member_call, public, who
from exchange.lib import money, refusals
from exchange.lib.errors import Invalid
from markets import candles, display, orders, page_data, queries, tickers
from markets.models import Market, Side
from markets.orders import Terms, UnknownOrder
from markets.queries import UnknownMarket
from markets.tickers import Ticker

CANDLES = 500  # how many a chart starts with
CANDLES_MAX = 1500
# What the chart's buttons offer: minutes and label.
PERIODS = ((1, "1m"), (5, "5m"), (15, "15m"), (60, "1h"), (240, "4h"), (1440, "1d"))
SPARK_HOURS = 24
# What market.js imports: named in the page, so that all of it is fetched at once.
MODULES = [
    *("balances", "book", "book_view", "chart", "decimal", "estimate", "field", "form"),
    *("numbers", "orders", "paint", "server", "stream", "tabs", "ticker", "toast"),
    *("trades", "words"),
]


# --- Pages -------------------------------------------------------------------------


@require_safe
@public
def home(request: HttpRequest) -> HttpResponse:
    """List the markets with their last day."""
    now = timezone.now()
    markets = queries.visible_markets()
    by_market = {ticker.market_id: ticker for ticker in tickers.tickers(now)}
    rows = [_row(market, by_market[market.pk], now) for market in markets]
    digits = {
        market.pk: {"price": market.price_digits, "amount": market.amount_digits}
        for market in markets
    }
    screen = {"stream": _stream(request), "digits": digits}
    return render(request, "markets/home.html", {"rows": rows, "screen": screen})


@require_safe
@public
def market(request: HttpRequest, market_id: str) -> HttpResponse:
    """Show one market: chart, book, trades, order form, own orders and balances."""
    try:
        shown = queries.market_of(market_id)
    except UnknownMarket as error:
        raise Http404(error.message) from error
    now = timezone.now()
    screen = page_data.snapshot(shown, member=_member_or_none(request), now=now)
    context = {
        "market": shown,
        "markets": queries.visible_markets(),
        "periods": PERIODS,
        "modules": MODULES,
        "asks": list(reversed(display.levels(shown, screen["asks"]))),
        "bids": display.levels(shown, screen["bids"]),
        "spread": display.spread(shown, screen["bids"], screen["asks"]),
        "trades": [display.trade(shown, trade) for trade in screen["trades"]],
        "ticker": display.ticker(shown, screen["ticker"]),
        "orders": None,
        "balances": None,
        "screen": screen
        | {"stream": _stream(request), "candles": _bars(market_id, 1, CANDLES, now)},
    }
    if screen["me"] is not None:
        context["orders"] = [
            display.order(shown, order) for order in screen["me"]["orders"]
        ]
        context["balances"] = display.balances(shown, screen["me"]["balances"])
    return render(request, "markets/market.html", context)


# --- What the scripts ask for ------------------------------------------------------


@require_safe
@public
@refusals.as_json
def snapshot(request: HttpRequest, market_id: str) -> HttpResponse:
    """Answer a market as of now, with the member's own part."""
    now = _counted(request)
    shown = queries.market_of(market_id)
    member = _member_or_none(request)
    return JsonResponse(page_data.snapshot(shown, member=member, now=now))


@require_safe
@public
@refusals.as_json
def candle_rows(request: HttpRequest, market_id: str) -> HttpResponse:
    """
    Answer candles of a period in minutes, oldest first.

    `last_trade` is the newest trade that they hold for certain: the chart adds those
    after it.
    """
    now = _counted(request)
    queries.market_of(market_id)
    period = _choice(request, "period", candles.PERIODS)
    limit = min(_number(request, "limit", default=CANDLES), CANDLES_MAX)
    newest = queries.trades(market_id, queries.Window(1))
    return JsonResponse(
        {
            "candles": _bars(market_id, period, limit, now),
            "last_trade": newest[0].pk if newest else 0,
        }
    )


@require_POST
@refusals.as_json
@member_call
def place(request: HttpRequest, market_id: str) -> HttpResponse:
    """Take an order and answer it; see orders.place for what is refused."""
    member, now = _acting(request)
    body = _body(request)
    order = orders.place(
        member=member,
        market_id=market_id,
        terms=_terms(body),
        client_id=_text(body, "client_id"),
        source="web",
        now=now,
    )
    return JsonResponse({"order": queries.order_view(order)}, status=201)


@require_http_methods(["DELETE"])
@refusals.as_json
@member_call
def cancel(request: HttpRequest, market_id: str, order_id: int) -> HttpResponse:
    """Ask for one order to be cancelled; the stream tells when it was."""
    member, now = _acting(request, bucket="cancels")
    known = queries.order_of(member, order_id)
    if known is None or known.market_id != market_id:
        raise UnknownOrder
    order = orders.cancel(member=member, order_id=order_id, now=now)
    return JsonResponse({"order": queries.order_view(order)}, status=202)


@require_POST
@refusals.as_json
@member_call
def clear(request: HttpRequest, market_id: str) -> HttpResponse:
    """Ask for all orders in a market to be cancelled, on one side where given."""
    member, now = _acting(request, bucket="cancels")
    side = _text(_body(request), "side")
    if side is not None and side not in Side.values:
        raise Invalid(_("The side is buy or sell."))
    queries.market_of(market_id)
    asked = orders.cancel_all(member=member, market_id=market_id, side=side, now=now)
    views = [queries.order_view(order) for order in asked]
    return JsonResponse({"orders": views}, status=202)


# --- Reading requests --------------------------------------------------------------


def _counted(request: HttpRequest, bucket: str = "all") -> datetime:
    """Count the request for its address; return the one `now` of the operation."""
    now = timezone.now()
    address = throttling.client_address(request.META)
    throttling.count_address(address, now=now, bucket=bucket)
    return now


def _acting(request: HttpRequest, *, bucket: str = "all") -> tuple[Member, datetime]:
    """Count the request for its address and its member; return member and `now`."""
    now, member = _counted(request, bucket), who(request)
    throttling.count_member(member.pk, now=now, bucket=bucket)
    return member, now


def _member_or_none(request: HttpRequest) -> Member | None:
    return request.user if isinstance(request.user, Member) else None


def _body(request: HttpRequest) -> dict[str, Any]:
    # Another site's form cannot send this content type, so it cannot come from one.
    if request.content_type != "application/json":
        raise Invalid(_("Send JSON."))
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError, RequestDataTooBig) as error:
        raise Invalid(_("This is not the JSON we expect.")) from error
    if not isinstance(body, dict):
        raise Invalid(_("This is not the JSON we expect."))
    return body


def _terms(body: dict[str, Any]) -> Terms:
    return Terms(
        side=_text(body, "side") or "",
        kind=_text(body, "kind") or "",
        price=_amount(body, "price"),
        amount=_amount(body, "amount"),
        funds=_amount(body, "funds"),
    )


def _text(body: dict[str, Any], name: str) -> str | None:
    text = body.get(name)
    if text is not None and not isinstance(text, str):
        raise Invalid(_("%(name)s must be text.") % {"name": name})
    return text


def _amount(body: dict[str, Any], name: str) -> Decimal | None:
    text = _text(body, name)
    return None if text is None else money.parse(text)


def _number(request: HttpRequest, name: str, *, default: int) -> int:
    text = request.GET.get(name, str(default))
    is_short_number = text.isascii() and text.isdecimal() and len(text) <= 9
    if not is_short_number or int(text) == 0:
        raise Invalid(_("%(name)s must be a whole number.") % {"name": name})
    return int(text)


def _choice(request: HttpRequest, name: str, choices: Sequence[int]) -> int:
    chosen = _number(request, name, default=choices[0])
    if chosen not in choices:
        facts = {"name": name, "choices": ", ".join(map(str, choices))}
        raise Invalid(_("%(name)s is one of %(choices)s.") % facts)
    return chosen


def _stream(request: HttpRequest) -> str:
    """Return where the browser finds the websockets."""
    if settings.STREAM_URL:
        return str(settings.STREAM_URL)
    host = urlsplit(f"//{request.get_host()}").hostname or settings.HOST
    scheme = "wss" if request.is_secure() else "ws"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.STREAM_PORT}"


# --- Reading rows ------------------------------------------------------------------


def _bars(market_id: str, period: int, limit: int, now: datetime) -> list[list[object]]:
    bars = candles.rows(market_id, period_minutes=period, limit=limit, now=now)
    return [bar.as_json() for bar in bars]


def _row(market: Market, ticker: Ticker, now: datetime) -> dict[str, Any]:
    bars = candles.rows(market.pk, period_minutes=60, limit=SPARK_HOURS, now=now)
    return {
        "market": market,
        "ticker": display.ticker(market, ticker.as_json()),
        "spark": display.spark([bar.close for bar in bars]),
    }
