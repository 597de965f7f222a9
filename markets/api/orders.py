"""
Private endpoints: place, look at and cancel orders.

POST orders is the hot path of the house. Its parameters are read by hand: a serializer
would accept what we must refuse (floats, blanks, other scripts' digits) and cost more
than the rest of the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
from markets.api.market_data import required_market
from markets.models import Order, Side
from wallets.ledger import InsufficientFunds

# What Ruby would have read a number from; anything else was zero to the ancestor.
_BEGINS_LIKE_A_NUMBER = re.compile(r"\s*\+?[0-9.]*[1-9]", re.ASCII)
# More digits than any market has: a division's, say. The grid says what is wrong.
_FINE = re.compile(rf"[0-9]{{1,20}}\.[0-9]{{19,{orders.DIGITS_MAX}}}", re.ASCII)
_SIDES, _KINDS = tuple(Side.values), tuple(Order.Kind.values)
_READ = ("history", "trade")
_WRITE = ("trade",)
_PAGE_MAX = 10**9
ORDERS_MAX = 100  # at once


class Placing(ApiView):
    """What places orders, one or many."""

    def place(self, market_id: str, wished: Sequence[_Wished]) -> list[Order]:
        """Place what was read, or raise what says why not."""
        self._demand_valid()
        wishes = [
            _wish(wish, index if len(wished) > 1 else None)
            for index, wish in enumerate(wished)
        ]
        try:
            return orders.place_all(
                member=self.member,
                market_id=market_id,
                wishes=wishes,
                source="api",
                now=self.now,
            )
        except queries.UnknownMarket:
            self.parameters.refuse("market")
        except ExchangeError as error:
            raise _creation_failed(error) from error

    def _demand_valid(self) -> None:
        """Where something is wrong, say everything that is, the market first."""
        if self.parameters.problems:
            found = Parameters(self.parameters.values)
            required_market(found)
            others = self.parameters.problems
            found.problems += [said for said in others if said not in found.problems]
            found.demand_valid()


class Orders(Placing):
    """My orders, and new ones."""

    scopes = {"GET": _READ, "POST": _WRITE}

    def get(self, request: Request, **path: Any) -> Response:
        market = required_market(self.parameters)
        state = self.parameters.choice("state", list(shapes.STATES), "wait")
        limit = self.parameters.integer_within("limit", 1, 1000, default=100)
        page = self.parameters.integer("page") or 1
        order_by = self.parameters.choice("order_by", ("asc", "desc"), "asc")
        self.parameters.demand_valid()
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
        placed = self.place(market_id, [wish])
        return Response(shapes.order(placed[0]), 201)


class ManyOrders(Placing):
    """New orders of one market, all or none."""

    scopes = {"POST": _WRITE}

    def post(self, request: Request, **path: Any) -> Response:
        market_id = self.parameters.required("market")
        elements = self.parameters.elements("orders", most=ORDERS_MAX)
        placed = self.place(market_id, [_read_wish(element) for element in elements])
        return Response([shapes.order(row) for row in placed], 201)


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
        side = self.parameters.optional_choice("side", _SIDES)
        self.parameters.demand_valid()
        try:
            cleared = orders.cancel_all(member=self.member, side=side, now=self.now)
        except ExchangeError as error:
            raise _cancellation_failed(error) from error
        return Response([shapes.order(row) for row in cleared], 201)


@dataclass(frozen=True, slots=True)
class _Wished:
    """What an order's parameters say, before anything is made of it."""

    side: str
    kind: str
    volume: str
    price: str | None
    client_id: str | None


def _read_wish(parameters: Parameters) -> _Wished:
    return _Wished(
        side=parameters.required_choice("side", _SIDES),
        volume=parameters.required("volume"),
        price=parameters.text("price") or None,
        kind=parameters.choice("ord_type", _KINDS, Order.Kind.LIMIT),
        client_id=parameters.text("client_id") or None,
    )


def _wish(wished: _Wished, index: int | None) -> orders.Wish:
    """
    Make numbers of what was read, or say what is wrong in the ancestor's words, and of
    which of several orders.
    """
    problems: list[str] = []
    price = None
    if wished.kind == Order.Kind.LIMIT:
        price = _number("Price", wished.price or "", problems)
    elif wished.price is not None:
        problems.append("Price must not be present")
    amount = _number("Volume", wished.volume, problems)
    if problems:
        reason = f"Validation failed: {', '.join(problems)}"
        raise _creation_refused(reason, index=index)
    terms = orders.Terms(side=wished.side, kind=wished.kind, price=price, amount=amount)
    return orders.Wish(terms, wished.client_id, needs_depth=True)


def _number(name: str, text: str, problems: list[str]) -> Decimal:
    try:
        number = _fine(text) if _FINE.fullmatch(text) else money.parse(text)
    except money.NotANumber:
        if _BEGINS_LIKE_A_NUMBER.match(text):
            problems.append(f"{name} must be a plain decimal number")
        else:
            problems.append(f"{name} must be greater than 0")
        return ZERO
    if number == 0:
        problems.append(f"{name} must be greater than 0")
    return number


def _fine(text: str) -> Decimal:
    """Read more digits than the ledger takes; zeros at the end are none."""
    return Decimal(text.rstrip("0"))


def _creation_failed(error: ExchangeError) -> Failure:
    match error:
        case InsufficientFunds():
            amount = error.facts.get("locks", error.facts["needed"])
            reason = f"cannot lock funds (amount: {amount})"
        case orders.NotDeepEnough():
            reason = "Market is not deep enough"
        case orders.TooLargeForBook():
            reason = "Volume too large"
        case _:
            reason = error.message
    index = error.facts.get("index")
    return _creation_refused(
        reason, _status(error), index=index if isinstance(index, int) else None
    )


def _creation_refused(
    reason: str, status: int = 400, *, index: int | None = None
) -> Failure:
    """Refuse; of several orders, `index` is the place (from 0) of the one meant."""
    message = f"Failed to create order. Reason: {reason}"
    facts = {} if index is None else {"index": index}
    return Failure(status, errors.CREATE_ORDER_FAILED, message, **facts)


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
