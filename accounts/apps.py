"""App configuration."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import identity, leaving, onboarding  # noqa: PLC0415 - they need models
        from accounts.factors import changes  # noqa: PLC0415 - the same
        from accounts.onboarding import Step  # noqa: PLC0415 - the same

        onboarding.answer(Step.ACTIVATION, lambda member: member.is_activated)
        onboarding.answer(Step.FACTOR, lambda member: changes.has_any(member.pk))
        onboarding.answer(
            Step.IDENTITY,
            lambda member: member.identity_level > 1,
            is_waiting=identity.is_being_checked,
        )
        leaving.install()
