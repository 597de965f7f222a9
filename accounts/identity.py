"""
The identity check as members see it: levels, what they hand in, what follows from it.

A member says who they are (level 1), an operator believes the identity document (2) and
the proof of address (3). `Member.identity_level` follows from the documents that are
accepted, and moves only here. Whoever changes their data is known as far as they say
until operators have looked again. Deciding is in `reviews`, files are in `documents`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import countries, documents, notices, pictures, throttling
from accounts.documents import Paper, Part
from accounts.models.identity import IdentityCase, IdentityDocument, IdentityLevel
from accounts.models.members import Member
from exchange.lib import audit, states, words
from exchange.lib.errors import Conflict, Invalid, NotAllowed, Refused, TooMany
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction, transaction_required

State = IdentityCase.State
DECLARED, IDENTIFIED, LOCATED = 1, 2, 3

NAME_LENGTH_MAX = 100
LINE_LENGTH_MAX = 120
POSTAL_CODE_LENGTH_MAX = 16
NUMBER_LENGTH_MAX = 32
AGE_MAX = 120
# Of one member: what lies in the vault, and what is sent in a day.
STORED_BYTES_MAX = 64 * 1024 * 1024
DOCUMENTS_PER_DAY_MAX = 20
_SEALED_FOR = "identity case"
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./-]{2,}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True, repr=False)
class PersonalData:
    """Who somebody says they are. It has no text form: it belongs into no log."""

    full_name: str
    birth_on: date
    address_1: str
    address_2: str
    city: str
    postal_code: str
    country: str
    nationality: str


class Limits(NamedTuple):
    """What a member may withdraw, counted in one currency."""

    currency: str
    withdrawal_24h: Decimal
    withdrawal_30d: Decimal


class Upload(NamedTuple):
    """A file as it came: what the browser calls it, and what is in it."""

    filename: str
    content: bytes


class BadData(Invalid):
    """Something in the personal data cannot be right; `field` says where."""

    code = "bad_identity_data"


class BadPaper(Invalid):
    """Something said of a document cannot be right; `field` says where."""

    code = "bad_identity_document"


class NotYet(NotAllowed):
    """The account is frozen, closed, or its address not confirmed."""

    code = "identity_not_open"
    text = _("Your account must be active, and its e-mail address confirmed.")


class UnderReview(Conflict):
    """Operators are looking at it."""

    code = "identity_under_review"
    text = _("We are checking what you have sent. You can change it when we are done.")


class Verified(Conflict):
    """There is nothing to hand in."""

    code = "identity_verified"
    text = _("This has been verified already.")


class Incomplete(Refused):
    """A step was skipped. Facts: missing, the steps."""

    code = "identity_incomplete"
    text = _("Something is missing. Please go through all steps.")


class QuotaReached(TooMany):
    """So many files of one member are enough."""

    code = "identity_quota_reached"
    text = _("You have sent many files. Please come back tomorrow.")


def limits_of(member: Member) -> Limits:
    """Return what a member of this level may withdraw."""
    row = IdentityLevel.objects.get(pk=member.identity_level)
    return Limits(row.currency, row.withdrawal_24h, row.withdrawal_30d)


def verified_name(member: Member) -> str | None:
    """Return the name on the document we believe; None where there is none."""
    if member.identity_level < IDENTIFIED:
        return None
    case = case_of(member)
    data = None if case is None else personal_data(case)
    return None if data is None else data.full_name


def case_of(member: Member) -> IdentityCase | None:
    """Return the case of a member; None before there is anything in it."""
    return IdentityCase.objects.filter(member=member).order_by("pk").first()


def is_being_checked(member: Member) -> bool:
    """Say whether operators have a case of this member to look at."""
    return IdentityCase.objects.filter(member=member, state=State.VERIFYING).exists()


def personal_data(case: IdentityCase) -> PersonalData | None:
    """Return what the member says of themselves; None before they said it."""
    if case.sealed is None:
        return None
    content = unseal(
        bytes(case.sealed), purpose=_SEALED_FOR, bound_to=audit.label(case)
    )
    values = json.loads(content)
    return PersonalData(**values | {"birth_on": date.fromisoformat(values["birth_on"])})


def missing_steps(case: IdentityCase | None) -> list[str]:
    """Return what must be handed in before the case can be sent, in its order."""
    if case is None or case.sealed is None:
        return ["data", *Part.values]
    rows = documents.current(case).exclude(state=documents.State.REJECTED)
    there = set(rows.values_list("part", flat=True))
    return [part for part in Part.values if part not in there]


def describe(*, member: Member, data: PersonalData, now: datetime) -> IdentityCase:
    """
    Take down who a member says they are.

    Other data than before undoes what was verified: accepted documents are looked at
    again, beside the new data. The same data once more changes nothing.

    Raises BadData, NotYet or UnderReview.
    """
    _demand_may_act(member)
    _demand_sound(data, now)
    with transaction():
        case, _is_new = IdentityCase.objects.get_or_create(
            member=member, defaults={"created_at": now}
        )
        case = documents.lock_case(case.pk)
        if case.state == State.VERIFYING:
            raise UnderReview
        if personal_data(case) == data:
            return case
        by = f"member:{member.pk}"
        if case.state != State.UNVERIFIED:
            case = states.advance(case, "reopen", by=by)
        for document in documents.current(case).filter(state=documents.State.ACCEPTED):
            if document.erased_at is None:
                states.advance(document, "look_again", by=by)
            else:
                documents.replace(document, by=by, now=now)
        content = json.dumps(asdict(data), default=date.isoformat).encode()
        case.sealed = seal(content, purpose=_SEALED_FOR, bound_to=audit.label(case))
        case.save(update_fields=["sealed"])
        audit.record(by, "identity_described", audit.label(case))
        move_level(case, by=by)
    return case


def hand_in(
    *, member: Member, paper: Paper, files: Sequence[Upload], now: datetime
) -> IdentityDocument:
    """
    Take a document for one part of the case, in the place of the one before.

    Files are developed first (see pictures): what cannot be is refused, and so is what
    is not needed: a document that was accepted, a case that is being looked at.

    Raises BadPaper, NotYet, Incomplete, UnderReview, Verified, QuotaReached,
    throttling.LimitReached, pictures.FileRefused or pictures.DarkroomBusy.
    """
    _demand_may_act(member)
    _demand_sound_paper(paper, now)
    _demand_wanted(case_of(member), paper.part, now)
    throttling.count_upload(member_id=member.pk, now=now)
    pages = [
        page
        for file in files
        for page in pictures.develop(file.content, filename=file.filename)
    ]
    if not pages:
        raise pictures.EmptyFile
    if len(pages) > pictures.PAGES_MAX:
        raise pictures.TooManyPages
    stored = documents.store(pages)
    with transaction():
        case = documents.lock_case(IdentityCase.objects.get(member=member).pk)
        _demand_wanted(case, paper.part, now)
        return documents.add(case, paper, stored, now=now)


def send(*, member: Member, now: datetime) -> IdentityCase:
    """
    Give the case to the operators. Sending it again changes nothing.

    Raises NotYet, Incomplete or Verified.
    """
    _demand_may_act(member)
    case = case_of(member)
    if case is None:
        raise Incomplete(missing=missing_steps(None))
    with transaction():
        case = documents.lock_case(case.pk)
        if case.state == State.VERIFYING:
            return case
        if case.state == State.VERIFIED:
            raise Verified
        missing = missing_steps(case)
        if missing:
            raise Incomplete(missing=missing)
        IdentityCase.objects.filter(pk=case.pk).update(sent_at=now)
        return states.advance(case, "send", by=f"member:{member.pk}")


def expire_due(*, now: datetime) -> int:
    """
    Reopen the cases whose identity document has run out, and tell their members; return
    how many. The proof of address stays. Safe to run twice at once.
    """
    due = IdentityDocument.objects.filter(
        state=documents.State.ACCEPTED,
        expires_on__lt=now.date(),
        case__state__in=[State.VERIFIED, State.REJECTED],
    )
    count = 0
    for document in due.order_by("pk"):
        with transaction():
            case = documents.lock_case(document.case_id)
            document.refresh_from_db()
            is_settled = case.state in {State.VERIFIED, State.REJECTED}
            if not is_settled or document.state != documents.State.ACCEPTED:
                continue
            case = states.advance(case, "reopen", by="system")
            documents.replace(document, by="system", now=now)
            move_level(case, by="system")
            tell(case, "expired")
            count += 1
    return count


@transaction_required
def move_level(case: IdentityCase, *, by: str) -> int:
    """Let the member's level follow from what is accepted; return it."""
    level = _level(case)
    before = Member.objects.get(pk=case.member_id).identity_level
    if level != before:
        Member.objects.filter(pk=case.member_id).update(identity_level=level)
        subject = f"member:{case.member_id}"
        audit.record(by, "identity_level_moved", subject, before=before, after=level)
    return level


