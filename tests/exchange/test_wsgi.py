"""The WSGI door: what arrives broken is answered, not crashed on."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from exchange.wsgi import application


def ask(body: bytes, **environment: Any) -> tuple[str, bytes]:
    """Send a request as a server would hand it over; return status and answer."""
    environ = RequestFactory()._base_environ(  # type: ignore[attr-defined]  # no stub
        REQUEST_METHOD="POST", HTTP_HOST="localhost"
    ) | {"wsgi.input": BytesIO(body), **environment}
    statuses: list[str] = []

    def start_response(status: str, *_: Any, **__: Any) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _body: None

    answer = b"".join(application(environ, start_response))
    return statuses[0], answer


CHUNKED = {
    "wsgi.input_terminated": True,
    "HTTP_TRANSFER_ENCODING": "chunked",
    "CONTENT_TYPE": "application/x-www-form-urlencoded",
    "PATH_INFO": "/api/v2/trades",
}


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset*=utf-9'en'x", "text/plain; charset=\0", "\0", ""],
)
def test_it_answers_a_request_of_a_nonsensical_type(
    db: None, content_type: str
) -> None:
    status, answer = ask(
        b"{}",
        PATH_INFO="/api/v2/orders",
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH="2",
    )

    assert status[0] == "4"
    assert answer


def test_it_reads_a_body_that_comes_in_chunks(db: None) -> None:
    body = b"market=btccny&limit=nonsense"

    status, answer = ask(body, REQUEST_METHOD="GET", **CHUNKED)

    assert status[:3] == "400"
    assert b'"limit is invalid"' in answer


def test_it_refuses_chunks_without_an_end(db: None) -> None:
    status, answer = ask(b"a=" + b"x" * 300_000, **CHUNKED | {"PATH_INFO": "/api/v2/k"})

    assert status[:3] == "413"
    assert b'"code":2000' in answer


def test_it_refuses_a_body_that_broke_off(db: None) -> None:
    status, answer = ask(
        b"market=btccny",
        REQUEST_METHOD="GET",
        PATH_INFO="/api/v2/trades",
        CONTENT_TYPE="application/x-www-form-urlencoded",
        CONTENT_LENGTH="100",
    )

    assert status[:3] == "400"
    assert b"broke off" in answer
