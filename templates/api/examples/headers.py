"""The same, signed by headers: what is signed is the request as it is sent."""

import hashlib
import hmac
import json
import os
import secrets
import time
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

URL = os.environ.get("PIXIU_URL", "http://127.0.0.1:8000")


def call(verb, path, **params):
    """Send a GET with a query, a POST with JSON; return what is answered."""
    query = urlencode(params) if verb == "GET" else ""
    body = b"" if verb == "GET" else json.dumps(params).encode()
    headers = {
        "X-Api-Key": os.environ["ACCESS_KEY"],
        "X-Api-Timestamp": str(time.time_ns() // 1_000_000),
        "X-Api-Window": "5000",
        "X-Api-Nonce": secrets.token_urlsafe(16),
    }
    lines = [verb, urlsplit(URL).netloc.lower(), f"/api/v2/{path}", query]
    lines += [hashlib.sha256(body).hexdigest(), *headers.values()]
    secret, text = os.environ["SECRET_KEY"].encode(), "\n".join(lines).encode()
    headers["X-Api-Signature"] = hmac.new(secret, text, hashlib.sha256).hexdigest()
    if body:
        headers["Content-Type"] = "application/json"
    address = f"{URL}/api/v2/{path}" + (f"?{query}" if query else "")
    return read(Request(address, body or None, headers, method=verb))


def read(request):
    try:
        with urlopen(request, timeout=10) as answer:
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
