"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import signed_headers, tonces


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice, and the nonces likewise."""
    now = timezone.now()
    nonces = signed_headers.forget_old_nonces(now=now)
    return nonces + tonces.forget_old_tonces(now=now)
