"""
Makes what tests need, through the real operations: members, money, keys, requests,
matches.

Nothing here writes a row itself. The signatures are computed by hand, not by the code
under test, so that client and server cannot be wrong together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import secrets
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from accounts import members, proofs, tokens
from accounts.factors import totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib.money import Money
from exchange.lib.transactions import transaction
from markets import feed
from markets.floor import MarketFloor
from wallets import ledger

# Django's test client adds `.json()` and more to responses; nobody typed that.
Answer = Any

PASSWORD = "correct horse battery staple"

_numbers = itertools.count(1)


def make_member(name: str, *, is_operator: bool = False) -> Member:
    """Let somebody join as NAME@example.com, with PASSWORD."""
    return members.create(
        email=f"{name}@example.com",
        password=PASSWORD,
        is_operator=is_operator,
        now=timezone.now(),
    )


def fund(member: Member, *amounts: str) -> None:
    """Give a member demo money: fund(alice, "2 btc", "1000 cny")."""
    for amount in map(Money.of, amounts):
        ledger.grant(
            member_id=member.pk,
            currency=amount.currency,
            amount=amount.amount,
            reference=f"test:{next(_numbers)}",
            now=timezone.now(),
        )


def prove(browser: Client, member: Member, factor: str = "totp") -> None:
    """Let a browser that is signed in have freshly proven that it is the member."""
    with transaction():
        proofs.record(
            member=member,
            session_key=str(browser.session.session_key),
            purpose=Proof.Purpose.SECURITY,
            factor=Proof.Factor(factor),
            now=timezone.now(),
        )


def enrol_totp(member: Member, browser: Client | None = None) -> str:
    """
    Give a member an authenticator app, an hour ago; return its secret. All sessions
    end, but that of the browser.
    """
    secret = base64.b32encode(secrets.token_bytes(20)).decode()
    at = timezone.now() - timedelta(hours=1)
    session_key = browser.session.session_key if browser else None
    code = code_of(secret, at)
    totp.enrol(member=member, secret=secret, code=code, session_key=session_key, now=at)
    return secret


def code_of(secret: str, at: datetime) -> str:
    """Return what an authenticator app shows at a time (RFC 6238, RFC 4226)."""
    step = int(at.timestamp()) // 30
    key = base64.b32decode(secret)
    digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 1_000_000:06}"


def make_token(member: Member, **terms: Any) -> tokens.Issued:
    """Issue keys to a member; `terms` are those of tokens.issue."""
    terms.setdefault("now", timezone.now())
    return tokens.issue(member=member, **terms)


def match(market_id: str) -> None:
    """Let the floor of a market decide and settle all that waits."""
    floor = MarketFloor(market_id)
    floor.take_over()
    floor.run(feed.waiting(market_id), now=timezone.now())


class ApiClient:
    """
    A bot: signs like one, and sends like one.

    `send` puts everything into the query; `form` and `json` put it into the body. Any
    parameter may be given wrong on purpose: tonce=…, signature=…, access_key=….
    """

    def __init__(self, issued: tokens.Issued, **meta: Any) -> None:
        self.access_key, self.secret_key = issued.access_key, issued.secret_key
        self.browser = Client(raise_request_exception=False, **meta)
        self._tonce = 0

    def get(self, path: str, **params: object) -> Answer:
        return self.send("GET", path, params)

    def post(self, path: str, **params: object) -> Answer:
        return self.form("POST", path, params)

    def send(self, verb: str, path: str, params: dict[str, object]) -> Answer:
        query = urlencode(self.signed(verb, path, params))
        return self._ask(verb, path, QUERY_STRING=query)

    def form(self, verb: str, path: str, params: dict[str, object]) -> Answer:
        body = urlencode(self.signed(verb, path, params))
        kind = "application/x-www-form-urlencoded"
        return self._ask(verb, path, data=body, content_type=kind)

    def json(self, verb: str, path: str, params: dict[str, object]) -> Answer:
        body = json.dumps(self.signed(verb, path, params))
        return self._ask(verb, path, data=body, content_type="application/json")

    def signed(
        self, verb: str, path: str, params: dict[str, object], **in_path: str
    ) -> dict[str, str]:
        """Return the parameters with key, tonce and signature."""
        whole = {
            "access_key": self.access_key,
            "tonce": self.tonce(),
            **params,
        }
        texts = {name: str(value) for name, value in whole.items()}
        if "signature" not in texts:
            payload = canonical(verb, f"/api/v2/{path}", texts | in_path)
            texts["signature"] = sign(payload, self.secret_key)
        return texts

    def tonce(self) -> int:
        """Return milliseconds, a new number every time."""
        self._tonce = max(self._tonce + 1, int(time.time() * 1000))
        return self._tonce

    def _ask(self, verb: str, path: str, **request: Any) -> Answer:
        return self.browser.generic(verb, f"/api/v2/{path}", **request)


def canonical(verb: str, path: str, params: dict[str, str]) -> str:
    pairs = sorted(f"{name}={value}" for name, value in params.items())
    return f"{verb}|{path}|{'&'.join(pairs)}".replace(" ", "+")


def sign(payload: str, secret_key: str) -> str:
    code = hmac.new(secret_key.encode(), payload.encode(), hashlib.sha256)
    return code.hexdigest()


class HeaderClient:
    """
    A bot that signs its requests as it sends them, by headers.

    Each header may be given wrong on purpose (None leaves it out); `sent` changes what
    is sent after it was signed: path, query, body, verb.
    """

    HOST = "exchange.example"

    def __init__(self, issued: tokens.Issued, **meta: Any) -> None:
        self.access_key, self.secret_key = issued.access_key, issued.secret_key
        self.browser = Client(raise_request_exception=False, **meta)

    def get(self, path: str, query: str = "", **headers: Any) -> Answer:
        return self.send("GET", path, query=query, **headers)

    def post(self, path: str, params: object, **headers: Any) -> Answer:
        return self.send("POST", path, body=json.dumps(params).encode(), **headers)

    def send(
        self,
        verb: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        sent: dict[str, Any] | None = None,
        **headers: str | None,
    ) -> Answer:
        signed = self.signed(verb, path, query, body, headers)
        asked = {"verb": verb, "path": path, "query": query, "body": body}
        really: dict[str, Any] = asked | (sent or {})
        return self.browser.generic(
            really["verb"],
            f"/api/v2/{really['path']}",
            really["body"],
            "application/json" if really["body"] else "",
            QUERY_STRING=really["query"],
            headers=signed,
            HTTP_HOST=really.get("host", self.HOST),
        )

    def signed(
        self,
        verb: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        changes: dict[str, str | None] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a request."""
        whole: dict[str, str | None] = {
            "key": self.access_key,
            "timestamp": str(time.time_ns() // 1_000_000),
            "window": None,
            "nonce": secrets.token_urlsafe(16),
            **(changes or {}),
        }
        if "signature" not in whole:
            lines = [
                *(verb, self.HOST, f"/api/v2/{path}", query),
                hashlib.sha256(body).hexdigest(),
                *(whole["key"], whole["timestamp"], whole["window"] or "5000"),
                whole["nonce"],
            ]
            text = "\n".join(str(line) for line in lines)
            whole["signature"] = sign(text, self.secret_key)
        return {
            f"X-Api-{name}": text for name, text in whole.items() if text is not None
        }
