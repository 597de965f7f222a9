"""The web: pages and REST, one WSGI application."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from exchange.lib.processes import die_with_parent

if os.environ.get("PIXIU_SUPERVISED"):
    die_with_parent()  # the server's worker must not outlive the server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")


class Request(WSGIRequest):
    """
    A request whose Content-Type may be any nonsense, and whose body may come in chunks.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        if "CONTENT_LENGTH" not in environ and _comes_in_chunks(environ):
            environ = environ | _whole(environ["wsgi.input"])
        super().__init__(environ)

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """
        Django raises for some malformed headers, before any view could answer: such a
        body is of a type that nobody reads.
        """
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # no stub
        except (ValueError, LookupError):
            self.content_type, self.content_params = "malformed", {}


def _comes_in_chunks(environ: dict[str, Any]) -> bool:
    """Say whether a body of unknown length may follow, whose end the server knows."""
    return bool(environ.get("wsgi.input_terminated")) and (
        "HTTP_TRANSFER_ENCODING" in environ
        or environ["SERVER_PROTOCOL"].startswith("HTTP/2")
    )


def _whole(body: Any) -> dict[str, Any]:
    """Read such a body, which Django would take for none; too much of it is refused."""
    read = body.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    return {"wsgi.input": BytesIO(read), "CONTENT_LENGTH": str(len(read))}


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
