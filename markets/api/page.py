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

_EXAMPLES = (("shell", "trade.sh"), ("python", "trade.py"), ("javascript", "trade.mjs"))
_NAMES = {"shell": "Shell", "python": "Python", "javascript": "JavaScript"}
# What the parts of an answer look like in life, by name.
_SAMPLES: Json = {
    "id": 71,
    "order_id": 71,
    "tid": 9,
    "seq": 4711,
    "trades_count": 1,
    "date": 1416830001,
    "at": 1416830001,
    "timestamp": 1416830001,
    "created_at": "2014-11-24T11:53:20Z",
    "market": "btccny",
    "name": "BTC/CNY",
    "side": "sell",
    "ord_type": "limit",
    "price": "2955.12",
    "avg_price": "2955.12",
    "volume": "0.11",
    "amount": "0.11",
    "remaining_volume": "0.0",
    "executed_volume": "0.11",
    "funds": "325.0632",
    "state": "done",
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
    "asks": [["2955.2", "0.3"]],
    "bids": [["2950.0", "2.0"]],
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
    ("401", "2006", _later("The tonce was used before.")),
    ("401", "2007", _later("The tonce is more than 30 seconds from our clock.")),
    ("401", "2008", _later("There is no such access key.")),
    ("401", "2009", _later("The member may not use the API.")),
    ("401", "2010", _later("The access key has expired.")),
    ("401", "2011", _later("The key's scopes do not open this.")),
    ("404", "2012", _later("There is no such deposit of yours.")),
    ("503", "2000–2003", _later("Busy or halted: try again; see Retry-After.")),
    ("403", "", _later("In plain text: not from this address.")),
    ("429", "", _later("In plain text: too many requests; see Retry-After.")),
]


@require_safe
@public
def page(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "api/docs.html",
        {
            "examples": [
                {"id": id, "name": _NAMES[id], "file": file, "text": example(file)}
                for id, file in _EXAMPLES
            ],
            "endpoints": [_endpoint(each) for each in described.ENDPOINTS],
            "errors": ERRORS,
            "ws_port": settings.WS_PORT,
            "limit": settings.RATE_LIMIT_PER_KEY,
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
        "answer": json.dumps(_sample("", answer_of(endpoint)), indent=2),
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


def _sample(name: str, schema: Json) -> Any:
    """Make an answer up from its schema."""
    if "$ref" in schema:
        shape = schema["$ref"].rpartition("/")[2]
        return _sample(shape, described.SHAPES[shape])
    if name in _SAMPLES and schema.get("type") != "null":
        return _SAMPLES[name]
    if name in {"Candles", "k"}:
        return [_CANDLE]
    kind = schema["type"]
    if "array" in kind:
        return [_sample("", schema["items"])]
    if "object" in kind and "properties" in schema:
        return {key: _sample(key, each) for key, each in schema["properties"].items()}
    if "object" in kind:
        return {"btccny": _sample("", schema["additionalProperties"])}
    if "null" in kind:
        return None
    return {"string": "", "integer": 1416830001, "boolean": True}[kind]
