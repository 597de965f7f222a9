"""
The stream: websockets only. Pages and REST run on WSGI, because under ASGI synchronous
Django opens a database connection for every request.
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from exchange.lib.processes import die_with_parent

if os.environ.get("PIXIU_SUPERVISED"):
    die_with_parent()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

_django = get_asgi_application()  # sets Django up before the consumers are imported

from exchange.routing import application, bots  # noqa: E402

__all__ = ["application", "bots"]
