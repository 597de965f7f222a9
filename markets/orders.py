"""
Orders: place and cancel.

Taking orders is one SQL statement, for one order as for a hundred: set the funds aside,
count the orders against the member's cap, write them as `pending`, write the entries.
The floor hears of them after commit; if nobody tells it, the sweeper does. An order
never reaches the floor without its funds behind it.

What happens to an order afterwards is settlement's business alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from functools import cache, partial
from typing import Any, Literal

from django.db import DataError, IntegrityError, connection
from django.db.models import F, QuerySet, Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models.members import Member
from accounts.standing import AddressNotConfirmed
from exchange.lib import money
from exchange.lib.columns import column
from exchange.lib.errors import (
    Busy,
    Conflict,
    ExchangeError,
    Invalid,
    NotAllowed,
    NotFound,
    Refused,
)
from exchange.lib.money import EXACT, ZERO, plain
from exchange.lib.prepared import Statement
from exchange.lib.transactions import after_commit, statement, transaction
from markets import feed
from markets.models import Market, OpenOrders, Order, Side
from markets.queries import market_of, order_of, remembered_market
from markets.units import UNITS_MAX, AboveMaximum, Grid
from wallets import ledger
from wallets.ledger import InsufficientFunds, Reason
from wallets.queries import balance

_SIDES = frozenset(Side.values)
# After the point. No step is finer than 18, so that more are off it, whatever they are;
# up to here it can still be said by how much.
DIGITS_MAX = 40
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
    text = _("This market is halted. You can cancel orders, but not place new ones.")


class MemberMayNotTrade(NotAllowed):
    """The member is frozen."""

    code = "member_may_not_trade"
    text = _("Your account may not trade at the moment. Please write to support.")


class TooManyOrders(Refused):
    """The member's open orders in this market reach the market's cap."""

    code = "too_many_open_orders"


class NotDeepEnough(Refused):
    """A market order found nobody on the other side."""

    code = "market_not_deep_enough"
    text = _("There is nobody on the other side at the moment.")


class TooLargeForBook(Refused):
    """A market order would have to trade further from the best price than it may."""

    code = "market_order_too_large"
    text = _("This order is too large for what is on the other side at fair prices.")


class ClientIdTaken(Conflict):
    """The client id was used before, for an order of other terms."""

    code = "client_id_taken"
    text = _("You used this client id for another order already.")


class UnknownOrder(NotFound):
    """There is no such order of this member."""

    code = "unknown_order"
    text = _("You have no such order.")


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
class Wish:
    """
    An order that a member wants placed, and the member's own name for it.

    A market order that `needs_depth` is refused when the book, as it is now, could not
    fill it within its collar: a program wants to know before, not after.
    """

    terms: Terms
    client_id: str | None = None
    needs_depth: bool = False


@dataclass(frozen=True, slots=True)
class _Checked:
    """A wish that fits the market: what to lock, and the worst price to trade at."""

    wish: Wish
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
    """Take one order; as place_all, which says what is raised."""
    wish = Wish(terms, client_id)
    placed = place_all(
        member=member, market_id=market_id, wishes=[wish], source=source, now=now
    )
    return placed[0]


def place_all(
    *,
    member: Member,
    market_id: str,
    wishes: Sequence[Wish],
    source: str,
    now: datetime,
) -> list[Order]:
    """
    Take orders of one market, all or none: lock their funds, write them down, and send
    them to the floor after commit, in the order given.

    The same client ids with the same terms return the orders already placed; with other
    terms, or when only some were used before, ClientIdTaken is raised.

    Raises UnknownMarket, BadTerms, PriceOffTick, AmountOffLot, BelowMinimum,
    AboveMaximum, NotDeepEnough, TooLargeForBook, MarketHalted, MemberMayNotTrade,
    AddressNotConfirmed, TooManyOrders, InsufficientFunds; none of them changes
    anything. Of several wishes, an error that is about one of them says which in the
    fact `index`.
    """
    for index, wish in enumerate(wishes):
        with _at(index, wishes):
            _demand_client_id(wish.client_id)
            _demand_form(wish.terms)
    market = remembered_market(market_id)
    try:
        return _place_in(market, member, wishes, source, now)
    except ExchangeError:
        fresh = market_of(market_id)
        if fresh.version == market.version:
            raise
        return _place_in(fresh, member, wishes, source, now)


def _place_in(
    market: Market,
    member: Member,
    wishes: Sequence[Wish],
    source: str,
    now: datetime,
) -> list[Order]:
    """Place in a market of this version; nothing is taken where it has changed."""
    if known := _known(member, wishes):
        return _same(known, market, wishes)
    checked = _check_all(market, wishes)
    currencies = {wanted.currency for wanted in checked}
    try:
        if len(currencies) == 1:
            with statement():
                orders = _take(member, market, checked, source, now)
        else:
            with transaction():
                ledger.lock(member_id=member.pk, currencies=currencies)
                orders = _take(member, market, checked, source, now)
    except IntegrityError:
        if known := _known(member, wishes):
            return _same(known, market, wishes)
        raise
    except _NothingTaken:
        raise _refusal(member, market, checked) from None
    feed.placed(orders)
    return orders


@contextmanager
def _at(index: int, wishes: Sequence[Wish]) -> Iterator[None]:
    """Say of an error which of several wishes it is about."""
    try:
        yield
    except ExchangeError as error:
        if len(wishes) > 1:
            error.facts["index"] = index
        raise


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
        raise BadTerms(_("A client id is 1 to 64 printable characters without blanks."))


def _known(member: Member, wishes: Sequence[Wish]) -> dict[str | None, Order]:
    """Return the member's orders that were placed under these client ids."""
    ids = [wish.client_id for wish in wishes if wish.client_id is not None]
    if len(set(ids)) < len(ids):
        raise BadTerms(_("Each order needs a client id of its own."))
    if not ids:
        return {}
    mine = Order.objects.filter(member_id=member.pk, client_id__in=ids)
    return {order.client_id: order for order in mine}


