"""
Orders: place and cancel.

Taking an order is one SQL statement: set the funds aside, count the order against the
member's cap, write the order as `pending`, write the entry. The floor hears of it after
commit; if nobody tells it, the sweeper does. An order never reaches the floor without
its funds behind it.

What happens to an order afterwards is settlement's business alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Literal

from django.db import IntegrityError, connection

from accounts.models.members import Member
from exchange.lib import money
from exchange.lib.errors import (
    Busy,
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
)
from exchange.lib.money import EXACT, plain
from exchange.lib.transactions import after_commit, transaction
from markets import feed
from markets.models import Market, OpenOrders, Order, Side
from markets.queries import market_of, order_of
from markets.units import UNITS_MAX, AboveMaximum, Grid
from wallets import ledger
from wallets.ledger import InsufficientFunds, Reason
from wallets.queries import balance

CLIENT_ID = re.compile(r"[!-~]{1,64}", re.ASCII)  # printable, no blanks


class BadTerms(Invalid):
    """The terms contradict each other: a limit order without a price, say."""

    code = "order_malformed"


class BelowMinimum(Refused):
    """The order is smaller than the market takes. Facts: minimum, of."""

    code = "order_below_minimum"


class MarketHalted(Busy):
    """The market takes no orders at the moment; cancels still work."""

    code = "market_halted"
    text = "This market is halted. You can cancel orders, but not place new ones."


class MemberMayNotTrade(NotAllowed):
    """The member is frozen."""

    code = "member_may_not_trade"
    text = "Your account may not trade at the moment. Please write to support."


class TooManyOrders(Refused):
    """The member's open orders in this market reach the market's cap."""

    code = "too_many_open_orders"


class NotDeepEnough(Refused):
    """A market order found nobody on the other side."""

    code = "market_not_deep_enough"
    text = "There is nobody on the other side at the moment."


class ClientIdTaken(Conflict):
    """The client id was used before, for an order of other terms."""

    code = "client_id_taken"
    text = "You used this client id for another order already."


class UnknownOrder(NotFound):
    """There is no such order of this member."""

    code = "unknown_order"
    text = "You have no such order."


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What a member asks for: limit orders carry price and amount; market orders an
    amount, or, to buy, the funds to spend.
    """

    side: Literal["buy", "sell"] | str
    kind: Literal["limit", "market"] | str
    price: Decimal | None = None
    amount: Decimal | None = None
    funds: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """Terms that fit the market: what to lock, and the worst price to trade at."""

    terms: Terms
    price_limit: Decimal
    locks: Decimal
    currency: str


def place(
    *,
    member: Member,
    market_id: str,
    terms: Terms,
    source: str,
    now: datetime,
    client_id: str | None = None,
) -> Order:
    """
    Take an order: lock its funds, write it down, and send it to the floor after commit.

    The same `client_id` with the same terms returns the order already placed; with
    different terms it raises ClientIdTaken.

    Raises UnknownMarket, BadTerms, PriceOffTick, AmountOffLot, BelowMinimum,
    AboveMaximum, NotDeepEnough, MarketHalted, MemberMayNotTrade, TooManyOrders,
    InsufficientFunds; none of them changes anything.
    """
    _demand_client_id(client_id)
    _demand_form(terms)
    market = market_of(market_id)
    if client_id and (known := _known(member, client_id)):
        return _same(known, market, terms)
    checked = _check(market, terms)
    try:
        with transaction():
            order = _take(member, market, checked, client_id, source, now)
            after_commit(lambda: feed.placed(order))
    except IntegrityError:
        known = _known(member, client_id) if client_id else None
        if known is None:
            raise
        return _same(known, market, terms)
    return order


def cancel(*, member: Member, order_id: int, now: datetime) -> Order:
    """
    Ask for an order to be cancelled; the engine decides whether it was still in time.

    The wish is written on the order's row first, so that it cannot be lost. Asking
    again, or for an order already closed, changes nothing. Raises UnknownOrder.
    """
    cancelled = _request_cancels(now, member_id=member.pk, id=order_id)
    if cancelled:
        return cancelled[0]
    found = order_of(member, order_id)
    if found is None:
        raise UnknownOrder
    return found


def cancel_all(
    *,
    member: Member,
    now: datetime,
    market_id: str | None = None,
    side: str | None = None,
) -> list[Order]:
    """
    Ask for all of a member's live orders to be cancelled, in one market and on one side
    where given. Returns the orders concerned, oldest first.
    """
    only = {"market_id": market_id, "side": side}
    wanted = {name: value for name, value in only.items() if value is not None}
    return _request_cancels(now, member_id=member.pk, **wanted)


