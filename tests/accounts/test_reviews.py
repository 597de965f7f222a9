"""Identity cases as operators see them: opened for a reason, looked at, decided."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from PIL import Image

from accounts import documents, identity, reviews
from accounts.models.identity import CaseOpening, IdentityCase
from accounts.models.members import Member
from exchange.lib import mail
from exchange.lib.errors import BrokenPromise
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from tests import rows
from tests.accounts.papers import (
    NOW,
    Reason,
    decide,
    describe,
    hand_in,
    level,
    open_case,
    paper,
    send,
    verdicts,
    verified,
)
from tests.accounts.test_identity import refused
from tests.makers import make_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(alice: Member) -> IdentityCase:
    """Alice's case, which waits for a decision."""
    return send(alice)


@pytest.fixture
def otto(db: None) -> Member:
    """Another operator."""
    return make_member("otto", is_operator=True)


def page_of(case: IdentityCase, part: str = "identity") -> int:
    return int(paper(case, part).pages.get().pk)


def look(page_id: int, operator: Member, now: Any = NOW) -> bytes:
    return reviews.look(page_id=page_id, operator=operator, now=now)


def test_whoever_is_told_to_read_a_note_has_one(
    case: IdentityCase, olive: Member
) -> None:
    open_case(case, olive)
    given = dict.fromkeys(verdicts(case), reviews.Verdict(Reason.OTHER, "  "))

    with pytest.raises(reviews.NoteMissing):
        reviews.decide(case_id=case.pk, operator=olive, verdicts=given, now=NOW)

    states = {row.state for row in documents.current(case)}
    assert states == {"submitted"}


def give(case: IdentityCase, operator: Member, **changes: Any) -> IdentityCase:
    terms = {"verdicts": verdicts(case), "now": NOW, **changes}
    return reviews.decide(case_id=case.pk, operator=operator, **terms)


@pytest.mark.promise("S-65")
def test_it_writes_down_each_look(case: IdentityCase, olive: Member) -> None:
    open_case(case, olive)

    first = look(page_of(case), olive)
    second = look(page_of(case), olive, NOW + timedelta(seconds=1))
    look(page_of(case, "address"), olive)

    looks = AuditRecord.objects.filter(action="document_viewed").order_by("pk")
    assert [(row.actor, row.subject) for row in looks] == [
        (f"operator:{olive.pk}", f"accounts.identitydocument:{paper(case, part).pk}")
        for part in ("identity", "identity", "address")
    ]
    assert {row.facts["reason"] for row in looks} == {"the queue"}
    assert first.startswith(b"\xff\xd8\xff")
    assert first != second  # the time is drawn into it


@pytest.mark.promise("S-65")
def test_it_shows_no_page_as_it_was_kept(case: IdentityCase, olive: Member) -> None:
    open_case(case, olive)
    kept = documents.page(paper(case, "identity").pages.get())

    shown = look(page_of(case), olive)

    with Image.open(io.BytesIO(shown)) as one, Image.open(io.BytesIO(kept)) as other:
        assert one.size == other.size
        assert one.tobytes() != other.tobytes()


@pytest.mark.promise("S-65")
def test_it_opens_a_case_for_a_while(case: IdentityCase, olive: Member) -> None:
    refused(reviews.NotOpened, look, page_of(case), olive)
    open_case(case, olive)

    assert look(page_of(case), olive, NOW + timedelta(minutes=14))
    later = NOW + reviews.OPEN_FOR
    refused(reviews.NotOpened, look, page_of(case), olive, later)
    refused(reviews.NotOpened, look, page_of(case), olive, NOW - timedelta(seconds=1))
    refused(reviews.NotOpened, give, case, olive, now=later)


@pytest.mark.promise("S-65")
@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\nb"])
def test_it_wants_a_reason(case: IdentityCase, olive: Member, reason: str) -> None:
    refused(
        reviews.ReasonMissing,
        reviews.open_case,
        case_id=case.pk,
        operator=olive,
        reason=reason,
        now=NOW,
    )


