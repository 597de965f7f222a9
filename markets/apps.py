"""App configuration."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketsConfig(AppConfig):
    name = "markets"
    verbose_name = _("Markets")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import onboarding  # noqa: PLC0415 - it needs models
        from markets import leaving, queries, tickers  # noqa: PLC0415 - the same
        from wallets import valuation  # noqa: PLC0415 - the same

        onboarding.answer(onboarding.Step.ORDER, queries.has_ordered)
        leaving.install()
        valuation.sources.append(tickers.price_of)
        valuation.steady.append(tickers.steady_price_of)
