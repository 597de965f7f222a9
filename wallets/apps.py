"""App configuration."""

from __future__ import annotations

from django.apps import AppConfig


class WalletsConfig(AppConfig):
    name = "wallets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not there before.
        from wallets import leaving  # noqa: PLC0415

        leaving.install()
