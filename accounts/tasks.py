"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import attempts, postman, tokens


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice."""
    return tokens.forget_old_tonces(now=timezone.now())


@shared_task(name="accounts.deliver_letters", expires=10)
def deliver_letters(**_ignored: object) -> int:
    """Answer by mail what people asked for by naming an address."""
    return postman.deliver()


@shared_task(name="accounts.forget_old_attempts", expires=3600)
def forget_old_attempts(**_ignored: object) -> int:
    """Forget the failures of yesterday."""
    return attempts.forget_old(now=timezone.now())
