"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import documents, identity, tokens


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice."""
    return tokens.forget_old_tonces(now=timezone.now())


@shared_task(name="accounts.scan_documents", expires=10)
def scan_documents(**_ignored: object) -> int:
    """Let the scanner look at the documents in quarantine."""
    return documents.scan_waiting(now=timezone.now())


@shared_task(name="accounts.tidy_identities", expires=3600)
def tidy_identities(**_ignored: object) -> int:
    """Reopen cases whose document has run out, and erase what was kept long enough."""
    now = timezone.now()
    return identity.expire_due(now=now) + documents.erase_due(now=now)
