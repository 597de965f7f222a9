"""
What production must be told, and may not be told: whoever leaves it out is refused at
start, not surprised by the first mail or the first thief.

Django's own checks of a deployment come with `manage.py check --deploy`; these run with
every command, and before `run_exchange` and `prepare_database` do anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

PRODUCTION = "production"  # the tag of these checks
_KEY_LENGTH_MIN = 50  # 256 bits in base64 are 43 letters; Django asks for 50
_KEY_LETTERS_MIN = 10
# How keys begin that were published: in documentation, in tests, by generators.
_PUBLISHED = ("change", "django-insecure", "example", "insecure", "secret", "test")


@register(PRODUCTION)
def check_production(**_context: Any) -> list[CheckMessage]:
    """Return why production must not start like this; nothing in development."""
    if not settings.PRODUCTION:
        return []
    return [*_addresses(), *_mail(), *_keys(), *_hot_wallets()]


def _addresses() -> Iterator[CheckMessage]:
    if not settings.SITE_URL.startswith("https://"):
        yield Error(
            f"SITE_URL is {settings.SITE_URL}: links in mails would be readable.",
            hint="Set SITE_URL to where members find the site: https://exchange.example",
            id="exchange.E001",
        )
    hosts = settings.ALLOWED_HOSTS
    if "*" in hosts or settings.SITE_HOST not in hosts:
        yield Error(
            f"ALLOWED_HOSTS is {','.join(hosts) or 'empty'}, where it should name the"
            f" hosts we answer for, {settings.SITE_HOST} among them.",
            hint=f"Set ALLOWED_HOSTS={settings.SITE_HOST}",
            id="exchange.E002",
        )
    open_origins = [
        origin
        for origin in settings.CSRF_TRUSTED_ORIGINS
        if "*" in origin or not origin.startswith("https://")
    ]
    if open_origins:
        yield Error(
            f"CSRF_TRUSTED_ORIGINS trusts {', '.join(open_origins)}.",
            hint="Name each origin in full: https://exchange.example",
            id="exchange.E003",
        )
    if settings.DEBUG:
        yield Error(
            "DEBUG is on: error pages would show our settings to everybody.",
            hint="Unset DEBUG.",
            id="exchange.E004",
        )


def _mail() -> Iterator[CheckMessage]:
    if not settings.MAIL_URL:
        yield Error(
            "MAIL_URL is not set: nobody could join, or hear that they were robbed.",
            hint="Set MAIL_URL=smtp://user:password@mail.example:587?tls=1",
            id="exchange.E005",
        )


def _keys() -> Iterator[CheckMessage]:
    for name in ("SECRET_KEY", "PIXIU_MASTER_KEY"):
        key = getattr(settings, name)
        is_random = len(key) >= _KEY_LENGTH_MIN and len(set(key)) >= _KEY_LETTERS_MIN
        if not is_random or key.lower().startswith(_PUBLISHED):
            yield Error(
                f"{name} is short, simple or one that everybody knows.",
                hint=f"Set {name} to 50 random letters or more; see .env.example.",
                id="exchange.E006",
            )
    if settings.SECRET_KEY == settings.PIXIU_MASTER_KEY:
        yield Error(
            "SECRET_KEY and PIXIU_MASTER_KEY are the same.",
            hint="Make two: who finds one must not have found the other.",
            id="exchange.E007",
        )


def _hot_wallets() -> Iterator[CheckMessage]:
    for name in ("HOT_WALLET_OUT_PER_HOUR", "HOT_WALLET_OUT_PER_DAY"):
        free = sorted(settings.CHAIN_URLS.keys() - getattr(settings, name).keys())
        if free:
            yield Error(
                f"{name} sets no limit to {', '.join(free)}: who can write a withdrawal"
                " could empty the wallet.",
                hint=f"Set {name}={','.join(f'{code}:10' for code in free)}",
                id="exchange.E008",
            )
