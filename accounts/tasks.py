"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import sessions, tokens


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice."""
    return tokens.forget_old_tonces(now=timezone.now())


@shared_task(name="accounts.forget_ended_sessions", expires=600)
def forget_ended_sessions(**_ignored: object) -> int:
    """Forget the sessions that are over."""
    return sessions.forget_ended(now=timezone.now())
