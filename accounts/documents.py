"""
Documents of an identity case: their pages in the vault, the scan, the end.

Whoever calls these verbs holds the lock of the case. What a member may hand in and when
is the business of `identity`, what operators may see and decide that of `reviews`.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from accounts import vault
from accounts.models.identity import DocumentPage, IdentityCase, IdentityDocument
from exchange.lib import audit, states
from exchange.lib.errors import NotFound
from exchange.lib.sealed import fingerprint, seal, unseal
from exchange.lib.transactions import (
    after_commit,
    transaction,
    transaction_required,
)

log = logging.getLogger(__name__)

Part, Kind, State = (
    IdentityDocument.Part,
    IdentityDocument.Kind,
    IdentityDocument.State,
)
KINDS = {
    Part.IDENTITY: (Kind.ID_CARD, Kind.PASSPORT, Kind.DRIVING_LICENCE),
    Part.ADDRESS: (Kind.BANK_STATEMENT, Kind.TAX_BILL, Kind.UTILITY_BILL),
}
SCAN_SECONDS_MAX = 30
# A file that no row speaks of belongs to an upload that is under way, or never will.
_STRAY_AFTER = timedelta(hours=1)
_IN_ONE_RUN = 100
_SEALED_FOR = "identity document"


class UnknownCase(NotFound):
    """There is no such case."""

    code = "unknown_identity_case"
    text = _("There is no such case.")


@dataclass(frozen=True, slots=True)
class Paper:
    """What is said of a document when it is handed in."""

    part: IdentityDocument.Part
    kind: IdentityDocument.Kind
    number: str = field(default="", repr=False)
    expires_on: date | None = None


class Stored(NamedTuple):
    """A page that lies in the vault, and how large it is."""

    kept: vault.Kept
    size_bytes: int


def store(pages: Sequence[bytes]) -> list[Stored]:
    """
    Put pages into the vault, for `add`. Where that never happens, nobody knows their
    keys, and a job takes the files away.
    """
    return [Stored(vault.put(page), len(page)) for page in pages]


@transaction_required
def add(
    case: IdentityCase, paper: Paper, pages: Sequence[Stored], *, now: datetime
) -> IdentityDocument:
    """Write a document down whose pages are in the vault, in the place of another."""
    by = f"member:{case.member_id}"
    for former in current(case).filter(part=paper.part):
        replace(former, by=by, now=now)
    document = IdentityDocument.objects.create(
        case=case,
        part=paper.part,
        kind=paper.kind,
        state=State.QUARANTINED if settings.SCAN_COMMAND else State.SUBMITTED,
        number_digest=_digest(paper) if paper.number else "",
        expires_on=paper.expires_on,
        created_at=now,
    )
    if paper.number:
        content = json.dumps({"number": paper.number}).encode()
        document.sealed = seal(
            content, purpose=_SEALED_FOR, bound_to=audit.label(document)
        )
        document.save(update_fields=["sealed"])
    DocumentPage.objects.bulk_create(
        DocumentPage(
            document=document,
            number=number,
            file=page.kept.name,
            key_sealed=page.kept.key_sealed,
            size_bytes=page.size_bytes,
        )
        for number, page in enumerate(pages, 1)
    )
    audit.record(by, "document_handed_in", audit.label(document), kind=paper.kind.value)
    return document


@transaction_required
def replace(document: IdentityDocument, *, by: str, now: datetime) -> None:
    """Let a document count no longer. What nobody has decided on is erased at once."""
    states.advance(document, "replace", by=by)
    if document.decided_at is None:
        erase(document, by=by, now=now)


@transaction_required
def erase(document: IdentityDocument, *, by: str, now: datetime) -> None:
    """Forget the pages and the number of a document, here and on the disk."""
    names = [page.file for page in document.pages.all()]
    document.pages.all().delete()
    IdentityDocument.objects.filter(pk=document.pk).update(sealed=None, erased_at=now)
    audit.record(by, "document_erased", audit.label(document), pages=len(names))
    after_commit(lambda: _erase_files(names))


def current(case: IdentityCase) -> QuerySet[IdentityDocument]:
    """Return the documents of a case that count, at most one for each part."""
    documents = case.documents.exclude(state=State.REPLACED)
    return documents.order_by("-part", "pk")  # the identity document first


def number_of(document: IdentityDocument) -> str:
    """Return the number of a document; nothing, where it has none any more."""
    if document.sealed is None:
        return ""
    content = unseal(
        bytes(document.sealed), purpose=_SEALED_FOR, bound_to=audit.label(document)
    )
    return str(json.loads(content)["number"])


def masked(number: str) -> str:
    """Return a number of which only the last three characters can be read."""
    return f"•••{number[-3:]}" if len(number) > 3 else "•••"


def page(row: DocumentPage) -> bytes:
    """Return a page as it lies in the vault: a JPEG of ours."""
    return vault.read(vault.Kept(row.file, bytes(row.key_sealed)))


def stored_bytes(case: IdentityCase) -> int:
    """Return how much of the vault a case takes up."""
    pages = DocumentPage.objects.filter(document__case=case)
    return int(pages.aggregate(total=Sum("size_bytes"))["total"] or 0)


def scan_waiting(*, now: datetime) -> int:
    """
    Let the scanner look at what is in quarantine; return how many documents left it.

    Clean ones are released to the operators, others rejected and erased. Where the
    scanner does not answer, they stay where they are. Safe to run twice at once.
    """
    waiting = IdentityDocument.objects.filter(state=State.QUARANTINED).order_by("pk")
    return sum(_scan(document, now) for document in waiting[:_IN_ONE_RUN])


def erase_due(*, now: datetime) -> int:
    """
    Erase the documents that were decided on, or left lying, IDENTITY_KEPT_DAYS ago, and
    files that no document speaks of; return how many documents. What operators are to
    look at is kept. Safe to run twice at once.
    """
    due = IdentityDocument.objects.filter(
        Q(decided_at__lt=now - _kept())
        | Q(decided_at=None, created_at__lt=now - _kept()),
        erased_at=None,
    ).exclude(
        state__in=[State.QUARANTINED, State.SUBMITTED],
        case__state=IdentityCase.State.VERIFYING,
        case__member__state__in=["active", "frozen"],
    )
    count = 0
    for document in due.order_by("pk")[:_IN_ONE_RUN]:
        with transaction():
            lock_case(document.case_id)
            document.refresh_from_db()
            if document.erased_at is None:
                # What can no longer be looked at has to be sent again.
                if document.state in {State.QUARANTINED, State.SUBMITTED}:
                    states.advance(document, "replace", by="system")
                erase(document, by="system", now=now)
                count += 1
    known = set(DocumentPage.objects.values_list("file", flat=True))
    vault.erase_strays(known, before=now - _STRAY_AFTER)
    return count


def lock_case(case_id: int) -> IdentityCase:
    """
    Lock a case, and with it its documents, until the transaction ends. Raises
    UnknownCase.
    """
    rows = IdentityCase.objects.select_for_update(no_key=True)
    try:
        return rows.get(pk=case_id)
    except IdentityCase.DoesNotExist as error:
        raise UnknownCase from error


def _scan(document: IdentityDocument, now: datetime) -> bool:
    is_clean = _is_clean([page(row) for row in document.pages.all()])
    if is_clean is None:
        return False
    with transaction():
        lock_case(document.case_id)
        document.refresh_from_db()
        if document.state != State.QUARANTINED:
            return False
        if is_clean:
            states.advance(document, "release", by="system")
        else:
            reason = IdentityDocument.Reason.UNSAFE.value
            states.advance(document, "reject", by="system", reason=reason)
            erase(document, by="system", now=now)
            audit.alarm(audit.label(document), "unsafe_document")
        scanned = {"scanned_at": now} if settings.SCAN_COMMAND else {}
        decided = {} if is_clean else {"decided_at": now}
        IdentityDocument.objects.filter(pk=document.pk).update(**scanned, **decided)
    return True


def _is_clean(pages: Sequence[bytes]) -> bool | None:
    """Ask the scanner: 0 is clean, 1 is not, and anything else no answer."""
    if not settings.SCAN_COMMAND:
        return True  # it was taken out of service; the operators are told so
    for content in pages:
        try:
            done = subprocess.run(
                shlex.split(settings.SCAN_COMMAND),
                input=content,
                capture_output=True,
                timeout=SCAN_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.error("The scanner does not answer: %s", type(error).__name__)
            return None
        if done.returncode == 1:
            return False
        if done.returncode:
            log.error("The scanner failed with %s.", done.returncode)
            return None
    return True


def _digest(paper: Paper) -> str:
    number = re.sub(r"[^A-Z0-9]", "", paper.number.upper())
    return fingerprint(f"{paper.kind}:{number}".encode(), purpose=_SEALED_FOR)


def _erase_files(names: list[str]) -> None:
    for name in names:
        vault.erase(name)


def _kept() -> timedelta:
    return timedelta(days=settings.IDENTITY_KEPT_DAYS)
