"""
What the tests of the identity check have in common: people hand in papers, and an
operator decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from accounts import documents, identity, reviews
from accounts.documents import Paper
from accounts.identity import PersonalData, Upload
from accounts.models.identity import IdentityCase, IdentityDocument
from accounts.models.members import Member
from tests import uploads

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
Part, Kind, Reason = (
    IdentityDocument.Part,
    IdentityDocument.Kind,
    IdentityDocument.Reason,
)

DATA = PersonalData(
    full_name="Alice Canary-Lindqvist",
    birth_on=date(1990, 5, 17),
    address_1="17 Canary Wharf-Gasse",
    address_2="",
    city="Uppsala",
    postal_code="75310",
    country="SE",
    nationality="SE",
)
NUMBER = "PX-7731 4409"
PASSPORT = Paper(
    part=Part.IDENTITY,
    kind=Kind.PASSPORT,
    number=NUMBER,
    expires_on=date(2030, 1, 31),
)
BILL = Paper(part=Part.ADDRESS, kind=Kind.UTILITY_BILL)
PAPERS = {Part.IDENTITY: PASSPORT, Part.ADDRESS: BILL}


def describe(member: Member, now: datetime = NOW, **changes: object) -> IdentityCase:
    data = replace(DATA, **changes)  # type: ignore[arg-type]  # whatever it is
    return identity.describe(member=member, data=data, now=now)


def hand_in(
    member: Member,
    paper: Paper = PASSPORT,
    files: Sequence[Upload] | None = None,
    now: datetime = NOW,
    **changes: object,
) -> IdentityDocument:
    if files is None:
        files = [Upload("scan.jpg", uploads.picture())]
    return identity.hand_in(
        member=member,
        paper=replace(paper, **changes),  # type: ignore[arg-type]  # as above
        files=files,
        now=now,
    )


def send(member: Member, now: datetime = NOW) -> IdentityCase:
    """Go through all steps, as far as they are missing, and send the case."""
    case = identity.case_of(member)
    if case is None or case.sealed is None:
        case = describe(member, now)
    for part in identity.missing_steps(case):
        hand_in(member, PAPERS[Part(part)], now=now)
    return identity.send(member=member, now=now)


def open_case(case: IdentityCase, operator: Member, now: datetime = NOW) -> None:
    reviews.open_case(case_id=case.pk, operator=operator, reason="the queue", now=now)


def decide(
    case: IdentityCase,
    operator: Member,
    now: datetime = NOW,
    **reasons: IdentityDocument.Reason,
) -> IdentityCase:
    """Open the case and decide: accept, unless a reason is given for identity=…."""
    open_case(case, operator, now)
    return reviews.decide(
        case_id=case.pk,
        operator=operator,
        verdicts=verdicts(case, **reasons),
        now=now,
    )


def verdicts(
    case: IdentityCase, **reasons: IdentityDocument.Reason
) -> dict[int, reviews.Verdict]:
    waiting = documents.current(case).filter(state="submitted")
    return {
        row.pk: reviews.Verdict(reasons.get(row.part), note="Both sides, please.")
        for row in waiting
    }


def paper(case: IdentityCase, part: str) -> IdentityDocument:
    """Return the document that counts for a part."""
    return documents.current(case).get(part=part)


def verified(member: Member, operator: Member, now: datetime = NOW) -> IdentityCase:
    return decide(send(member, now), operator, now)


def level(member: Member) -> int:
    return int(Member.objects.get(pk=member.pk).identity_level)
