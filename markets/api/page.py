"""The page that people read of REST v2, made of what the documents are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later
from django.views.decorators.http import require_safe

from accounts.views.doors import public
from markets.api import described
from markets.api.described import Endpoint, Json, Param, answer_of

_EXAMPLES = {
    "shell": ("trade.sh", "Shell"),
    "python": ("trade.py", "Python"),
    "javascript": ("trade.mjs", "JavaScript"),
    "headers": ("headers.py", _later("Python, by headers")),
}
# What the parts of an answer look like in life, by name; where a shape has its own,
# by shape and name.
_SAMPLES: Json = {
    "id": 71,
    "Market.id": "btccny",
    "Market.name": "BTC/CNY",
    "Deposit.id": 3,
    "PublicTrade.id": 9,
    "OwnTrade.id": 9,
    "trades.id": 9,
    "BookOrder.id": 1,
    "order_id": 71,
    "tid": 9,
    "seq": 4711,
    "trades_count": 0,
    "OrderWithTrades.trades_count": 1,
    "date": 1416830001,
    "at": 1416830001,
    "timestamp": 1416830001,
    "created_at": "2014-11-24T11:53:20Z",
    "market": "btccny",
    "name": None,
    "side": "sell",
    "OwnTrade.side": "ask",
    "ord_type": "limit",
    "price": "2955.12",
    "avg_price": "0.0",
    "OrderWithTrades.avg_price": "2955.12",
    "volume": "0.11",
    "amount": "0.11",
    "remaining_volume": "0.11",
    "OrderWithTrades.remaining_volume": "0.0",
    "executed_volume": "0.0",
    "OrderWithTrades.executed_volume": "0.11",
    "funds": "325.0632",
    "state": "wait",
    "OrderWithTrades.state": "done",
    "Deposit.state": "accepted",
    "Deposit.fee": "0.0",
    "Deposit.confirmations": "6",
    "Deposit.done_at": "2014-11-24T12:53:20Z",
    "Transfer.id": 5,
    "Withdraw.id": 9,
    "Withdraw.state": "done",
    "Withdraw.amount": "0.5",
    "Withdraw.fee": "0.001",
    "Withdraw.confirmations": 6,
    "Withdraw.note": "",
    "Beneficiary.id": 3,
    "Beneficiary.state": "confirmed",
    "beneficiary": 3,
    "destination": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "net": "0.499",
    "label": "my own wallet",
    "bank": "",
    "holder": "",
    "usable_from": "2014-11-25T11:53:20Z",
    "updated_at": "2014-11-24T12:03:20Z",
    "is_used": True,
    "Entry.at": "2014-11-24T11:53:20Z",
    "reason": "order_placed",
    "reference": "order:7",
    "available": "-0.5",
    "Entry.locked": "0.5",
    "available_after": "9.5",
    "locked_after": "0.5",
    "direction": "sent",
    "member": "PEALRH5VKHGTIO",
    "note": "rent",
    "txid": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    "address": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "client_id": None,
    "taker_side": "buy",
    "type": "buy",
    "buy": "2950.0",
    "sell": "2955.2",
    "low": "2890.0",
    "high": "3001.0",
    "last": "2955.12",
    "vol": "412.2101",
    "currency": "btc",
    "balance": "1.5",
    "locked": "0.11",
    "sn": "PEA5TFFOGQHTIO",
    "email": "bob@example.com",
    "Depth.asks": [["2955.2", "0.3"]],
    "Depth.bids": [["2950.0", "2.0"]],
}
_CANDLE = [1416829800, 2955.0, 2955.12, 2955.0, 2955.12, 0.11]

ERRORS = [
    (
        "400",
        "1001",
        _later("Parameters are missing or malformed: all are named."),
    ),
    ("400", "2002", _later("The order was not taken; the reason follows.")),
    ("409", "2002", _later("The client id belongs to an order of other terms.")),
    ("400", "2003", _later("There is no such order of yours to cancel.")),
    ("404", "2004", _later("There is no such order of yours.")),
    (
        "401",
        "2001",
        _later("A private call without access_key, tonce, signature."),
    ),
    ("401", "2005", _later("The signature is wrong.")),
    ("401", "2006", _later("The tonce or the nonce was used before.")),
    (
        "401",
        "2007",
        _later("The tonce or the timestamp is too far from our clock, which is told."),
    ),
    ("401", "2008", _later("There is no such access key.")),
    ("401", "2009", _later("The member may not use the API.")),
    ("401", "2010", _later("The access key has expired.")),
    ("401", "2011", _later("The key's scopes do not open this.")),
    ("404", "2012", _later("There is no such deposit of yours.")),
    ("404", "2013", _later("There is no such transfer of yours.")),
    ("404", "2014", _later("There is no such withdrawal of yours.")),
    ("404", "2015", _later("There is no such entry in your address book.")),
    ("503", "2000–2003", _later("Busy or halted: try again; see Retry-After.")),
    ("403", "", _later("In plain text: not from this address.")),
    ("429", "", _later("In plain text: too many requests; see Retry-After.")),
]


# Of the way by headers, under the secret "yyy": lines that are signed, and signature.
VECTORS = [
    (
        (
            *("GET", "exchange.example", "/api/v2/members/me", ""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            *("xxx", "1795514400400", "5000", "0123456789abcdef"),
        ),
        "68d571d2617b3a79d338f9ab575e2474e35f48f0f7c787136bd21fd641ca7eda",
    ),
    (
        (
            *("POST", "exchange.example", "/api/v2/orders", ""),
            "b60c9b65e742d4f7ef66fa66423dba9dfdcc90ba5cf142968698be96a056b9e2",
            *("xxx", "1795514400400", "5000", "0123456789abcdef"),
        ),
        "a365c52549935501d0061f8d70e5aa624a5a2a45a942065e728b96bc46aed9cb",
    ),
]


@require_safe
@public
def page(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "api/docs.html",
        {
            "examples": [
                {"id": id, "name": name, "file": file, "text": example(file)}
                for id, (file, name) in _EXAMPLES.items()
            ],
            "endpoints": [_endpoint(each) for each in described.ENDPOINTS],
            "errors": ERRORS,
            "ws_port": settings.WS_PORT,
            "limit": settings.RATE_LIMIT_PER_KEY,
            "member_limit": settings.RATE_LIMIT_PER_MEMBER,
            "vectors": [("\n".join(lines), each) for lines, each in VECTORS],
        },
    )


def example(file: str) -> str:
    """Return an example's text, byte for byte as it can be run."""
    folder = Path(settings.BASE_DIR) / "templates" / "api" / "examples"
    return (folder / file).read_text()


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": f"{endpoint.verb}-{endpoint.path}".replace("/", "-").strip("{}"),
        "verb": endpoint.verb.upper(),
        "path": f"/api/v2/{endpoint.path}",
        "about": _(endpoint.about),
        "more": _(endpoint.more) if endpoint.more else "",
        "scopes": _scopes(endpoint),
        "params": [_param(param) for param in endpoint.params],
        "answer": json.dumps(sample(answer_of(endpoint)), indent=2),
        "status": 200 if endpoint.verb == "get" else 201,
    }