def _request_cancels(now: datetime, **which: Any) -> list[Order]:
    with transaction():
        orders = lock_live(**which)
        fresh = [order for order in orders if order.cancel_requested_at is None]
        Order.objects.filter(pk__in=[order.pk for order in fresh]).update(
            cancel_requested_at=now
        )
        after_commit(lambda: feed.cancels_requested(orders))
    return orders


def lock_live(**which: Any) -> list[Order]:
    """Lock live orders, by id, until the transaction ends."""
    live = Order.objects.filter(state__in=Order.LIVE, **which).order_by("pk")
    return list(live.select_for_update(no_key=True, of=("self",)))


def _demand_client_id(client_id: str | None) -> None:
    if client_id is not None and not CLIENT_ID.fullmatch(client_id):
        raise BadTerms("A client id is 1 to 64 printable characters without blanks.")


def _known(member: Member, client_id: str) -> Order | None:
    mine = Order.objects.filter(member_id=member.pk, client_id=client_id)
    return mine.order_by("pk").first()


def _same(order: Order, market: Market, terms: Terms) -> Order:
    """Return the order when these were its terms; a retry is not a second order."""
    before = Terms(order.side, order.kind, order.price, order.amount, order.funds)
    if (order.market_id, before) != (market.pk, terms):
        raise ClientIdTaken(order_id=order.pk)
    return order


def _check(market: Market, terms: Terms) -> _Checked:
    """Hold the terms against the market's grid and minimums."""
    grid = Grid.of(market)
    if terms.kind == Order.Kind.LIMIT:
        assert terms.price is not None  # noqa: S101  _demand_form saw to it
        limit = terms.price
    else:
        limit = _collar(market, terms)
    ticks = grid.ticks(limit)
    if terms.funds is not None:
        _demand_scale(terms.funds, market)
        worth = locks = terms.funds
        if not grid.budget(worth):
            raise _below(grid.unit, market.quote_id, "notional")
    else:
        assert terms.amount is not None  # noqa: S101
        lots = grid.lots(terms.amount)
        if terms.amount < market.amount_min:
            raise _below(market.amount_min, market.base_id, "amount")
        worth = grid.funds(_within_bounds(ticks * lots))
        locks = worth if terms.side == Side.BUY else terms.amount
    if worth < market.notional_min:
        raise _below(market.notional_min, market.quote_id, "notional")
    currency = market.quote_id if terms.side == Side.BUY else market.base_id
    return _Checked(terms, limit, locks, currency)


def _demand_form(terms: Terms) -> None:
    if terms.side not in Side.values:
        raise BadTerms("The side is buy or sell.")
    sizes = [size for size in (terms.amount, terms.funds) if size is not None]
    if terms.kind == Order.Kind.LIMIT:
        if terms.price is None or terms.amount is None or terms.funds is not None:
            raise BadTerms("A limit order has a price and an amount.")
    elif terms.kind == Order.Kind.MARKET:
        if terms.price is not None:
            raise BadTerms("A market order has no price.")
        if len(sizes) != 1 or (terms.funds is not None and terms.side != Side.BUY):
            raise BadTerms("A market order has an amount, or to buy, funds to spend.")
    else:
        raise BadTerms("The kind is limit or market.")
    for value in (terms.price, *sizes):
        if value is not None:
            _demand_sane(value)


def _demand_sane(value: Decimal) -> None:
    """Whoever calls: nothing that money.parse would refuse, so that sums stay exact."""
    if not (value.is_finite() and value > 0):
        raise BadTerms("Price and size must be greater than zero.")
    if value >= 10**20:
        raise AboveMaximum
    if int(value.as_tuple().exponent) < -18:
        raise BadTerms("Price and size have at most 18 digits after the point.")


def _demand_scale(funds: Decimal, market: Market) -> None:
    if not money.is_multiple(funds, market.quote.unit):
        raise BadTerms(f"{market.quote_id.upper()} has {market.quote.scale} digits.")


def _below(minimum: Decimal, currency: str, of: str) -> BelowMinimum:
    return BelowMinimum(
        f"The smallest order here is {plain(minimum)} {currency.upper()}.",
        minimum=plain(minimum),
        of=of,
    )


def _within_bounds(units: int) -> int:
    if units > UNITS_MAX:
        raise AboveMaximum
    return units


def _collar(market: Market, terms: Terms) -> Decimal:
    """
    Return the worst price a market order may trade at: the best opposite price, moved
    by the market's collar and rounded to the tick nearer to that best price.
    """
    best = _best_opposite(market, terms.side)
    if best is None:
        raise NotDeepEnough
    with localcontext(EXACT):
        if terms.side == Side.BUY:
            return money.round_down(best * (1 + market.collar), market.tick)
        return money.round_up(best * (1 - market.collar), market.tick)


