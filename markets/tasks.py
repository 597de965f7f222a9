"""Jobs of the markets. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from markets import feed
from markets.queries import all_market_ids


@shared_task(name="markets.sweep", expires=2)
def sweep(**_ignored: object) -> int:
    """Re-feed what stayed pending. In embedded mode the floor sweeps for itself."""
    if not settings.AMQP_URL:
        return 0
    now = timezone.now()
    return sum(
        feed.sweep(market_id, now=now, after_seconds=settings.SWEEP_AFTER_SECONDS)
        for market_id in all_market_ids()
    )