@pytest.mark.promise("S-65", "S-69", "S-79")
def test_it_is_for_operators_with_the_right(
    case: IdentityCase, olive: Member, bob: Member
) -> None:
    page, terms = page_of(case), {"case_id": case.pk, "operator": bob, "now": NOW}
    for is_staff in (False, True):
        Member.objects.filter(pk=bob.pk).update(is_staff=is_staff)
        terms["operator"] = staff = Member.objects.get(pk=bob.pk)
        refused(reviews.NotReviewer, reviews.open_case, reason="curious", **terms)
        refused(reviews.NotReviewer, look, page, staff)
        refused(reviews.NotReviewer, reviews.decide, verdicts={}, **terms)
        refused(reviews.NotReviewer, reviews.reopen, reason="a doubt", **terms)

    bob.user_permissions.add(Permission.objects.get(codename="review_identity"))
    bob = Member.objects.get(pk=bob.pk)
    open_case(case, bob)
    assert look(page, bob)
    # The right alone, without being an operator, opens nothing.
    Member.objects.filter(pk=bob.pk).update(is_staff=False)
    refused(reviews.NotReviewer, look, page, Member.objects.get(pk=bob.pk))


@pytest.mark.promise("S-65")
def test_the_owner_sees_no_originals_either(case: IdentityCase, alice: Member) -> None:
    refused(reviews.NotReviewer, look, page_of(case), alice)


@pytest.mark.promise("S-79")
def test_nobody_reviews_themselves(olive: Member) -> None:
    case = send(olive)
    page, terms = page_of(case), {"case_id": case.pk, "operator": olive, "now": NOW}

    refused(reviews.OwnCase, reviews.open_case, reason="mine", **terms)
    refused(reviews.OwnCase, look, page, olive)
    refused(reviews.OwnCase, reviews.decide, verdicts={}, **terms)
    refused(reviews.OwnCase, reviews.reopen, reason="mine", **terms)
    with pytest.raises(Exception, match="nobody_reviews_their_own_identity"):
        rows.write("UPDATE accounts_identitycase SET claimed_by_id = member_id")


def test_a_case_is_open_with_one_operator_at_a_time(
    case: IdentityCase, olive: Member, otto: Member
) -> None:
    open_case(case, olive)
    terms: dict[str, Any] = {"case_id": case.pk, "operator": otto, "reason": "me too"}

    refused(reviews.Claimed, reviews.open_case, now=NOW, **terms)
    open_case(case, olive)  # again is fine
    reviews.release(case_id=case.pk, operator=otto)  # not his to give
    refused(reviews.Claimed, reviews.open_case, now=NOW, **terms)

    reviews.release(case_id=case.pk, operator=olive)
    reviews.open_case(now=NOW, **terms)
    refused(reviews.Claimed, give, case, olive)


def test_a_claim_does_not_last_for_ever(
    case: IdentityCase, olive: Member, otto: Member
) -> None:
    open_case(case, olive)
    later = NOW + reviews.OPEN_FOR

    open_case(case, otto, later)

    assert give(case, otto, now=later).state == "verified"


def test_it_verifies_a_case(case: IdentityCase, alice: Member, olive: Member) -> None:
    done = decide(case, olive)

    assert (done.state, done.decided_at, done.claimed_by) == ("verified", NOW, None)
    assert {row.decided_by for row in documents.current(done)} == {olive}
    assert level(alice) == 3
    name = identity.verified_name(Member.objects.get(pk=alice.pk))
    assert name == "Alice Canary-Lindqvist"
    words = mail.read(Mail.objects.get())
    assert words is not None
    assert "your identity is verified" in words.text


@pytest.mark.promise("U-79")
def test_it_tells_a_member_which_document_and_why(
    case: IdentityCase, alice: Member, olive: Member
) -> None:
    open_case(case, olive)
    given = verdicts(case, address=Reason.CUT_OFF)
    bill = paper(case, "address")
    given[bill.pk] = given[bill.pk]._replace(note="The street of 17 is missing.")

    done = give(case, olive, verdicts=given)

    bill.refresh_from_db()
    assert (done.state, bill.reason, bill.note) == (
        "rejected",
        "cut_off",
        "The street of 17 is missing.",
    )
    words = mail.read(Mail.objects.get())
    assert words is not None
    assert "Proof of address: Not all of the document is in the picture." in words.text
    assert "Identity document:" not in words.text
    assert "/account/identity" in words.text
    # Operators may quote what belongs into no mail and no trail.
    assert "street" not in words.text
    assert not AuditRecord.objects.filter(facts__icontains="street").exists()


