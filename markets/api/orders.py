"""
Private endpoints: place, look at and cancel orders.

POST orders is the hot path of the house. Its parameters are read by hand: a serializer
would accept what we must refuse (floats, blanks, other scripts' digits) and cost more
than the rest of the request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.parameters import Parameters
from accounts.api.views import ApiView
from exchange.lib import money
from exchange.lib.errors import Busy, Conflict, ExchangeError
from exchange.lib.money import ZERO
from markets import orders, queries
from markets.api import shapes
from markets.api.market_data import market_called
from markets.models import Order, Side
from wallets.ledger import InsufficientFunds

# What Ruby would have read a number from; anything else was zero to the ancestor.
_BEGINS_LIKE_A_NUMBER = re.compile(r"\s*\+?[0-9.]*[1-9]", re.ASCII)
_READ = ("history", "trade")
_WRITE = ("trade",)
_PAGE_MAX = 10**9


class Orders(ApiView):
    """My orders, and new ones."""

    scopes = {"GET": _READ, "POST": _WRITE}

    def get(self, request: Request, **path: Any) -> Response:
        name = self.parameters.required("market")
        state = self.parameters.choice("state", list(shapes.STATES), "wait")
        limit = self.parameters.integer_within("limit", 1, 1000, default=100)
        page = self.parameters.integer("page") or 1
        order_by = self.parameters.choice("order_by", ("asc", "desc"), "asc")
        self.parameters.demand_valid()
        market = market_called(name, self.parameters)
        # A page before the first was the first for the ancestor, too.
        page = min(max(page, 1), _PAGE_MAX)
        found = queries.orders_of(
            self.member,
            market_id=market.pk,
            states=shapes.STATES[state],
            limit=limit,
            offset=(page - 1) * limit,
            newest_first=order_by == "desc",
        )
        return Response([shapes.order(row) for row in found])

    def post(self, request: Request, **path: Any) -> Response:
        market_id = self.parameters.required("market")
        wish = _read_wish(self.parameters)
        client_id = self.parameters.text("client_id") or None
        self.parameters.demand_valid()
        try:
            order = orders.place(
                member=self.member,
                market_id=market_id,
                terms=_terms(wish),
                client_id=client_id,
                source="api",
                now=self.now,
            )
        except queries.UnknownMarket:
            self.parameters.refuse("market")
        except ExchangeError as error:
            raise _creation_failed(error) from error
        return Response(shapes.order(order), 201)


class OneOrder(ApiView):
    """One of my orders, with its trades."""

    scopes = {"GET": _READ}

    def get(self, request: Request, **path: Any) -> Response:
        order_id = self.parameters.required_integer("id")
        self.parameters.demand_valid()
        order = queries.order_of(self.member, order_id)
        if order is None:
            raise Failure(404, errors.UNKNOWN_ORDER, f"Order#{order_id} doesn't exist.")
        trades = queries.trades_of_order(order)
        return Response(shapes.order_with_trades(order, trades))


class DeleteOrder(ApiView):
    """Ask for one order to be cancelled. A finished one answers as it is."""

    scopes = {"POST": _WRITE}
    bucket = "cancels"

    def post(self, request: Request, **path: Any) -> Response:
        order_id = self.parameters.required_integer("id")
        self.parameters.demand_valid()
        try:
            order = orders.cancel(member=self.member, order_id=order_id, now=self.now)
        except ExchangeError as error:
            raise _cancellation_failed(error) from error
        return Response(shapes.order(order), 201)


class ClearOrders(ApiView):
    """Ask for all my orders to be cancelled, in all markets, on one side or both."""

    scopes = {"POST": _WRITE}
    bucket = "cancels"

    def post(self, request: Request, **path: Any) -> Response:
        side = self.parameters.optional_choice("side", Side.values)
        self.parameters.demand_valid()
        try:
            cleared = orders.cancel_all(member=self.member, side=side, now=self.now)
        except ExchangeError as error:
            raise _cancellation_failed(error) from error
        return Response([shapes.order(row) for row in cleared], 201)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an order's parameters say, before anything is made of it."""

    side: str
    kind: str
    volume: str
    price: str | None


def _read_wish(parameters: Parameters) -> _Wish:
    return _Wish(
        side=parameters.required_choice("side", Side.values),
        volume=parameters.required("volume"),
        price=parameters.text("price") or None,
        kind=parameters.choice("ord_type", Order.Kind.values, Order.Kind.LIMIT),
    )


def _terms(wish: _Wish) -> orders.Terms:
    """Make numbers of the wish, or say what is wrong in the ancestor's words."""
    problems: list[str] = []
    price = None
    if wish.kind == Order.Kind.LIMIT:
        price = _number("Price", wish.price or "", problems)
    elif wish.price is not None:
        problems.append("Price must not be present")
    amount = _number("Volume", wish.volume, problems)
    if problems:
        raise _creation_refused(f"Validation failed: {', '.join(problems)}")
    return orders.Terms(side=wish.side, kind=wish.kind, price=price, amount=amount)


def _number(name: str, text: str, problems: list[str]) -> Decimal:
    try:
        number = money.parse(text)
    except money.NotANumber:
        if _BEGINS_LIKE_A_NUMBER.match(text):
            problems.append(f"{name} must be a plain decimal number")
        else:
            problems.append(f"{name} must be greater than 0")
        return ZERO
    if number == 0:
        problems.append(f"{name} must be greater than 0")
    return number


def _creation_failed(error: ExchangeError) -> Failure:
    match error:
        case InsufficientFunds():
            reason = f"cannot lock funds (amount: {error.facts['needed']})"
        case orders.NotDeepEnough():
            reason = "Market is not deep enough"
        case _:
            reason = error.message
    return _creation_refused(reason, _status(error))


def _creation_refused(reason: str, status: int = 400) -> Failure:
    message = f"Failed to create order. Reason: {reason}"
    return Failure(status, errors.CREATE_ORDER_FAILED, message)


def _cancellation_failed(error: ExchangeError) -> Failure:
    message = f"Failed to cancel order. Reason: {error.message}"
    return Failure(_status(error), errors.CANCEL_ORDER_FAILED, message)


def _status(error: ExchangeError) -> int:
    """400, as ever; except where a client must know that trying again is right."""
    match error:
        case Conflict():
            return 409
        case Busy():
            return 503
    return 400
