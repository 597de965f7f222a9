"""
How an SMS leaves the house: over HTTP in earnest, onto the console for who tries it.

A gateway takes JSON by POST: {"to": "+4915112345678", "text": "…", "id": "sms-7"}, with
the token of SMS_TOKEN as bearer. The same id means the same message: a gateway that
knows it does not send it twice.
"""

from __future__ import annotations

import http.client
import json
import sys
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

from exchange.lib.errors import UpstreamError

TIMEOUT_SECONDS = 10


class NotDelivered(UpstreamError):
    """The gateway is away, or wants to be asked later."""


class Undeliverable(UpstreamError):
    """The gateway will not send this message, however often it is asked."""

    is_transient = False


class Gateway(Protocol):
    """Whoever takes messages for phones."""

    def send(self, *, number: str, text: str, reference: str) -> None:
        """Hand a message over. Raises NotDelivered or Undeliverable."""


class ConsoleGateway:
    """Writes messages where whoever started the exchange reads them."""

    def send(self, *, number: str, text: str, reference: str) -> None:
        sys.stdout.write(f"SMS to {number} ({reference}): {text}\n")
        sys.stdout.flush()


class HttpGateway:
    """Posts messages to a provider."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = urlsplit(url), token
        self._path = urlunsplit(("", "", self._url.path or "/", self._url.query, ""))

    def send(self, *, number: str, text: str, reference: str) -> None:
        body = json.dumps({"to": number, "text": text, "id": reference})
        try:
            status = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            raise NotDelivered(type(error).__name__) from error
        if status == 429 or status >= 500:
            raise NotDelivered(f"status {status}")
        if status >= 300:
            raise Undeliverable(f"status {status}")

    def _post(self, body: str) -> int:
        connection = self._connection()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._token}",
        }
        try:
            connection.request("POST", self._path, body.encode(), headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.netloc, timeout=TIMEOUT_SECONDS)


def chosen() -> Gateway:
    """Return the gateway of this exchange."""
    if settings.SMS_URL:
        return HttpGateway(settings.SMS_URL, settings.SMS_TOKEN)
    return ConsoleGateway()
