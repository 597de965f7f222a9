"""The roof as a Django app: it holds the management commands that need every app."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ExchangeConfig(AppConfig):
    name = "exchange"
    verbose_name = "Exchange"

    def ready(self) -> None:
        from exchange import checks  # noqa: F401, PLC0415 - they register themselves
        from exchange.lib import names  # noqa: PLC0415 - it needs models

        names.install()


class DeskConfig(AdminConfig):
    """Django's admin, behind a door of ours."""

    default_site = "exchange.desk.DeskSite"