def _same(
    known: Mapping[str | None, Order], market: Market, wishes: Sequence[Wish]
) -> list[Order]:
    """Return the orders when these were their terms; a retry is not a second order."""
    orders = []
    for index, wish in enumerate(wishes):
        with _at(index, wishes):
            order = known.get(wish.client_id)
            if order is None:
                raise ClientIdTaken(_("Some of these orders were placed before."))
            if not _is_as_wished(order, market, wish):
                raise ClientIdTaken(order_id=order.pk)
        orders.append(order)
    return orders


def _is_as_wished(order: Order, market: Market, wish: Wish) -> bool:
    before = Terms(order.side, order.kind, order.price, order.amount, order.funds)
    return (order.market_id, before) == (market.pk, wish.terms)


def _check_all(market: Market, wishes: Sequence[Wish]) -> list[_Checked]:
    checked = []
    collar = cache(partial(_collar, market))  # one look at the book for each side
    for index, wish in enumerate(wishes):
        with _at(index, wishes):
            checked.append(_check(market, wish, collar))
            if wish.needs_depth and wish.terms.kind == Order.Kind.MARKET:
                _demand_depth(market, wish.terms, checked[-1].price_limit)
    return checked


def _demand_depth(market: Market, terms: Terms, limit: Decimal) -> None:
    """Raise unless what rests on the other side, down to the limit, is enough."""
    is_buy = terms.side == Side.BUY
    fair = {"price__lte" if is_buy else "price__gte": limit}
    opposite = Order.objects.filter(
        market_id=market.pk,
        side=Side.SELL if is_buy else Side.BUY,
        state=Order.State.OPEN,
    )
    wanted = terms.amount or ZERO
    if _depth(opposite.filter(**fair)) >= wanted:
        return
    raise TooLargeForBook if _depth(opposite) >= wanted else NotDeepEnough


