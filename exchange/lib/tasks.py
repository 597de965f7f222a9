"""Jobs of the ground floor. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from exchange.lib import mail


@shared_task(name="lib.send_mails", expires=2)
def send_mails(**_ignored: object) -> int:
    """Send the mails that wait."""
    return mail.send_waiting(now=timezone.now())
