"""Jobs of the wallets. Each is safe to run twice, and side by side."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from wallets import scanner


@shared_task(name="wallets.scan_chains", expires=4)
def scan_chains(**_ignored: object) -> int:
    """Look for what was paid to us."""
    return scanner.scan_all(now=timezone.now())
