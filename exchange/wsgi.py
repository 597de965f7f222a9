"""The web: pages and REST, one WSGI application."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from exchange.lib.processes import die_with_parent

if os.environ.get("PIXIU_SUPERVISED"):
    die_with_parent()  # the server's worker must not outlive the server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")

application = get_wsgi_application()
