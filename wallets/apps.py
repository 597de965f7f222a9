"""App configuration."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WalletsConfig(AppConfig):
    name = "wallets"
    verbose_name = _("Wallets")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import onboarding  # noqa: PLC0415 - it needs models
        from wallets import leaving, queries, treasury  # noqa: PLC0415 - the same

        onboarding.answer(onboarding.Step.DEPOSIT, queries.has_been_credited)
        leaving.install()
        treasury.install()
