"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import exports, sessions, tokens


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice."""
    return tokens.forget_old_tonces(now=timezone.now())


@shared_task(name="accounts.forget_ended_sessions", expires=600)
def forget_ended_sessions(**_ignored: object) -> int:
    """Forget the sessions that are over."""
    return sessions.forget_ended(now=timezone.now())


@shared_task(name="accounts.make_exports", expires=5)
def make_exports(**_ignored: object) -> int:
    """Make the files of data that members asked for."""
    return exports.make_waiting(now=timezone.now())


@shared_task(name="accounts.forget_old_exports", expires=600)
def forget_old_exports(**_ignored: object) -> int:
    """Delete the files of data that lay long enough."""
    return exports.forget_old(now=timezone.now())
