"""Jobs of the ground floor. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from exchange.lib import audit_chain, mail


@shared_task(name="lib.send_mails", expires=2)
def send_mails(**_ignored: object) -> int:
    """Send the mails that wait."""
    return mail.send_waiting(now=timezone.now())


@shared_task(name="lib.chain_audit", expires=5)
def chain_audit(**_ignored: object) -> int:
    """Link the records of the audit trail that wait for it."""
    return audit_chain.chain(now=timezone.now())
