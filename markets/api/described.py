"""
What each endpoint of REST v2 takes and answers: the one description from which the
OpenAPI and swagger documents and the page are made.

Shapes are written as JSON Schema, since the endpoints read and write by hand. Texts are
English here, as in the documents; the page translates them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from django.utils.translation import gettext_noop as _

from accounts.api.views import ApiView
from markets.api import market_data, members, orders
from markets.candles import PERIODS
from markets.models import Order, Side
from wallets.api import deposits, statement, transfers, withdraws
from wallets.models.withdrawals import Beneficiary

Json = dict[str, Any]

CHANGE: Json = {"type": "string", "pattern": r"^-?\d+\.\d+$"}
AMOUNT: Json = {"type": "string", "pattern": r"^\d+\.\d+$"}
ID: Json = {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
COUNT: Json = {"type": "integer", "minimum": 0}
SECONDS: Json = {"type": "integer", "description": "Unix time"}
MOMENT: Json = {"type": "string", "format": "date-time"}
TEXT: Json = {"type": "string"}
SEQ: Json = {
    "type": "integer",
    "minimum": 0,
    "description": "the market's sequence number, as its stream counts",
}
SIDE: Json = {"type": "string", "enum": Side.values}


def _maybe(schema: Json) -> Json:
    kind = schema["type"]
    return schema | {"type": [kind, "null"]}


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_TICKER = _object(
    at=SECONDS,
    ticker=_object(
        **dict.fromkeys(("buy", "sell", "low", "high", "last", "vol"), AMOUNT)
    ),
)
_BOOK_ORDER: dict[str, Json] = {
    "id": ID,
    "side": SIDE,
    "ord_type": {"type": "string", "enum": Order.Kind.values},
    "price": _maybe(AMOUNT),
    "avg_price": AMOUNT,
    "state": {"type": "string", "enum": ["wait", "done", "cancel"]},
    "market": TEXT,
    "created_at": MOMENT,
    "volume": AMOUNT,
    "remaining_volume": AMOUNT,
    "executed_volume": AMOUNT,
    "trades_count": COUNT,
}
_ORDER = _BOOK_ORDER | {"client_id": _maybe(TEXT)}
_TRADE: dict[str, Json] = {
    "id": ID,
    "price": AMOUNT,
    "volume": AMOUNT,
    "funds": AMOUNT,
    "market": TEXT,
    "created_at": MOMENT,
}
_LEVELS = _list({"type": "array", "items": AMOUNT, "minItems": 2, "maxItems": 2})
_CANDLES = _list(
    {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 6,
        "maxItems": 6,
        "description": "seconds, open, high, low, close, volume",
    }
)

SHAPES: dict[str, Json] = {
    "Market": _object(id=TEXT, name=TEXT),
    "Ticker": _TICKER,
    "Tickers": {"type": "object", "additionalProperties": _ref("Ticker")},
    "Depth": _object(timestamp=SECONDS, asks=_LEVELS, bids=_LEVELS, seq=SEQ),
    "OrderBook": _object(
        asks=_list(_ref("BookOrder")), bids=_list(_ref("BookOrder")), seq=SEQ
    ),
    "BookOrder": _object(**_BOOK_ORDER),
    "Order": _object(**_ORDER),
    "OrderWithTrades": _object(**_ORDER, trades=_list(_object(**_TRADE, side=SIDE))),
    "PublicTrade": _object(**_TRADE, side={"type": "null"}, taker_side=SIDE),
    "OwnTrade": _object(
        **_TRADE, side={"type": "string", "enum": ["ask", "bid"]}, order_id=ID
    ),
    "Candles": _CANDLES,
    "CandlesWithPendingTrades": _object(
        k=_CANDLES,
        trades=_list(
            _object(
                tid=ID,
                type={"type": "string", "enum": ["buy", "sell"]},
                date=SECONDS,
                price=AMOUNT,
                amount=AMOUNT,
            )
        ),
    ),
    "Member": _object(
        sn=TEXT,
        name=_maybe(TEXT),
        email=TEXT,
        activated={"type": "boolean"},
        accounts=_list(_object(currency=TEXT, balance=AMOUNT, locked=AMOUNT)),
    ),
    "Deposit": _object(
        id=ID,
        currency=TEXT,
        amount=AMOUNT,
        fee=AMOUNT,
        txid=TEXT,
        created_at=MOMENT,
        confirmations=_maybe(TEXT),
        done_at=_maybe(MOMENT),
        state={"type": "string", "enum": list(deposits.STATES)},
    ),
    "DepositAddress": _maybe(_object(address=TEXT)),
    "Address": _object(address=TEXT, is_used={"type": "boolean"}, created_at=MOMENT),
    "Withdraw": _object(
        id=ID,
        currency=TEXT,
        beneficiary=ID,
        destination=TEXT,
        amount=AMOUNT | {"description": "what leaves the balance: net and fee"},
        fee=AMOUNT,
        net=AMOUNT | {"description": "what the beneficiary gets"},
        state={"type": "string", "enum": list(withdraws.STATES)},
        note=TEXT | {"description": "why it was rejected"},
        client_id=_maybe(TEXT),
        txid=_maybe(TEXT),
        confirmations=COUNT,
        created_at=MOMENT,
        updated_at=MOMENT,
    ),
    "Beneficiary": _object(
        id=ID,
        currency=TEXT,
        label=TEXT,
        destination=TEXT,
        bank=TEXT,
        holder=TEXT,
        state={"type": "string", "enum": Beneficiary.State.values},
        usable_from=_maybe(MOMENT),
        created_at=MOMENT,
    ),
    "Entry": _object(
        id=ID,
        at=MOMENT,
        currency=TEXT,
        reason=TEXT,
        reference=TEXT | {"description": "what caused it"},
        available=CHANGE,
        locked=CHANGE,
        available_after=AMOUNT,
        locked_after=AMOUNT,
    ),
    "Transfer": _object(
        id=ID,
        direction={"type": "string", "enum": list(transfers.DIRECTIONS)},
        member=TEXT | {"description": "number of the other member"},
        currency=TEXT,
        amount=AMOUNT,
        note=TEXT,
        client_id=_maybe(TEXT),
        created_at=MOMENT,
    ),
    "Timestamp": SECONDS,
    "Error": _object(
        error={
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": TEXT,
                "index": COUNT | {"description": "which of several orders, from 0"},
            },
            "required": ["code", "message"],
            "additionalProperties": False,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: where it is missing and not required, its default counts."""

    name: str
    schema: Json
    about: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One verb of one path. `answer` names a shape; "[]" behind it means a list."""

    path: str
    view: type[ApiView]
    verb: Literal["get", "post"]
    about: str
    answer: str
    params: tuple[Param, ...] = ()
    # Statuses beyond those that any request may get.
    errors: tuple[int, ...] = ()
    more: str = ""
    in_path: frozenset[str] = field(default_factory=frozenset)

    @property
    def scopes(self) -> tuple[str, ...] | None:
        """The scopes that open it; none named: any key; None: it is public."""
        found = self.view.scopes.get(self.verb.upper())
        return None if found is None else tuple(found)


def _whole(low: int, high: int, default: int | None = None) -> Json:
    schema: Json = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else schema | {"default": default}


def _word(*words: str, default: str = "") -> Json:
    schema: Json = {"type": "string", "enum": list(words)}
    return schema | {"default": default} if default else schema


_NUMBER = _whole(-(10**18) + 1, 10**18 - 1)
_MARKET = Param("market", TEXT | {"example": "btccny"}, _("id of a market"), True)
_ORDER_ID = Param("id", _NUMBER, _("id of one of my orders"), True)
_ORDER_BY = _("by id: asc or desc")
_WINDOW = (
    _MARKET,
    Param("limit", _whole(1, 1000, 50), _("how many")),
    Param("timestamp", _NUMBER, _("only trades up to this second")),
    Param("from", _NUMBER, _("only trades with greater ids")),
    Param("to", _NUMBER, _("only trades with smaller ids")),
    Param("order_by", _word("asc", "desc", default="desc"), _ORDER_BY),
)
_PERIOD: Json = {"type": "integer", "enum": list(PERIODS), "default": 1}
_CANDLE_PARAMS = (
    _MARKET,
    Param(
        "period", {"type": "integer", "enum": list(PERIODS), "default": 1}, _("minutes")
    ),
    Param("limit", _whole(1, 10_000, 30), _("how many")),
    Param("timestamp", _NUMBER, _("begin with the candle of this second")),
)
TERMS = (
    Param("side", SIDE, _("sell or buy"), True),
    Param("volume", TEXT | {"example": "0.11"}, _("a plain decimal, whole lots"), True),
    Param("price", TEXT | {"example": "2955.12"}, _("of limit orders: whole ticks")),
    Param(
        "ord_type",
        _word("limit", "market", default="limit"),
        _("market orders take it"),
    ),
    Param("client_id", TEXT, _("your own name for it: a retry is no second order")),
)
_ORDERS = Param(
    "orders",
    {
        "type": "array",
        "minItems": 1,
        "maxItems": orders.ORDERS_MAX,
        "items": {
            "type": "object",
            "properties": {param.name: param.schema for param in TERMS},
            "required": [param.name for param in TERMS if param.required],
        },
    },
    _("as orders[][side]=…&orders[][volume]=… in a form"),
    True,
)

ENDPOINTS: list[Endpoint] = [
    Endpoint(
        "orders",
        orders.Orders,
        "get",
        _("My orders of a market"),
        "Order[]",
        (
            _MARKET,
            Param("state", _word("wait", "done", "cancel", default="wait"), _("which")),
            Param("limit", _whole(1, 1000, 100), _("how many")),
            Param("page", _NUMBER | {"default": 1}, _("counted from 1")),
            Param("order_by", _word("asc", "desc", default="asc"), _ORDER_BY),
        ),
    ),
    Endpoint(
        "order",
        orders.OneOrder,
        "get",
        _("One of my orders, with its trades"),
        "OrderWithTrades",
        (_ORDER_ID,),
        (404,),
    ),
    Endpoint(
        "orders",
        orders.Orders,
        "post",
        _("Place an order"),
        "Order",
        (_MARKET, *TERMS),
        (409,),
        more=_("It is matched afterwards: the answer says wait."),
    ),
    Endpoint(
        "orders/multi",
        orders.ManyOrders,
        "post",
        _("Place up to 100 orders, all or none"),
        "Order[]",
        (_MARKET, _ORDERS),
        (409,),
    ),
    Endpoint(
        "order/delete",
        orders.DeleteOrder,
        "post",
        _("Cancel an order"),
        "Order",
        (_ORDER_ID,),
        more=_("It is cancelled afterwards; a finished one is answered as it is."),
    ),
    Endpoint(
        "orders/clear",
        orders.ClearOrders,
        "post",
        _("Cancel all my orders, in all markets"),
        "Order[]",
        (Param("side", SIDE, _("only this side")),),
    ),
    Endpoint("markets", market_data.Markets, "get", _("All markets"), "Market[]"),
    Endpoint(
        "tickers",
        market_data.Tickers,
        "get",
        _("24 hours of all markets"),
        "Tickers",
        more=_('An object by market id. "0.0" where nothing is known.'),
    ),
    Endpoint(
        "tickers/{market}",
        market_data.TickerOfMarket,
        "get",
        _("24 hours of one market"),
        "Ticker",
        (_MARKET,),
        (404, 406),
        in_path=frozenset({"market"}),
    ),
    Endpoint(
        "depth",
        market_data.Depth,
        "get",
        _("The book by price levels"),
        "Depth",
        (_MARKET, Param("limit", _whole(1, 1000, 300), _("levels a side"))),
        more=_(
            "The best levels of each side; both lists begin with the highest price."
        ),
    ),
    Endpoint(
        "order_book",
        market_data.OrderBook,
        "get",
        _("The book as orders"),
        "OrderBook",
        (
            _MARKET,
            Param("asks_limit", _whole(1, 200, 20), _("how many asks")),
            Param("bids_limit", _whole(1, 200, 20), _("how many bids")),
        ),
        more=_("One pseudo order a price level: its id is its rank."),
    ),
    Endpoint(
        "trades",
        market_data.Trades,
        "get",
        _("Trades of a market"),
        "PublicTrade[]",
        _WINDOW,
        more=_("side is always null; taker_side says who took."),
    ),
    Endpoint(
        "k",
        market_data.Candles,
        "get",
        _("Candles"),
        "Candles",
        _CANDLE_PARAMS,
        more=_("Oldest first, empty periods filled; weeks begin on Monday, UTC."),
    ),
    Endpoint(
        "k_with_pending_trades",
        market_data.CandlesWithPendingTrades,
        "get",
        _("Candles, and the trades since the last one began"),
        "CandlesWithPendingTrades",
        (
            *_CANDLE_PARAMS,
            Param("trade_id", _NUMBER, _("only trades with smaller ids"), True),
        ),
    ),
    Endpoint(
        "timestamp",
        market_data.Timestamp,
        "get",
        _("Our clock, in seconds"),
        "Timestamp",
    ),
    Endpoint("members/me", members.Me, "get", _("Who I am, and my balances"), "Member"),
    Endpoint(
        "trades/my",
        market_data.MyTrades,
        "get",
        _("My trades of a market"),
        "OwnTrade[]",
        _WINDOW,
    ),
    Endpoint(
        "deposits",
        deposits.Deposits,
        "get",
        _("My deposits, newest first"),
        "Deposit[]",
        (
            Param("currency", TEXT | {"example": "btc"}, _("only this currency")),
            Param("limit", _whole(1, 100, 3), _("how many")),
            Param("state", _word(*deposits.STATES), _("only this state")),
        ),
    ),
    Endpoint(
        "deposit",
        deposits.OneDeposit,
        "get",
        _("One of my deposits"),
        "Deposit",
        (Param("txid", TEXT, _("id of its transaction"), True),),
        (404,),
    ),
    Endpoint(
        "deposit_address",
        deposits.NewestAddress,
        "get",
        _("Where I may deposit"),
        "DepositAddress",
        (Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),),
        more=_("null where no address was given yet; a POST gives one."),
    ),
    Endpoint(
        "deposit_address",
        deposits.NewestAddress,
        "post",
        _("Have an address to deposit to"),
        "DepositAddress",
        (Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),),
        (503,),
        more=_("The one that was not used yet, where there is one; else a new one."),
    ),
    Endpoint(
        "deposit_addresses",
        deposits.Addresses,
        "get",
        _("My addresses, newest first"),
        "Address[]",
        (Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),),
    ),
    Endpoint(
        "withdraws",
        withdraws.Withdraws,
        "get",
        _("My withdrawals, newest first"),
        "Withdraw[]",
        (
            Param("currency", TEXT | {"example": "btc"}, _("only this currency")),
            Param("state", _word(*withdraws.STATES), _("only this state")),
            Param("limit", _whole(1, 100, 3), _("how many")),
            Param("page", _NUMBER | {"default": 1}, _("counted from 1")),
        ),
    ),
    Endpoint(
        "withdraws",
        withdraws.Withdraws,
        "post",
        _("Withdraw to an entry of my address book"),
        "Withdraw",
        (
            Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),
            Param("beneficiary", _NUMBER, _("id of the entry"), True),
            Param("amount", TEXT | {"example": "0.11"}, _("a plain decimal"), True),
            Param("fee", TEXT, _("the fee you expect: another one is refused")),
            Param(
                "client_id", TEXT, _("your own name for it: a retry pays nothing twice")
            ),
        ),
        (403, 404, 409),
    ),
    Endpoint(
        "withdraw",
        withdraws.OneWithdraw,
        "get",
        _("One of my withdrawals"),
        "Withdraw",
        (Param("id", _NUMBER, _("its id"), True),),
        (404,),
    ),
    Endpoint(
        "withdraw/cancel",
        withdraws.CancelWithdraw,
        "post",
        _("Cancel a withdrawal that nobody prepares yet"),
        "Withdraw",
        (Param("id", _NUMBER, _("its id"), True),),
        (404, 409),
    ),
    Endpoint(
        "beneficiaries",
        withdraws.Beneficiaries,
        "get",
        _("My address book, newest first"),
        "Beneficiary[]",
        (Param("currency", TEXT | {"example": "btc"}, _("only this currency")),),
    ),
    Endpoint(
        "beneficiaries",
        withdraws.Beneficiaries,
        "post",
        _("Add an entry to my address book"),
        "Beneficiary",
        (
            Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),
            Param("label", TEXT, _("how you call it"), True),
            Param("destination", TEXT, _("address or number of the account"), True),
            Param("bank", TEXT, _("only for money")),
            Param("holder", TEXT, _("only for money")),
        ),
        (409, 503),
        more=_("It can be paid once you confirmed it by mail, and it has rested."),
    ),
    Endpoint(
        "beneficiary/remove",
        withdraws.RemoveBeneficiary,
        "post",
        _("Remove an entry from my address book"),
        "Beneficiary",
        (Param("id", _NUMBER, _("its id"), True),),
        (404,),
    ),
    Endpoint(
        "account/entries",
        statement.Entries,
        "get",
        _("What moved in and out of my balance, with the balance after it"),
        "Entry[]",
        (
            Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),
            Param("limit", _whole(1, 1000, 100), _("how many")),
            Param("before", _NUMBER, _("only what is older than this id")),
        ),
    ),
    Endpoint(
        "transfers",
        transfers.Transfers,
        "get",
        _("What I sent to members and received, newest first"),
        "Transfer[]",
        (
            Param("currency", TEXT | {"example": "btc"}, _("only this currency")),
            Param("limit", _whole(1, 100, 3), _("how many")),
            Param("page", _NUMBER | {"default": 1}, _("counted from 1")),
        ),
    ),
    Endpoint(
        "transfers",
        transfers.Transfers,
        "post",
        _("Pay a member, at once and without a fee"),
        "Transfer",
        (
            Param("recipient", TEXT, _("member number or e-mail address"), True),
            Param("currency", TEXT | {"example": "btc"}, _("code of a currency"), True),
            Param("amount", TEXT | {"example": "0.11"}, _("a plain decimal"), True),
            Param("note", TEXT, _("the recipient reads it, up to 140 characters")),
            Param(
                "client_id", TEXT, _("your own name for it: a retry pays nothing twice")
            ),
        ),
        (403, 404, 409),
        more=_("It counts for the limits of withdrawals, and cannot be taken back."),
    ),
    Endpoint(
        "transfer",
        transfers.OneTransfer,
        "get",
        _("One transfer of mine"),
        "Transfer",
        (Param("id", _NUMBER, _("its id"), True),),
        (404,),
    ),
]

# In this order they are tried: what is asked for most comes first.
ROUTES: dict[str, type[ApiView]] = {each.path: each.view for each in ENDPOINTS}


def answer_of(endpoint: Endpoint) -> Json:
    """Return the schema of an endpoint's answer."""
    name, is_list = endpoint.answer.removesuffix("[]"), endpoint.answer.endswith("[]")
    return _list(_ref(name)) if is_list else _ref(name)