def _scopes(endpoint: Endpoint) -> str:
    if endpoint.scopes is None:
        return _("public")
    return " / ".join(endpoint.scopes) or _("any key")


def _param(param: Param) -> dict[str, Any]:
    schema = param.schema
    values = ", ".join(map(str, schema.get("enum", [])))
    if "maximum" in schema and schema["maximum"] < 10**17:
        values = f"{schema['minimum']}–{schema['maximum']}"
    return {
        "name": param.name,
        "type": schema["type"],
        "values": values,
        "default": schema.get("default", ""),
        "required": param.required,
        "about": _(param.about),
    }


def sample(schema: Json, shape: str = "", name: str = "") -> Any:
    """Make an answer up from its schema: of a part, its shape's and its own name."""
    if "$ref" in schema:
        shape = schema["$ref"].rpartition("/")[2]
        return sample(described.SHAPES[shape], shape)
    if schema.get("type") == "null":
        return None
    for known in (f"{shape}.{name}", name):
        if known in _SAMPLES:
            return _SAMPLES[known]
    if "Candles" in shape and name in {"", "k"} and "items" in schema:
        return [_CANDLE]
    kind = schema["type"]
    if "array" in kind:
        # What a list holds has no name of its own: trades in an order are trades.
        return [sample(schema["items"], name or shape)]
    if "object" in kind and "properties" in schema:
        parts = schema["properties"].items()
        return {key: sample(each, shape, key) for key, each in parts}
    if "object" in kind:
        return {"btccny": sample(schema["additionalProperties"])}
    return {"string": "", "integer": 1416830001, "boolean": True}[kind]
