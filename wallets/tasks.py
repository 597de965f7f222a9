"""Jobs of the wallets. Each is safe to run twice, and side by side."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from exchange.lib.errors import Busy
from wallets import scanner
from wallets.solvency import publish


@shared_task(name="wallets.scan_chains", expires=4)
def scan_chains(**_ignored: object) -> int:
    """Look for what was paid to us."""
    return scanner.scan_all(now=timezone.now())


@shared_task(name="wallets.prove_solvency", expires=600)
def prove_solvency(**_ignored: object) -> int:
    """Publish the proof of today, unless it is there or another run is at it."""
    now = timezone.now()
    if not publish.is_due(now=now):
        return 0
    try:
        publish.prove(now=now)
    except Busy:
        return 0
    return 1
