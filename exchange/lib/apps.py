"""The one installed app without a domain."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LibConfig(AppConfig):
    name = "exchange.lib"
    label = "lib"
    verbose_name = _("Audit")
    default_auto_field = "django.db.models.BigAutoField"
