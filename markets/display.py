"""
How the pages write a market's numbers: padded, aligned, signed, in words.

Takes the shapes of page_data, whose amounts are strings, and gives templates what they
show. Mirrored in static/js/numbers.js, which goes on from the first paint.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from exchange.lib import money
from exchange.lib.money import EXACT, ZERO
from markets.models import Market, Order, Side

LEVELS_PAINTED = 50  # of each side; the scripts know all that were sent
TENTH = Decimal("0.1")
SPARK_WIDTH, SPARK_HEIGHT = 96, 24


def padded(text: str | None, digits: int) -> str:
    """Write a plain decimal with at least `digits` decimals, so that columns align."""
    if text is None:
        return "–"
    whole, _point, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


def levels(market: Market, best_first: list[list[str]]) -> list[dict[str, str]]:
    """Write one side of the book, with the amount up to and including each level."""
    total = ZERO
    painted = []
    for price, amount in best_first[:LEVELS_PAINTED]:
        total = EXACT.add(total, Decimal(amount))
        painted.append(
            {
                "key": padded(price, 0),
                "price": padded(price, market.price_digits),
                "amount": padded(amount, market.amount_digits),
                "total": padded(f"{total:f}", market.amount_digits),
            }
        )
    return painted


def spread(market: Market, bids: list[list[str]], asks: list[list[str]]) -> str:
    """Write the gap between the best prices, and that gap in percent of the ask."""
    if not bids or not asks:
        return "–"
    bid, ask = Decimal(bids[0][0]), Decimal(asks[0][0])
    percent = money.round_down((ask - bid) * 100 / ask, Decimal("0.001"))
    gap = padded(f"{ask - bid:f}", market.price_digits)
    return f"{gap} · {padded(f'{percent:f}', 0)} %"


def trade(market: Market, trade: dict[str, Any]) -> dict[str, str]:
    """Write a trade; the arrow says what the colour says."""
    return {
        "key": str(trade["id"]),
        "side": trade["side"],
        "arrow": "▲" if trade["side"] == Side.BUY else "▼",
        "price": padded(trade["price"], market.price_digits),
        "amount": padded(trade["amount"], market.amount_digits),
        "time": _moment(trade["at"]).strftime("%H:%M:%S"),
    }


def order(market: Market, order: dict[str, Any]) -> dict[str, str]:
    """Write one of the member's live orders."""
    price, amount = order["price"], order["amount"]
    filled = "–"
    if amount is not None:
        share = Decimal(order["filled"]) * 100 / Decimal(amount)
        filled = f"{money.round_down(share, TENTH):.1f} %"
    return {
        "key": str(order["id"]),
        "side": order["side"],
        "side_label": _("Buy") if order["side"] == Side.BUY else _("Sell"),
        "price": padded(price, market.price_digits)
        if price
        else pgettext("order type", "Market"),
        "amount": padded(amount, market.amount_digits),
        "filled": filled,
        "state": pgettext("order", "Open")
        if order["state"] == Order.State.OPEN
        else _("Sent"),
        "time": _moment(order["at"]).strftime("%m-%d %H:%M:%S"),
    }


def balances(market: Market, balances: list[dict[str, str]]) -> list[dict[str, str]]:
    """Write what the member has of the market's two currencies."""
    digits = {
        market.base_id: market.amount_digits,
        market.quote_id: market.price_digits,
    }
    return [
        {
            "currency": balance["currency"],
            "available": padded(balance["available"], digits[balance["currency"]]),
            "locked": padded(balance["locked"], digits[balance["currency"]]),
        }
        for balance in balances
        if balance["currency"] in digits
    ]


def ticker(market: Market, ticker: dict[str, str | None]) -> dict[str, str]:
    """Write a market's last day."""
    direction, moved = change(ticker["open"], ticker["last"])
    return {
        "last": padded(ticker["last"], market.price_digits),
        "high": padded(ticker["high"], market.price_digits),
        "low": padded(ticker["low"], market.price_digits),
        "volume": padded(ticker["volume"] or "0", market.amount_digits),
        "direction": direction,
        "arrow": {"up": "▲", "down": "▼", "flat": ""}[direction],
        "change": moved,
    }


def change(before: str | None, last: str | None) -> tuple[str, str]:
    """Return the direction the price took, and how far: ("up", "+1.25 %")."""
    if before is None or last is None or Decimal(before) == 0:
        return "flat", "–"
    moved = (Decimal(last) - Decimal(before)) * 100 / Decimal(before)
    size = money.round_down(abs(moved), Decimal("0.01"))
    if size == 0:
        return "flat", "0.00 %"
    return ("up", f"+{size:.2f} %") if moved > 0 else ("down", f"−{size:.2f} %")


def spark(closes: list[Decimal]) -> str:
    """Return the points of a small line through some prices, as SVG writes them."""
    if len(closes) < 2:
        return ""
    low, high = min(closes), max(closes)
    span = high - low or Decimal(1)
    step = Decimal(SPARK_WIDTH) / (len(closes) - 1)
    room = SPARK_HEIGHT - 4  # the line has a width of its own
    return " ".join(
        f"{nth * step:.1f},{2 + room * (high - close) / span:.1f}"
        for nth, close in enumerate(closes)
    )


def _moment(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None:
        raise ValueError(f"not a time: {text}")
    return found
