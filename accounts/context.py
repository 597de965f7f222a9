"""What every page shows of the account: nothing that costs a query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def account(_request: HttpRequest) -> dict[str, Any]:
    """Return whether there is a mailbox to look into, and the languages on offer."""
    return {"mailbox_page": settings.MAILBOX_PAGE, "languages": settings.LANGUAGES}
