"""Jobs that need every app."""

from __future__ import annotations

from collections.abc import Iterable

from celery import shared_task
from django.utils import timezone

from exchange import invariants
from exchange.lib import audit, audit_chain


@shared_task(name="exchange.audit_books", expires=600)
def audit_books(**_ignored: object) -> int:
    """
    Check every invariant, the audit trail from its last checkpoint on; each break is
    an alarm.
    """
    now = timezone.now()
    audit_chain.chain(now=now)  # nothing is late because nobody was there to do it
    breaks = invariants.check_all(replaying=False)
    _raise_alarms(breaks)
    if not any(found.id == "I-20" for found in breaks):
        audit_chain.set_checkpoint(now=now)
    return len(breaks)


@shared_task(name="exchange.audit_trail", expires=3600)
def audit_trail(**_ignored: object) -> int:
    """Once a day: link what committed very late, and verify the chain wholly."""
    audit_chain.chain(now=timezone.now(), wholly=True)
    breaks = invariants.check_trail()
    _raise_alarms(breaks)
    return len(breaks)


def _raise_alarms(breaks: Iterable[invariants.Break]) -> None:
    for found in breaks:
        audit.alarm(
            "books",
            "invariant_broken",
            invariant=found.id,
            check=found.check,
            what=found.what,
        )
