"""One case, many hands: a decision is made once, and of what was looked at."""

from __future__ import annotations

from functools import partial
from threading import Barrier, BoundedSemaphore

import pytest

from accounts import documents, identity, pictures, reviews
from accounts.identity import UnderReview
from accounts.models.identity import IdentityCase, IdentityDocument
from accounts.models.members import Member
from accounts.reviews import AlreadyDecided, Claimed
from exchange.lib.models import AuditRecord, Mail
from tests.accounts.papers import (
    NOW,
    PAPERS,
    Reason,
    describe,
    hand_in,
    level,
    open_case,
    send,
    verdicts,
)
from tests.makers import make_member
from tests.races.crowd import at_once, count

pytestmark = [pytest.mark.races, pytest.mark.django_db]


def claim(case: IdentityCase, operator: Member) -> object:
    return reviews.open_case(
        case_id=case.pk, operator=operator, reason="the queue", now=NOW
    )


def test_two_operators_could_have_one_case_without_the_lock(
    alice: Member, olive: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: if this does not go wrong, the test below proves nothing."""
    case, otto = send(alice), make_member("otto", is_operator=True)
    both_have_read = Barrier(2, timeout=30)

    def read_only(case_id: int) -> IdentityCase:
        row = IdentityCase.objects.get(pk=case_id)
        both_have_read.wait()
        return row

    monkeypatch.setattr(documents, "lock_case", read_only)

    results = at_once(partial(claim, case, olive), partial(claim, case, otto))

    assert count(results, Claimed) == 0


@pytest.mark.promise("S-72")
def test_one_operator_gets_a_case(alice: Member, olive: Member) -> None:
    case, otto = send(alice), make_member("otto", is_operator=True)

    results = at_once(partial(claim, case, olive), partial(claim, case, otto))

    assert count(results, Claimed) == 1


@pytest.mark.promise("S-71", "S-72")
def test_a_case_is_decided_once(alice: Member, olive: Member) -> None:
    case = send(alice)
    open_case(case, olive)
    good, bad = verdicts(case), verdicts(case, identity=Reason.ALTERED)

    results = at_once(
        *[
            partial(
                reviews.decide,
                case_id=case.pk,
                operator=olive,
                verdicts=given,
                now=NOW,
            )
            for given in (good, bad, good, bad)
        ]
    )

    assert count(results, IdentityCase) == 1
    assert count(results, AlreadyDecided) == 3
    case.refresh_from_db()
    assert level(alice) == (3 if case.state == "verified" else 1)
    assert Mail.objects.count() == 1


@pytest.mark.promise("S-71", "S-72")
def test_nobody_is_verified_under_a_name_that_was_not_looked_at(
    alice: Member, olive: Member
) -> None:
    case = send(alice)
    open_case(case, olive)

    at_once(
        partial(
            reviews.decide,
            case_id=case.pk,
            operator=olive,
            verdicts=verdicts(case),
            now=NOW,
        ),
        partial(describe, alice, full_name="Mallory Somebody"),
    )

    alice.refresh_from_db()
    assert identity.verified_name(alice) in {None, "Alice Canary-Lindqvist"}
    data = identity.personal_data(IdentityCase.objects.get(pk=case.pk))
    assert data is not None
    if data.full_name == "Mallory Somebody":
        assert alice.identity_level == 1


def test_one_document_counts_however_many_arrive(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_AT_ONCE", BoundedSemaphore(4))
    describe(alice)

    results = at_once(*[partial(hand_in, alice)] * 4)

    assert count(results, IdentityDocument) == 4
    states = sorted(IdentityDocument.objects.values_list("state", flat=True))
    assert states == ["replaced", "replaced", "replaced", "submitted"]


def test_a_case_is_made_once(alice: Member) -> None:
    results = at_once(*[partial(describe, alice)] * 4)

    assert count(results, IdentityCase) == 4
    assert AuditRecord.objects.filter(action="identity_described").count() == 1


@pytest.mark.promise("S-72")
def test_nothing_is_changed_once_it_is_sent(alice: Member) -> None:
    describe(alice)
    for each in PAPERS.values():
        hand_in(alice, each)

    results = at_once(
        partial(identity.send, member=alice, now=NOW),
        *[partial(describe, alice, city=f"Town {n}") for n in range(3)],
    )

    case = IdentityCase.objects.get(member=alice)
    assert case.state == "verifying"
    changed = AuditRecord.objects.filter(action="identity_described").count() - 1
    assert changed + count(results, UnderReview) == 3
