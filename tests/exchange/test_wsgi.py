"""The WSGI door: what arrives broken is answered, not crashed on."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from exchange.wsgi import application


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset*=utf-9'en'x", "text/plain; charset=\0", "\0", ""],
)
def test_it_answers_a_request_of_a_nonsensical_type(
    db: None, content_type: str
) -> None:
    environ = RequestFactory()._base_environ(  # type: ignore[attr-defined]  # no stub
        PATH_INFO="/api/v2/orders",
        REQUEST_METHOD="POST",
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH="2",
        HTTP_HOST="localhost",
    ) | {"wsgi.input": BytesIO(b"{}")}
    statuses: list[str] = []

    def start_response(status: str, *_: Any, **__: Any) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _body: None

    body = b"".join(application(environ, start_response))

    assert statuses[0][0] == "4"
    assert body
