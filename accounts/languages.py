"""Languages: which one a member reads."""

from __future__ import annotations

from django.conf import settings

from accounts.models.members import Member


def is_known(language: str) -> bool:
    """Say whether pages and mails are to be had in it."""
    return language in dict(settings.LANGUAGES)


def choose(*, member: Member, language: str) -> None:
    """Let pages and mails speak this language to a member, wherever they sign in."""
    member.language = language
    member.save(update_fields=["language"])
