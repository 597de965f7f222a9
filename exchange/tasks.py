"""Jobs that need every app."""

from __future__ import annotations

from celery import shared_task

from exchange import invariants
from exchange.lib import audit


@shared_task(name="exchange.audit_books", expires=600)
def audit_books(**_ignored: object) -> int:
    """Check every invariant; each break is an alarm."""
    breaks = invariants.check_all(replaying=False)
    for found in breaks:
        audit.alarm(
            "books",
            "invariant_broken",
            invariant=found.id,
            check=found.check,
            what=found.what,
        )
    return len(breaks)
