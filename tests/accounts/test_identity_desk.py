"""The operators' pages of the identity check: the queue, the case, the documents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts import reviews
from accounts.models.identity import CaseOpening, IdentityCase, IdentityLevel
from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from tests import rows
from tests.accounts.papers import (
    DATA,
    NUMBER,
    Kind,
    Reason,
    decide,
    hand_in,
    paper,
    send,
    verified,
)
from tests.makers import Answer, prove

pytestmark = pytest.mark.django_db

CASES = "/admin/accounts/identitycase/"


@pytest.fixture
def case(alice: Member) -> IdentityCase:
    return send(alice, timezone.now())


def text(desk: Client, case: IdentityCase) -> str:
    answer = desk.get(f"{CASES}{case.pk}/change/")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


def open_case(desk: Client, case: IdentityCase, reason: str = "the queue") -> Answer:
    return desk.post(f"{CASES}{case.pk}/open", {"reason": reason}, follow=True)


def picture(desk: Client, case: IdentityCase, part: str = "identity") -> Answer:
    return desk.get(f"{CASES}pages/{paper(case, part).pages.get().pk}")


def verdict(case: IdentityCase, **given: str) -> dict[str, str]:
    return {
        f"document-{paper(case, part).pk}-verdict": word for part, word in given.items()
    }


def test_it_shows_who_waits_the_longest_first(
    desk: Client, alice: Member, bob: Member, mallory: Member, olive: Member
) -> None:
    now = timezone.now()
    send(bob, now - timedelta(hours=1))
    send(alice, now)
    verified(mallory, olive, now)

    queue = desk.get(CASES).content.decode()
    done = desk.get(CASES, {"queue": "verified"}).content.decode()

    assert queue.index(bob.sn) < queue.index(alice.sn)
    assert mallory.sn not in queue
    assert mallory.sn in done
    assert bob.sn in desk.get(CASES, {"queue": "all"}).content.decode()


def test_it_says_until_when_it_is_open(
    desk: Client, case: IdentityCase, olive: Member
) -> None:
    Member.objects.filter(pk=olive.pk).update(time_zone="Asia/Shanghai")
    open_case(desk, case)
    until = CaseOpening.objects.get().at + reviews.OPEN_FOR
    assert f"Open until {until:%H:%M} UTC" in text(desk, case)


@pytest.mark.promise("S-65", "S-68")
def test_it_shows_nothing_before_a_reason_is_given(
    desk: Client, case: IdentityCase
) -> None:
    before = text(desk, case)
    answer = open_case(desk, case, "  ")
    after = text(desk, case)

    for page in (before, answer.content.decode(), after):
        for hidden in (DATA.full_name, DATA.address_1, NUMBER, "1990", "pages/"):
            assert hidden not in page
    assert "•••409" in before
    assert "Please type a reason" in answer.content.decode()
    assert picture(desk, case).status_code == 403
    assert not AuditRecord.objects.filter(action="document_viewed").exists()


@pytest.mark.promise("S-65")
def test_it_shows_a_case_that_is_open(desk: Client, case: IdentityCase) -> None:
    open_case(desk, case)

    page = text(desk, case)

    for shown in (DATA.full_name, DATA.address_1, NUMBER, "1990-05-17", "Sweden"):
        assert shown in page
    assert page.count("/admin/accounts/identitycase/pages/") == 4  # link and picture
    assert "Not scanned" in page


@pytest.mark.promise("S-63", "S-65")
def test_it_serves_a_page_that_can_do_nothing(
    desk: Client, case: IdentityCase, olive: Member
) -> None:
    open_case(desk, case)

    answer = picture(desk, case)

    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("inline; filename=")
    assert "no-store" in answer["Cache-Control"]
    looked = AuditRecord.objects.get(action="document_viewed")
    assert looked.actor == f"operator:{olive.pk}"
    assert looked.facts["reason"] == "the queue"


@pytest.mark.promise("S-63", "S-65", "S-69")
def test_it_gives_a_page_to_nobody_else(
    case: IdentityCase, alice: Member, bob: Member, desk: Client
) -> None:
    """Not to its owner, not to others, not to operators without the right, not open."""
    open_case(desk, case)
    page = paper(case, "identity").pages.get()
    paths = (
        f"{CASES}pages/{page.pk}",
        f"/documents/{page.file}",
        f"/static/documents/{page.file}",
        f"/static/../documents/{page.file}",
        f"/media/{page.file}",
    )
    staff = Member.objects.create(email="sam@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_identitycase"))

    for member in (None, alice, bob, staff):
        client = Client()
        if member is not None:
            client.force_login(member)
            prove(client, member)
        for path in paths:
            answer = client.get(path)
            assert answer.status_code in {302, 403, 404}, (member, path)
            assert b"\xff\xd8\xff" not in answer.content


@pytest.mark.promise("S-69", "S-79")
def test_it_opens_and_decides_for_no_operator_without_the_right(
    case: IdentityCase,
) -> None:
    staff = Member.objects.create(email="sam@example.com", is_staff=True)
    client = Client()
    client.force_login(staff)
    prove(client, staff)
    assert client.get(CASES).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_identitycase"))
    before = rows.dump()

    page = text(client, case)
    opened = open_case(client, case)
    client.post(
        f"{CASES}{case.pk}/decide", verdict(case, identity="accept", address="accept")
    )

    assert "not what is in it" in page
    assert "You may not see identity cases." in opened.content.decode()
    assert rows.dump() == before


def test_it_accepts_and_rejects_each_document(
    desk: Client, case: IdentityCase, alice: Member
) -> None:
    open_case(desk, case)
    bill = paper(case, "address")
    words = verdict(case, identity="accept", address="reject:cut_off")

    answer = desk.post(
        f"{CASES}{case.pk}/decide",
        {**words, f"document-{bill.pk}-note": "The top is missing."},
        follow=True,
    )

    assert "rejected" in answer.content.decode()
    case.refresh_from_db()
    bill.refresh_from_db()
    assert (case.state, bill.reason) == ("rejected", "cut_off")
    assert bill.note == "The top is missing."
    alice.refresh_from_db()
    assert alice.identity_level == 2


@pytest.mark.parametrize(
    "words", [{}, {"identity": "accept"}, {"identity": "accept", "address": "nonsense"}]
)
def test_it_takes_no_half_decision(
    desk: Client, case: IdentityCase, words: dict[str, str]
) -> None:
    open_case(desk, case)
    before = rows.dump()

    answer = desk.post(f"{CASES}{case.pk}/decide", verdict(case, **words), follow=True)

    assert "Please decide on each document." in answer.content.decode()
    assert rows.dump() == before


def test_it_leaves_a_case_to_others(
    desk: Client, case: IdentityCase, olive: Member
) -> None:
    open_case(desk, case)
    case.refresh_from_db()
    assert case.claimed_by == olive

    desk.post(f"{CASES}{case.pk}/release")

    case.refresh_from_db()
    assert case.claimed_by is None


@pytest.mark.promise("S-57")
@pytest.mark.parametrize("deed", ["open", "decide", "release"])
def test_it_does_nothing_by_a_link(desk: Client, case: IdentityCase, deed: str) -> None:
    before = rows.dump()

    assert desk.get(f"{CASES}{case.pk}/{deed}").status_code == 405
    assert rows.dump() == before


def test_it_says_who_else_has_the_same_document(
    desk: Client, case: IdentityCase, bob: Member
) -> None:
    send(bob, timezone.now())
    closed = text(desk, case)
    open_case(desk, case)

    assert "bob@example.com" not in closed
    assert "The same number was handed in by bob@example.com" in text(desk, case)


def test_it_shows_what_was_sent_last(
    desk: Client, alice: Member, olive: Member
) -> None:
    now = timezone.now()
    case = send(alice, now - timedelta(hours=2))
    refused = Reason.UNREADABLE
    decide(case, olive, now - timedelta(hours=1), identity=refused)
    hand_in(alice, number="ZZ-9000 1234", kind=Kind.ID_CARD, now=now)
    send(alice, now)
    open_case(desk, case)

    page = text(desk, case)

    assert "Identity document: Identity card · received" in page
    assert "Proof of address: Utility bill · accepted" in page
    assert "ZZ-9000 1234" in page
    assert NUMBER not in page
    assert str(refused.label) not in page.split("<option")[0]


def test_it_says_who_has_a_case_open_as_long_as_they_have(
    desk: Client, case: IdentityCase, olive: Member
) -> None:
    open_case(desk, case)
    fresh = text(desk, case)
    hour_ago = timezone.now() - timedelta(hours=1)
    IdentityCase.objects.filter(pk=case.pk).update(claimed_at=hour_ago)

    assert f"open with {olive.email}" in fresh
    assert "open with" not in text(desk, case)


def test_operators_do_not_open_their_own(olive: Member, desk: Client) -> None:
    case = send(olive, timezone.now())

    assert "This is your own case." in text(desk, case)
    assert "This is your own case." in open_case(desk, case).content.decode()
    assert not CaseOpening.objects.exists()


def test_it_reopens_with_a_reason(desk: Client, alice: Member, olive: Member) -> None:
    case = verified(alice, olive, timezone.now())
    form: dict[str, Any] = {"action": "reopen", "_selected_action": [case.pk]}

    desk.post(f"{CASES}?queue=all", {**form, "reason": ""})
    case.refresh_from_db()
    assert case.state == "verified"
    desk.post(f"{CASES}?queue=all", {**form, "reason": "the bank called"})

    case.refresh_from_db()
    assert case.state == "unverified"


def test_it_changes_limits_on_the_record(desk: Client) -> None:
    path = "/admin/accounts/identitylevel/2/change/"
    terms = {"currency": "usd", "withdrawal_24h": "5", "withdrawal_30d": "50"}

    answer = desk.post(path, terms)
    nonsense = desk.post(path, {**terms, "withdrawal_24h": "51"})

    assert (answer.status_code, nonsense.status_code) == (302, 200)
    assert IdentityLevel.objects.get(pk=2).withdrawal_24h == 5
    assert AuditRecord.objects.get(subject="identitylevel:2").action == "edited"


def test_it_is_open_no_longer_than_it_says(desk: Client, case: IdentityCase) -> None:
    open_case(desk, case)
    rows.plant(
        "UPDATE accounts_caseopening SET at = at"
        f" - interval '{int(reviews.OPEN_FOR.total_seconds())} seconds'"
    )

    assert DATA.full_name not in text(desk, case)
    assert picture(desk, case).status_code == 403


@pytest.mark.parametrize("deed", ["open", "release", "decide", "pages"])
def test_it_knows_nothing_of_a_case_that_is_not_there(desk: Client, deed: str) -> None:
    if deed == "pages":
        answer = desk.get(f"{CASES}pages/99")
    else:
        answer = desk.post(f"{CASES}99/{deed}", {"reason": "curious"}, follow=True)

    assert answer.status_code == 404 or "There is no such" in answer.content.decode()
