"""
The audit trail: who did what to which thing, and with which facts.

Append-only by trigger and by the application role's rights. Rows refer by text, not
by key, so that the trail outlives what it speaks of. They are written unchained in
the transaction of the deed; one chainer links them by hash seconds later, so that the
trail is no global lock: see `audit_chain`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Model

from exchange.lib import origin
from exchange.lib.models import AuditRecord

log = logging.getLogger("exchange.audit")

_OTHER_NAMES = {"apitoken": "token"}


def record(actor: str, action: str, subject: str, **facts: object) -> AuditRecord:
    """
    Write down a deed, in the transaction at hand.

    `actor` and `subject` read "kind:id" ("member:7", "market:btccny"); facts must be
    JSON-able and hold no secrets.
    """
    return _write(actor, action, subject, facts)


def record_each(
    actor: str, action: str, deeds: Iterable[tuple[str, dict[str, object]]]
) -> None:
    """Write down a deed to many subjects, (subject, facts) each, by one statement."""
    here = origin.current()
    AuditRecord.objects.bulk_create(
        AuditRecord(
            actor=actor,
            action=action,
            subject=subject,
            facts=facts,
            request_id=here.request_id,
            address=here.address,
        )
        for subject, facts in deeds
    )


def label(row: Model) -> str:
    """
    Return how a row is named as a subject: "accounts.ticket:7". Sealed columns are
    bound to this name, too: it must not change.
    """
    return f"{row._meta.label_lower}:{row.pk}"


def labels(row: Model) -> list[str]:
    """Return every name under which a row is the subject of records, old and new."""
    name = str(row._meta.model_name)
    spoken = re.sub(r"(?<!^)(?=[A-Z])", "_", row._meta.object_name or name).lower()
    kinds = {row._meta.label_lower, name, spoken, _OTHER_NAMES.get(name, name)}
    return sorted(f"{kind}:{row.pk}" for kind in kinds)


def alarm(subject: str, action: str, **facts: object) -> AuditRecord:
    """Write down something that must wake a human, and say it in the log."""
    log.critical("ALARM %s %s %s", action, subject, facts)
    return _write("system", action, subject, facts, is_alarm=True)


def has_done(
    actor: str,
    action: str,
    subjects: Iterable[str],
    *,
    since: datetime | None = None,
    touching: str = "",
) -> bool:
    """
    Say whether somebody did a deed to one of the subjects; of an edit, whether to a
    certain column.
    """
    rows = AuditRecord.objects.filter(
        actor=actor, action=action, subject__in=list(subjects)
    )
    if since is not None:
        rows = rows.filter(at__gt=since)
    if touching:
        rows = rows.filter(facts__after__has_key=touching)
    return rows.exists()


def _write(
    actor: str,
    action: str,
    subject: str,
    facts: dict[str, object],
    *,
    is_alarm: bool = False,
) -> AuditRecord:
    here = origin.current()
    return AuditRecord.objects.create(
        actor=actor,
        action=action,
        subject=subject,
        facts=facts,
        is_alarm=is_alarm,
        request_id=here.request_id,
        address=here.address,
    )
