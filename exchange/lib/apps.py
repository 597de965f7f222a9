"""The one installed app without a domain."""

from __future__ import annotations

from django.apps import AppConfig


class LibConfig(AppConfig):
    name = "exchange.lib"
    label = "lib"
    verbose_name = "Audit"
    default_auto_field = "django.db.models.BigAutoField"