def _depth(orders: QuerySet[Order]) -> Decimal:
    found = orders.aggregate(depth=Sum(F("amount") - F("filled")))["depth"]
    return ZERO if found is None else Decimal(found)


def _check(market: Market, wish: Wish, collar: Callable[[str], Decimal]) -> _Checked:
    """Hold the terms against the market's grid and minimums."""
    grid, terms = Grid.of(market), wish.terms
    limit = collar(terms.side) if terms.price is None else terms.price
    ticks = grid.ticks(limit)
    if terms.funds is not None:
        _demand_scale(terms.funds, market)
        worth = locks = terms.funds
        if not grid.budget(worth):
            raise _below(grid.unit, market.quote_id, "notional")
    else:
        assert terms.amount is not None  # noqa: S101  _demand_form saw to it
        lots = grid.lots(terms.amount)
        if terms.amount < market.amount_min:
            raise _below(market.amount_min, market.base_id, "amount")
        worth = grid.funds(_within_bounds(ticks * lots))
        locks = worth if terms.side == Side.BUY else terms.amount
    if worth < market.notional_min:
        raise _below(market.notional_min, market.quote_id, "notional")
    currency = market.quote_id if terms.side == Side.BUY else market.base_id
    return _Checked(wish, limit, locks, currency)


def _demand_form(terms: Terms) -> None:
    if terms.side not in _SIDES:
        raise BadTerms(_("The side is buy or sell."))
    sizes = [size for size in (terms.amount, terms.funds) if size is not None]
    if terms.kind == Order.Kind.LIMIT:
        if terms.price is None or terms.amount is None or terms.funds is not None:
            raise BadTerms(_("A limit order has a price and an amount."))
    elif terms.kind == Order.Kind.MARKET:
        if terms.price is not None:
            raise BadTerms(_("A market order has no price."))
        if len(sizes) != 1 or (terms.funds is not None and terms.side != Side.BUY):
            raise BadTerms(
                _("A market order has an amount, or to buy, funds to spend.")
            )
    else:
        raise BadTerms(_("The kind is limit or market."))
    for value in (terms.price, *sizes):
        if value is not None:
            _demand_sane(value)


def _demand_sane(value: Decimal) -> None:
    """Whoever calls: nothing that could not be held against the grid exactly."""
    if not (value.is_finite() and value > 0):
        raise BadTerms(_("Price and size must be greater than zero."))
    if value >= 10**20:
        raise AboveMaximum
    if int(value.as_tuple().exponent) < -DIGITS_MAX:
        facts = {"digits": DIGITS_MAX}
        raise BadTerms(_("Price and size have at most %(digits)s digits.") % facts)


def _demand_scale(funds: Decimal, market: Market) -> None:
    if not money.is_multiple(funds, market.quote.unit):
        facts = {"currency": market.quote_id.upper(), "digits": market.quote.scale}
        raise BadTerms(_("%(currency)s has %(digits)s digits.") % facts)


def _below(minimum: Decimal, currency: str, of: str) -> BelowMinimum:
    facts = {"least": plain(minimum), "currency": currency.upper()}
    return BelowMinimum(
        _("The smallest order here is %(least)s %(currency)s.") % facts,
        minimum=plain(minimum),
        of=of,
    )


def _within_bounds(units: int) -> int:
    if units > UNITS_MAX:
        raise AboveMaximum
    return units


def _collar(market: Market, side: str) -> Decimal:
    """
    Return the worst price a market order may trade at: the best opposite price, moved
    by the market's collar and rounded to the tick nearer to that best price.
    """
    best = _best_opposite(market, side)
    if best is None:
        raise NotDeepEnough
    with localcontext(EXACT):
        if side == Side.BUY:
            return money.round_down(best * (1 + market.collar), market.tick)
        return money.round_up(best * (1 - market.collar), market.tick)