@transaction_required
def tell(case: IdentityCase, outcome: str) -> None:
    """Let a member hear how it stands, with reasons, and without a word of the data."""
    rejected = documents.current(case).filter(state=documents.State.REJECTED)
    notices.tell(
        case.member,
        notices.Event.IDENTITY_DECIDED,
        outcome=outcome,
        rejected=[
            (Part(row.part).label, IdentityDocument.Reason(row.reason).label)
            for row in rejected
        ],
        identity_url=f"{settings.SITE_URL}/account/identity",
    )


def _level(case: IdentityCase) -> int:
    if case.sealed is None:
        return 0
    accepted = documents.current(case).filter(state=documents.State.ACCEPTED)
    parts = set(accepted.values_list("part", flat=True))
    if Part.IDENTITY not in parts:
        return DECLARED
    return LOCATED if Part.ADDRESS in parts else IDENTIFIED


def _demand_may_act(member: Member) -> None:
    if member.state != Member.State.ACTIVE or not member.is_activated:
        raise NotYet


def _demand_wanted(
    case: IdentityCase | None, part: IdentityDocument.Part, now: datetime
) -> None:
    """Raise unless this case waits for a document of this part."""
    if case is None or case.sealed is None:
        raise Incomplete(missing=["data"])
    if case.state == State.VERIFYING:
        raise UnderReview
    accepted = documents.current(case).filter(part=part, state=documents.State.ACCEPTED)
    if accepted.exists():
        raise Verified
    of_today = case.documents.filter(created_at__gt=now - timedelta(days=1))
    is_much = documents.stored_bytes(case) > STORED_BYTES_MAX
    if is_much or of_today.count() >= DOCUMENTS_PER_DAY_MAX:
        raise QuotaReached(retry_after_seconds=86_400)