def test_it_decides_once(case: IdentityCase, olive: Member) -> None:
    given = verdicts(case)
    decide(case, olive)

    refused(reviews.AlreadyDecided, give, case, olive, verdicts=given)


def test_it_decides_on_each_document_or_none(case: IdentityCase, olive: Member) -> None:
    open_case(case, olive)
    given = verdicts(case)
    one = dict(list(given.items())[:1])
    stranger = {**given, 10_000: reviews.Verdict(None)}

    for wrong in ({}, one, stranger):
        refused(reviews.VerdictsIncomplete, give, case, olive, verdicts=wrong)


@pytest.mark.promise("S-71")
def test_it_decides_on_nothing_that_was_not_sent(alice: Member, olive: Member) -> None:
    case = describe(alice)
    hand_in(alice)
    open_case(case, olive)

    refused(reviews.AlreadyDecided, give, case, olive)


@pytest.mark.promise("S-66")
def test_it_opens_nothing_that_is_in_quarantine(
    alice: Member, olive: Member, settings: Any
) -> None:
    settings.SCAN_COMMAND = "missing"
    case = send(alice)
    open_case(case, olive)

    refused(reviews.StillScanned, look, page_of(case), olive)
    refused(reviews.StillScanned, give, case, olive, verdicts={})


def test_it_looks_no_further_where_everything_was_unsafe(
    alice: Member, olive: Member, settings: Any
) -> None:
    settings.SCAN_COMMAND = "false"  # ends with 1, whatever it is given
    case = send(alice)
    documents.scan_waiting(now=NOW)
    open_case(case, olive)

    done = give(case, olive, verdicts={})

    assert (done.state, level(alice)) == ("rejected", 1)


@pytest.mark.promise("S-65")
def test_it_knows_no_page_that_was_erased(case: IdentityCase, olive: Member) -> None:
    page = page_of(case)
    decide(case, olive)
    documents.erase_due(now=NOW + timedelta(days=400))

    refused(reviews.UnknownPage, look, page, olive)
    refused(reviews.UnknownPage, look, 10_000, olive)


@pytest.mark.promise("S-64")
def test_it_shows_no_page_that_was_moved(
    case: IdentityCase, olive: Member, bob: Member
) -> None:
    other = paper(send(bob), "identity").pages.get()
    open_case(case, olive)
    rows.write("DELETE FROM accounts_documentpage WHERE id = %s", other.pk)
    rows.write(
        "UPDATE accounts_documentpage SET file = %s WHERE id = %s",
        other.file,
        page_of(case),
    )

    with pytest.raises(BrokenPromise):
        look(page_of(case), olive)


def test_it_reopens_a_case_for_a_doubt(alice: Member, olive: Member) -> None:
    case = verified(alice, olive)
    terms: dict[str, Any] = {"case_id": case.pk, "operator": olive, "now": NOW}
    refused(reviews.ReasonMissing, reviews.reopen, reason=" ", **terms)

    reviews.reopen(reason="the bank called", **terms)
    reviews.reopen(reason="the bank called", **terms)

    case.refresh_from_db()
    assert (case.state, level(alice)) == ("unverified", 1)
    assert identity.missing_steps(case) == ["identity", "address"]
    assert AuditRecord.objects.filter(action="identity_reopened").count() == 1
    assert Mail.objects.count() == 2


def test_it_reopens_nothing_that_is_being_checked(
    case: IdentityCase, olive: Member
) -> None:
    refused(
        IllegalMove,
        reviews.reopen,
        case_id=case.pk,
        operator=olive,
        reason="a doubt",
        now=NOW,
    )


def test_it_finds_who_handed_in_the_same_document(
    alice: Member, bob: Member, mallory: Member
) -> None:
    for member, number in (
        (alice, "PX-7731 4409"),
        (bob, "px77314409"),
        (mallory, "PX-7731 4408"),
    ):
        describe(member)
        hand_in(member, number=number)
    alices = IdentityCase.objects.get(member=alice)

    found = reviews.namesakes_of(paper(alices, "identity"))

    assert [case.member for case in found] == [bob]


def test_openings_stay_as_they_were(case: IdentityCase, olive: Member) -> None:
    open_case(case, olive)

    opening = CaseOpening.objects.get()
    assert (opening.operator, opening.reason, opening.at) == (olive, "the queue", NOW)
    with pytest.raises(Exception, match="permission denied"):
        rows.write("DELETE FROM accounts_caseopening")
