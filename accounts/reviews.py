"""
Identity cases as operators see them: opened for a reason, looked at, decided.

Whoever opens a case says why, and may see it for OPEN_FOR; while it waits for a
decision, nobody else may meanwhile. Each look at a page is written down before the page
is shown, and shows who looks. Nobody looks at their own case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import documents, identity, pictures
from accounts.models.identity import (
    CaseOpening,
    DocumentPage,
    IdentityCase,
    IdentityDocument,
)
from accounts.models.members import Member
from exchange.lib import audit, states, words
from exchange.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from exchange.lib.transactions import transaction

PERMISSION = "accounts.review_identity"
OPEN_FOR = timedelta(minutes=15)
REASON_LENGTH_MAX = 200
NOTE_LENGTH_MAX = 300


class Verdict(NamedTuple):
    """On one document: no reason means that it is accepted."""

    reason: IdentityDocument.Reason | None
    note: str = ""


class NotReviewer(NotAllowed):
    """The operator has no right to see identities."""

    code = "not_reviewer"
    text = _("You may not see identity cases.")


class OwnCase(NotAllowed):
    """It is the operator's own."""

    code = "own_identity_case"
    text = _("This is your own case. Somebody else has to look at it.")


class NotOpened(NotAllowed):
    """Nobody said why, or that was too long ago."""

    code = "identity_case_not_opened"
    text = _("Please open the case first, and say why.")


class NoteMissing(Invalid):
    """The member would be told to read what is not there."""

    code = "note_missing"
    text = _("Please write the note that the member is asked to read.")


class ReasonMissing(Invalid):
    """People will read it for years."""

    code = "reason_missing"
    text = _("Please type a reason, of at most 200 characters.")


class Claimed(Conflict):
    """Another operator has it open."""

    code = "identity_case_claimed"
    text = _("Another operator is looking at this case.")


class AlreadyDecided(Conflict):
    """It waits for no decision."""

    code = "identity_case_decided"
    text = _("This case does not wait for a decision any more.")


class StillScanned(Conflict):
    """It has not left the quarantine."""

    code = "document_in_quarantine"
    text = _("A document is still being scanned. Please wait for it.")


class VerdictsIncomplete(Invalid):
    """There must be one for each document that waits for one."""

    code = "verdicts_incomplete"
    text = _("Please decide on each document.")


class UnknownPage(NotFound):
    """There is no such page, or not any more."""

    code = "unknown_page"
    text = _("There is no such page, or not any more.")


def open_case(
    *, case_id: int, operator: Member, reason: str, now: datetime
) -> CaseOpening:
    """
    Let an operator see a case for OPEN_FOR, and nobody else while it waits.

    Raises NotReviewer, OwnCase, ReasonMissing or Claimed.
    """
    _demand_reviewer(operator)
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH_MAX or not words.is_line(reason):
        raise ReasonMissing
    with transaction():
        case = documents.lock_case(case_id)
        _demand_others(case, operator)
        if case.state == IdentityCase.State.VERIFYING:
            _demand_unclaimed(case, operator, now)
            case.claimed_by, case.claimed_at = operator, now
            case.save(update_fields=["claimed_by", "claimed_at"])
        opening = CaseOpening.objects.create(
            case=case, operator=operator, reason=reason, at=now
        )
        audit.record(
            _actor(operator), "identity_opened", audit.label(case), reason=reason
        )
    return opening


def release(*, case_id: int, operator: Member) -> None:
    """Let others have a case that this operator has open and does not decide."""
    with transaction():
        case = documents.lock_case(case_id)
        if case.claimed_by_id == operator.pk:
            _forget_claim(case)
            audit.record(_actor(operator), "identity_released", audit.label(case))


def opening_of(
    case: IdentityCase, operator: Member, *, now: datetime
) -> CaseOpening | None:
    """Return by which opening an operator may see a case now; None where by none."""
    if not _is_reviewer(operator) or case.member_id == operator.pk:
        return None
    fresh = case.openings.filter(operator=operator, at__gt=now - OPEN_FOR, at__lte=now)
    return fresh.order_by("-at", "-pk").first()


def claimant_of(case: IdentityCase, *, now: datetime) -> Member | None:
    """Return which operator has a case open; nobody, once that was too long ago."""
    is_fresh = case.claimed_at is not None and case.claimed_at > now - OPEN_FOR
    return case.claimed_by if is_fresh else None


