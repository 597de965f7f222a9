"""The web: pages and REST, one WSGI application."""

from __future__ import annotations

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from exchange.lib.processes import die_with_parent

if os.environ.get("PIXIU_SUPERVISED"):
    die_with_parent()  # the server's worker must not outlive the server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")


class Request(WSGIRequest):
    """A request whose Content-Type may be any nonsense."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """
        Django raises for some malformed headers, before any view could answer: such a
        body is of a type that nobody reads.
        """
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # no stub
        except (ValueError, LookupError):
            self.content_type, self.content_params = "malformed", {}


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
