"""What every page shows of the account: nothing that costs a query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import onboarding
from accounts.models.members import Member


def account(request: HttpRequest) -> dict[str, Any]:
    """
    Return whether there is a mailbox to look into, the languages on offer, and how far
    a member has come, which is found out only where a page shows it.
    """
    return {
        "mailbox_page": settings.MAILBOX_PAGE,
        "languages": settings.LANGUAGES,
        "onboarding": SimpleLazyObject(lambda: _progress(request)),
    }


def _progress(request: HttpRequest) -> onboarding.Progress | None:
    member = request.user
    return onboarding.progress(member) if isinstance(member, Member) else None
