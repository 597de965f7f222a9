"""Jobs of the accounts. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts import (
    attempts,
    documents,
    exports,
    identity,
    postman,
    sessions,
    signed_headers,
    tonces,
)
from accounts.factors import losses, sms


@shared_task(name="accounts.forget_old_tonces", expires=60)
def forget_old_tonces(**_ignored: object) -> int:
    """Forget the tonces whose window has passed twice, and the nonces likewise."""
    now = timezone.now()
    nonces = signed_headers.forget_old_nonces(now=now)
    return nonces + tonces.forget_old_tonces(now=now)


@shared_task(name="accounts.send_sms", expires=2)
def send_sms(**_ignored: object) -> int:
    """Send the codes that wait for their phones."""
    return sms.send_waiting(now=timezone.now())


@shared_task(name="accounts.forget_sms", expires=600)
def forget_sms(**_ignored: object) -> int:
    """Forget codes of yesterday, and the numbers they went to."""
    return sms.forget_old(now=timezone.now())


@shared_task(name="accounts.finish_factor_losses", expires=60)
def finish_factor_losses(**_ignored: object) -> int:
    """Take away the factors that were lost, where nobody objected."""
    return losses.finish_due(now=timezone.now())


@shared_task(name="accounts.scan_documents", expires=10)
def scan_documents(**_ignored: object) -> int:
    """Let the scanner look at the documents in quarantine."""
    return documents.scan_waiting(now=timezone.now())


@shared_task(name="accounts.tidy_identities", expires=3600)
def tidy_identities(**_ignored: object) -> int:
    """Reopen cases whose document has run out, and erase what was kept long enough."""
    now = timezone.now()
    return identity.expire_due(now=now) + documents.erase_due(now=now)


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


@shared_task(name="accounts.deliver_letters", expires=10)
def deliver_letters(**_ignored: object) -> int:
    """Answer by mail what people asked for by naming an address."""
    return postman.deliver()


@shared_task(name="accounts.forget_old_attempts", expires=3600)
def forget_old_attempts(**_ignored: object) -> int:
    """Forget the failures of yesterday."""
    return attempts.forget_old(now=timezone.now())
