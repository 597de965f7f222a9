"""
A small client of REST v2, for the demo's bots, the benches and the tests.

It signs as the ancestor's clients do: HMAC-SHA256 over `VERB|path|sorted query`.
Standard library only; one connection, kept alive.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

TIMEOUT_SECONDS = 10


class ApiError(Exception):
    """The exchange said no; `code` is REST v2's, `status` HTTP's."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"{status}/{code}: {message}")


class Client:
    """One member's view of the API."""

    def __init__(self, url: str, access_key: str, secret_key: str) -> None:
        self._host = urlsplit(url).netloc
        self._access_key, self._secret_key = access_key, secret_key
        self._connection = http.client.HTTPConnection(
            self._host, timeout=TIMEOUT_SECONDS
        )
        self._last_tonce = 0

    def get(self, path: str, **params: object) -> Any:
        """GET /api/v2/<path>, signed; returns the decoded JSON or raises ApiError."""
        query = self._signed("GET", f"/api/v2/{path}", params)
        return self._ask("GET", f"/api/v2/{path}?{query}", None)

    def read(self, path: str, **params: object) -> Any:
        """GET a public path of /api/v2, unsigned."""
        query = urlencode({name: str(value) for name, value in params.items()})
        return self._ask("GET", f"/api/v2/{path}?{query}", None)

    def post(self, path: str, **params: object) -> Any:
        """POST /api/v2/<path>, signed; returns the decoded JSON or raises ApiError."""
        body = self._signed("POST", f"/api/v2/{path}", params)
        return self._ask("POST", f"/api/v2/{path}", body)

    def close(self) -> None:
        """Close the connection; the next call would open a new one."""
        self._connection.close()

    def _signed(self, verb: str, path: str, params: dict[str, object]) -> str:
        self._last_tonce = max(self._last_tonce + 1, time.time_ns() // 1_000_000)
        whole = params | {"access_key": self._access_key, "tonce": self._last_tonce}
        pairs = sorted((name, str(value)) for name, value in whole.items())
        payload = "&".join(f"{name}={value}" for name, value in pairs)
        message = f"{verb}|{path}|{payload}".encode()
        key = self._secret_key.encode()
        signature = hmac.new(key, message, hashlib.sha256).hexdigest()
        pairs.append(("signature", signature))
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)

    def _ask(self, verb: str, target: str, body: str | None) -> Any:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        try:
            self._connection.request(verb, target, body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status < 300:
            return json.loads(text)
        try:
            error = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            error = {"code": 0, "message": text.decode(errors="replace")[:200]}
        raise ApiError(answer.status, error["code"], error["message"])