def _best_opposite(market: Market, side: str) -> Decimal | None:
    opposite, order = (Side.SELL, "price") if side == Side.BUY else (Side.BUY, "-price")
    book = Order.objects.filter(
        market_id=market.pk, side=opposite, state=Order.State.OPEN
    )
    return book.order_by(order).values_list("price", flat=True).first()


# Note [One statement takes orders]: `wanted` is empty when the market is halted, or not
# of the version that the orders were checked against, or the member frozen or not yet
# activated; it lacks the orders whose currency the member never had. `held` lacks a
# balance where the funds are short. `counted` is empty when any of these is so, or when
# the cap would be passed, and without it nothing is taken; the division at the end then
# makes it an error, so that nothing stays locked. Each part selects from the one
# before, which also fixes the order of the locks: balances first, counter after.
_TAKE = Statement(
    "take_orders",
    f"""
WITH asked AS MATERIALIZED (
    SELECT nextval('markets_order_id_seq') AS id, asked.*
    FROM unnest(%(currency)s, %(locks)s, %(side)s, %(kind)s, %(price)s,
        %(price_limit)s, %(amount)s, %(funds)s, %(client_id)s)
    WITH ORDINALITY AS asked (currency, locks, side, kind, price, price_limit, amount,
        funds, client_id, place)
), wanted AS MATERIALIZED (
    SELECT asked.id, account.id AS account_id, asked.locks AS amount,
        'order:' || asked.id AS reference, %(now)s AS at
    FROM asked
    JOIN markets_market AS market ON market.id = %(market)s AND market.state = 'open'
        AND market.xmin = %(version)s
    JOIN accounts_member AS member ON member.id = %(member)s
        AND member.state = 'active' AND member.activated_at IS NOT NULL
    JOIN wallets_account AS account ON account.member_id = member.id
        AND account.currency_id = asked.currency
), {ledger.locking(wanted="wanted", reason=Reason.ORDER_PLACED)}
, counted AS (
    INSERT INTO markets_openorders AS open_orders (member_id, market_id, count)
    SELECT %(member)s, %(market)s, %(count)s
    WHERE %(count)s <= %(cap)s AND (SELECT count(*) FROM wanted) = %(count)s
        AND (SELECT count(*) FROM held) = (SELECT count(*) FROM needed)
    ON CONFLICT (member_id, market_id) DO UPDATE
        SET count = open_orders.count + excluded.count
        WHERE open_orders.count + excluded.count <= %(cap)s
    RETURNING count
), taken AS (
    INSERT INTO markets_order (id, market_id, member_id, side, kind, price, price_limit,
        amount, funds, locked_at_first, locked, filled, funds_used, fees, trades_count,
        state, client_id, source, created_at, updated_at)
    SELECT asked.id, %(market)s, %(member)s, asked.side, asked.kind, asked.price,
        asked.price_limit, asked.amount, asked.funds, asked.locks, asked.locks,
        0, 0, 0, 0, 'pending', asked.client_id, %(source)s, %(now)s, %(now)s
    FROM asked, counted
    RETURNING id
)
SELECT array_agg(id ORDER BY id), 1 / count(*) FROM taken
""",
    {
        "market": "text",
        "version": "xid",
        "member": "bigint",
        "count": "integer",
        "cap": "integer",
        "source": "text",
        "now": "timestamptz",
        "currency": "text[]",
        "locks": "numeric[]",
        "side": "text[]",
        "kind": "text[]",
        "price": "numeric[]",
        "price_limit": "numeric[]",
        "amount": "numeric[]",
        "funds": "numeric[]",
        "client_id": "text[]",
    },
)


_DIVISION_BY_ZERO = "22012"


class _NothingTaken(Exception):
    """The statement found something that forbids the orders, and changed nothing."""