def look(*, page_id: int, operator: Member, now: datetime) -> bytes:
    """
    Return a page as a JPEG with the operator's number and the time drawn into it, and
    write down that it was looked at, and why.

    Raises NotReviewer, OwnCase, NotOpened, UnknownPage or StillScanned.
    """
    _demand_reviewer(operator)
    rows = DocumentPage.objects.select_related("document__case")
    row = rows.filter(pk=page_id).order_by("pk").first()
    if row is None:
        raise UnknownPage
    case = row.document.case
    _demand_others(case, operator)
    opening = opening_of(case, operator, now=now)
    if opening is None:
        raise NotOpened
    if row.document.state == documents.State.QUARANTINED:
        raise StillScanned
    with transaction():
        audit.record(
            _actor(operator),
            "document_viewed",
            audit.label(row.document),
            case=case.pk,
            page=row.number,
            reason=opening.reason,
        )
    mark = f"{operator.sn} · {now:%Y-%m-%d %H:%M:%S} UTC"
    return pictures.watermark(documents.page(row), mark)


def decide(
    *,
    case_id: int,
    operator: Member,
    verdicts: Mapping[int, Verdict],
    now: datetime,
) -> IdentityCase:
    """
    Decide on every document that waits for it, and so on the case: it is verified where
    all are accepted. The member's level follows, and the member hears of it.

    `verdicts` are by the documents' ids. Raises NotReviewer, OwnCase, NotOpened,
    Claimed, AlreadyDecided, StillScanned or VerdictsIncomplete.
    """
    _demand_reviewer(operator)
    by = _actor(operator)
    with transaction():
        case = documents.lock_case(case_id)
        _demand_others(case, operator)
        if case.state != IdentityCase.State.VERIFYING:
            raise AlreadyDecided
        if opening_of(case, operator, now=now) is None:
            raise NotOpened
        _demand_unclaimed(case, operator, now)
        current = list(documents.current(case))
        if any(row.state == documents.State.QUARANTINED for row in current):
            raise StillScanned
        waiting = [row for row in current if row.state == documents.State.SUBMITTED]
        if {row.pk for row in waiting} != set(verdicts):
            raise VerdictsIncomplete
        for row in waiting:
            _judge(row, verdicts[row.pk], operator, now)
        is_good = not documents.current(case).exclude(state="accepted").exists()
        case = states.advance(case, "accept" if is_good else "reject", by=by)
        case.decided_at = now
        case.save(update_fields=["decided_at"])
        _forget_claim(case)
        identity.move_level(case, by=by)
        identity.tell(case, str(case.state))
    return case


def reopen(*, case_id: int, operator: Member, reason: str, now: datetime) -> None:
    """
    Undo what was decided, for a doubt: every document has to be sent again. The member
    hears of it. Raises NotReviewer, OwnCase, ReasonMissing or states.IllegalMove.
    """
    _demand_reviewer(operator)
    by = _actor(operator)
    if not reason.strip():
        raise ReasonMissing
    with transaction():
        case = documents.lock_case(case_id)
        _demand_others(case, operator)
        if case.state == IdentityCase.State.UNVERIFIED:
            return
        case = states.advance(case, "reopen", by=by)
        audit.record(by, "identity_reopened", audit.label(case), reason=reason.strip())
        for row in documents.current(case):
            documents.replace(row, by=by, now=now)
        identity.move_level(case, by=by)
        identity.tell(case, "reopened")


def namesakes_of(document: IdentityDocument) -> QuerySet[IdentityCase]:
    """Return the cases of other members with a document of the same kind and number."""
    if not document.number_digest:
        return IdentityCase.objects.none()
    cases = IdentityCase.objects.filter(
        documents__number_digest=document.number_digest
    ).exclude(pk=document.case_id)
    return cases.select_related("member").distinct().order_by("pk")


def _judge(
    row: IdentityDocument, verdict: Verdict, operator: Member, now: datetime
) -> None:
    by = _actor(operator)
    if verdict.reason == IdentityDocument.Reason.OTHER and not verdict.note.strip():
        raise NoteMissing
    if verdict.reason is None:
        row = states.advance(row, "accept", by=by)
    else:
        row = states.advance(row, "reject", by=by, reason=verdict.reason.value)
        # Not in the trail: operators may quote what must not stand there.
        row.note = verdict.note.strip()[:NOTE_LENGTH_MAX]
    row.decided_at, row.decided_by = now, operator
    row.save(update_fields=["decided_at", "decided_by", "note"])


def _forget_claim(case: IdentityCase) -> None:
    case.claimed_by = case.claimed_at = None
    case.save(update_fields=["claimed_by", "claimed_at"])


def _is_reviewer(operator: Member) -> bool:
    return bool(operator.is_staff and operator.has_perm(PERMISSION))


def _demand_reviewer(operator: Member) -> None:
    if not _is_reviewer(operator):
        raise NotReviewer


def _demand_others(case: IdentityCase, operator: Member) -> None:
    if case.member_id == operator.pk:
        raise OwnCase


def _demand_unclaimed(case: IdentityCase, operator: Member, now: datetime) -> None:
    if claimant_of(case, now=now) not in {None, operator}:
        raise Claimed


def _actor(operator: Member) -> str:
    return f"operator:{operator.pk}"