def _best_opposite(market: Market, side: str) -> Decimal | None:
    opposite, order = (Side.SELL, "price") if side == Side.BUY else (Side.BUY, "-price")
    book = Order.objects.filter(
        market_id=market.pk, side=opposite, state=Order.State.OPEN
    )
    return book.order_by(order).values_list("price", flat=True).first()


# Note [One statement takes an order]: `wanted` is empty when the market is halted or
# the member frozen, `held` when the funds are short, `counted` when the cap is reached;
# each later part selects from the one before, which also fixes the order of the locks:
# balance first, counter after.
_TAKE = f"""
WITH wanted AS MATERIALIZED (
    SELECT nextval('markets_order_id_seq') AS id, account.id AS account_id,
        %(locks)s::numeric AS amount, %(now)s::timestamptz AS at
    FROM markets_market AS market, accounts_member AS member, wallets_account AS account
    WHERE market.id = %(market)s AND market.state = 'open'
        AND member.id = %(member)s AND member.state = 'active'
        AND account.member_id = member.id AND account.currency_id = %(currency)s
), noted_wanted AS (
    SELECT *, 'order:' || id AS reference FROM wanted
), {ledger.locking(wanted="noted_wanted", reason=Reason.ORDER_PLACED)}
, counted AS (
    INSERT INTO markets_openorders AS open_orders (member_id, market_id, count)
    SELECT %(member)s, %(market)s, 1 FROM held
    ON CONFLICT (member_id, market_id) DO UPDATE SET count = open_orders.count + 1
        WHERE open_orders.count < %(cap)s
    RETURNING count
), taken AS (
    INSERT INTO markets_order (id, market_id, member_id, side, kind, price, price_limit,
        amount, funds, locked_at_first, locked, filled, funds_used, fees, trades_count,
        state, client_id, source, created_at, updated_at)
    SELECT wanted.id, %(market)s, %(member)s, %(side)s, %(kind)s, %(price)s,
        %(price_limit)s, %(amount)s, %(funds)s, %(locks)s, %(locks)s, 0, 0, 0, 0,
        'pending', %(client_id)s, %(source)s, %(now)s, %(now)s
    FROM wanted, counted
    RETURNING id
)
SELECT taken.id, held.available, held.locked FROM taken, held
"""


def _take(  # noqa: PLR0917  one caller, one statement
    member: Member,
    market: Market,
    checked: _Checked,
    client_id: str | None,
    source: str,
    now: datetime,
) -> Order:
    terms = checked.terms
    order = Order(
        market=market,
        member_id=member.pk,
        side=terms.side,
        kind=terms.kind,
        price=terms.price,
        price_limit=checked.price_limit,
        amount=terms.amount,
        funds=terms.funds,
        locked_at_first=checked.locks,
        locked=checked.locks,
        client_id=client_id,
        source=source,
        created_at=now,
        updated_at=now,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "market": market.pk,
                "member": member.pk,
                "currency": checked.currency,
                "cap": market.open_orders_max,
                "locks": checked.locks,
                "side": terms.side,
                "kind": terms.kind,
                "price": terms.price,
                "price_limit": checked.price_limit,
                "amount": terms.amount,
                "funds": terms.funds,
                "client_id": client_id,
                "source": source,
                "now": now,
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise _refusal(member, market, checked)
    order.pk = row[0]
    return order


def _refusal(member: Member, market: Market, checked: _Checked) -> Exception:
    """The statement touched no row: look once for the reason."""
    fresh = Market.objects.get(pk=market.pk)
    if fresh.state != Market.State.OPEN:
        return MarketHalted(market=market.pk)
    if not Member.objects.get(pk=member.pk).may_trade:
        return MemberMayNotTrade()
    mine = OpenOrders.objects.filter(member_id=member.pk, market_id=market.pk)
    if sum(mine.values_list("count", flat=True)) >= market.open_orders_max:
        return TooManyOrders(
            f"You have {market.open_orders_max} open orders here, which is the most"
            " this market allows. Cancel one first.",
            maximum=market.open_orders_max,
        )
    # After the cap: where the cap refused, this transaction has the funds locked.
    held = balance(member.pk, checked.currency)
    if held.available < checked.locks:
        return InsufficientFunds(
            f"This order needs {plain(checked.locks)} {checked.currency.upper()};"
            f" you have {plain(held.available)} available.",
            currency=checked.currency,
            needed=plain(checked.locks),
            available=plain(held.available),
        )
    return Busy()  # it was so a moment ago, and is not any more
