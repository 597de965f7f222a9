"""Place an order, look at it, and cancel it: the standard library is all it takes."""

import hashlib
import hmac
import json
import os
import time
from urllib.error import HTTPError
from urllib.parse import quote_plus
from urllib.request import urlopen

URL = os.environ.get("PIXIU_URL", "http://127.0.0.1:8000")
last_tonce = 0


def call(verb, path, **params):
    """Sign the parameters in the order of their names; return what is answered."""
    global last_tonce
    last_tonce = max(last_tonce + 1, time.time_ns() // 1_000_000)
    params |= {"access_key": os.environ["ACCESS_KEY"], "tonce": last_tonce}
    pairs = [pair for name in sorted(params) for pair in flat(name, params[name])]
    text = "&".join(f"{name}={value}" for name, value in pairs)
    secret = os.environ["SECRET_KEY"].encode()
    message = f"{verb}|/api/v2/{path}|{text}".encode()
    pairs.append(("signature", hmac.new(secret, message, hashlib.sha256).hexdigest()))
    query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    if verb == "GET":
        return read(f"{URL}/api/v2/{path}?{query}")
    return read(f"{URL}/api/v2/{path}", query.encode())


def flat(name, value):
    """Write a list of orders as orders[][price]=..., sorted within each order."""
    if not isinstance(value, list):
        return [(name, str(value))]
    return [
        (f"{name}[][{key}]", str(item[key])) for item in value for key in sorted(item)
    ]


def read(url, body=None):
    try:
        with urlopen(url, body, timeout=10) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise SystemExit(f"{error.code}: {error.read().decode()}") from None


print("Ticker:", read(f"{URL}/api/v2/tickers/btccny"))
print("Me:", call("GET", "members/me"))

terms = {"side": "sell", "volume": "0.01"}
order = call("POST", "orders", market="btccny", price="700000", **terms)
print("Placed:", order)
print("Found:", call("GET", "order", id=order["id"]))
print("Cancelled:", call("POST", "order/delete", id=order["id"]))

both = [{**terms, "price": "700001"}, {**terms, "price": "700002"}]
print("Both:", call("POST", "orders/multi", market="btccny", orders=both))