def _demand_sound(data: PersonalData, now: datetime) -> None:
    for name, length in (
        ("full_name", NAME_LENGTH_MAX),
        ("address_1", LINE_LENGTH_MAX),
        ("address_2", LINE_LENGTH_MAX),
        ("city", NAME_LENGTH_MAX),
        ("postal_code", POSTAL_CODE_LENGTH_MAX),
    ):
        text = getattr(data, name)
        if not text.strip() and name != "address_2":
            raise BadData(_("Please fill this in."), field=name)
        if len(text) > length or not words.is_line(text):
            raise BadData(_("Please use fewer and plain characters."), field=name)
    if len(data.full_name.strip()) < 2 or data.full_name.strip().isdigit():
        message = _("Please write your name as it stands in your document.")
        raise BadData(message, field="full_name")
    for name in ("country", "nationality"):
        if not countries.is_known(getattr(data, name)):
            raise BadData(_("Please choose a country."), field=name)
    age = _age(data.birth_on, now.date())
    if age < settings.IDENTITY_AGE_MIN:
        message = _("You must be at least %(years)s years old.")
        raise BadData(message % {"years": settings.IDENTITY_AGE_MIN}, field="birth_on")
    if age > AGE_MAX:
        raise BadData(_("Please check the year."), field="birth_on")


def _demand_sound_paper(paper: Paper, now: datetime) -> None:
    if paper.kind not in documents.KINDS[paper.part]:
        raise BadPaper(_("Please choose a kind of document."), field="kind")
    if paper.part == Part.ADDRESS:
        return
    number = paper.number
    if len(number) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(number):
        message = _("Please write the number as it stands in the document.")
        raise BadPaper(message, field="number")
    if paper.expires_on is None or paper.expires_on <= now.date():
        message = _("Please send a document that is still valid.")
        raise BadPaper(message, field="expires_on")


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