def _take(
    member: Member,
    market: Market,
    checked: Sequence[_Checked],
    source: str,
    now: datetime,
) -> list[Order]:
    orders = [_new(member, market, wanted, source, now) for wanted in checked]
    values: dict[str, object] = {
        name: column(getattr(order, name) for order in orders) for name in _OF_AN_ORDER
    }
    values |= {
        "market": market.pk,
        "version": market.version,
        "member": member.pk,
        "count": len(orders),
        "cap": market.open_orders_max,
        "source": source,
        "now": now,
        "currency": column(wanted.currency for wanted in checked),
        "locks": column(wanted.locks for wanted in checked),
    }
    with connection.cursor() as cursor:
        try:
            _TAKE.run(cursor, values)
        except DataError as error:
            if getattr(error.__cause__, "pgcode", None) == _DIVISION_BY_ZERO:
                raise _NothingTaken from error
            raise
        ids = cursor.fetchone()[0]
    # The sequence numbered them in the order asked for.
    for order, id in zip(orders, ids, strict=True):
        order.pk = id
    return orders


_OF_AN_ORDER = ("side", "kind", "price", "price_limit", "amount", "funds", "client_id")


def _new(
    member: Member, market: Market, wanted: _Checked, source: str, now: datetime
) -> Order:
    terms = wanted.wish.terms
    return Order(
        market=market,
        member_id=member.pk,
        side=terms.side,
        kind=terms.kind,
        price=terms.price,
        price_limit=wanted.price_limit,
        amount=terms.amount,
        funds=terms.funds,
        locked_at_first=wanted.locks,
        locked=wanted.locks,
        client_id=wanted.wish.client_id,
        source=source,
        created_at=now,
        updated_at=now,
    )


def _refusal(
    member: Member, market: Market, checked: Sequence[_Checked]
) -> ExchangeError:
    """The statement took nothing: look once for the reason."""
    fresh = Market.objects.get(pk=market.pk)
    if fresh.state != Market.State.OPEN:
        return MarketHalted(market=market.pk)
    if not (current := Member.objects.get(pk=member.pk)).may_trade:
        if current.state == Member.State.ACTIVE:
            return AddressNotConfirmed()
        return MemberMayNotTrade()
    mine = OpenOrders.objects.filter(member_id=member.pk, market_id=market.pk)
    live = sum(mine.values_list("count", flat=True))
    if live + len(checked) > market.open_orders_max:
        return TooManyOrders(
            _(
                "You have %(live)s open orders here, and this market allows"
                " %(most)s. Cancel some first."
            )
            % {"live": live, "most": market.open_orders_max},
            maximum=market.open_orders_max,
        )
    for currency in dict.fromkeys(wanted.currency for wanted in checked):
        held = balance(member.pk, currency)
        mine_of_it = [wanted.locks for wanted in checked if wanted.currency == currency]
        with localcontext(EXACT):
            needed = sum(mine_of_it, ZERO)
        if held.available < needed:
            return InsufficientFunds(
                ngettext(
                    "This order needs %(needed)s; you have %(available)s available.",
                    "These orders need %(needed)s; you have %(available)s available.",
                    len(checked),
                )
                % {
                    "needed": f"{plain(needed)} {currency.upper()}",
                    "available": plain(held.available),
                },
                currency=currency,
                needed=plain(needed),
                available=plain(held.available),
                **_first_short(checked, currency, held.available),
            )
    return Busy()  # it was so a moment ago, and is not any more


def _first_short(
    checked: Sequence[_Checked], currency: str, available: Decimal
) -> dict[str, object]:
    """Say which of several orders was the first that is short, and what it needs."""
    if len(checked) == 1:
        return {}
    left = available
    with localcontext(EXACT):
        for index, wanted in enumerate(checked):
            if wanted.currency == currency:
                left -= wanted.locks
                if left < 0:
                    return {"index": index, "locks": plain(wanted.locks)}
    return {}
