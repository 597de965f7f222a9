"""The identity check as members see it: data, documents, levels."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django_fsm import can_proceed

from accounts import documents, identity, members, pictures, throttling
from accounts.documents import Part
from accounts.identity import PersonalData, Upload
from accounts.models.identity import (
    DocumentPage,
    IdentityCase,
    IdentityDocument,
    IdentityLevel,
)
from accounts.models.members import Member
from accounts.tasks import scan_documents, tidy_identities
from exchange.lib import mail, states
from exchange.lib.errors import BrokenPromise, ExchangeError
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests import rows, uploads
from tests.accounts.papers import (
    BILL,
    DATA,
    NOW,
    NUMBER,
    PASSPORT,
    Kind,
    Reason,
    decide,
    describe,
    hand_in,
    level,
    paper,
    send,
    verified,
)

pytestmark = pytest.mark.django_db

MOVES = {
    IdentityCase: {
        "send": ({"unverified", "rejected"}, "verifying"),
        "accept": ({"verifying"}, "verified"),
        "reject": ({"verifying"}, "rejected"),
        "reopen": ({"verified", "rejected"}, "unverified"),
    },
    IdentityDocument: {
        "release": ({"quarantined"}, "submitted"),
        "accept": ({"submitted"}, "accepted"),
        "reject": ({"quarantined", "submitted"}, "rejected"),
        "look_again": ({"accepted"}, "submitted"),
        "replace": ({"quarantined", "submitted", "accepted", "rejected"}, "replaced"),
    },
}


def refused(kind: type[ExchangeError], deed: Any, /, *args: Any, **named: Any) -> Any:
    """Do what must be refused, and see that nothing has changed."""
    before = rows.dump()
    with pytest.raises(kind) as refusal:
        deed(*args, **named)
    assert type(refusal.value) is kind
    assert refusal.value.message
    assert rows.dump() == before
    return refusal.value


@pytest.mark.promise("S-71")
@pytest.mark.parametrize("model", MOVES)
def test_it_moves_between_these_states_and_no_others(
    alice: Member, model: type[IdentityCase] | type[IdentityDocument]
) -> None:
    case = send(alice)
    row: Any = case if model is IdentityCase else paper(case, "identity")
    known = {move.name for move in row.get_all_state_transitions()}
    assert known == set(MOVES[model])

    for state, (move, (sources, target)) in product(
        model.State.values, MOVES[model].items()
    ):
        rows.write(
            f"UPDATE {model._meta.db_table} SET state = %s, reason = 'other'"
            if model is IdentityDocument
            else f"UPDATE {model._meta.db_table} SET state = %s",
            state,
        )
        needs_reason = model is IdentityDocument and move == "reject"
        facts = {"reason": "other"} if needs_reason else {}
        fresh = model.objects.get(pk=row.pk)
        assert can_proceed(getattr(fresh, move)) == (state in sources)

        with transaction():
            if state in sources or state == target:
                moved = states.advance(fresh, move, by="system", **facts)
                assert moved.state == target, (state, move)
            else:
                with pytest.raises(IllegalMove):
                    states.advance(fresh, move, by="system", **facts)


def test_it_takes_down_who_somebody_is(alice: Member) -> None:
    case = describe(alice)

    assert identity.personal_data(case) == DATA
    assert (case.state, level(alice)) == ("unverified", identity.DECLARED)
    deeds = AuditRecord.objects.filter(actor=f"member:{alice.pk}").order_by("pk")
    assert [deed.action for deed in deeds] == [
        "identity_described",
        "identity_level_moved",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("full_name", ""),
        ("full_name", " "),
        ("full_name", "12345"),
        ("full_name", "x" * 101),
        ("full_name", "Alice\nBcc: mallory"),
        ("full_name", "Alice\0"),
        ("birth_on", date(2008, 11, 25)),  # eighteen tomorrow
        ("birth_on", date(2026, 11, 25)),
        ("birth_on", date(1890, 1, 1)),
        ("address_1", ""),
        ("address_2", "x" * 121),
        ("city", ""),
        ("postal_code", "x" * 17),
        ("country", ""),
        ("country", "EU"),
        ("country", "se"),
        ("nationality", "Sweden"),
    ],
)
def test_it_refuses_data_that_cannot_be_right(
    alice: Member, field: str, value: object
) -> None:
    refusal = refused(identity.BadData, describe, alice, **{field: value})

    assert refusal.facts == {"field": field}


@pytest.mark.parametrize("born", [date(2008, 11, 24), date(2008, 2, 29)])
def test_it_takes_who_is_old_enough_today(alice: Member, born: date) -> None:
    assert describe(alice, birth_on=born).sealed is not None


def test_it_asks_for_the_age_the_house_wants(alice: Member, settings: Any) -> None:
    settings.IDENTITY_AGE_MIN = 21

    refusal = refused(identity.BadData, describe, alice, birth_on=date(2006, 1, 1))

    assert "21" in refusal.message


def test_it_takes_a_document_in_the_place_of_another(alice: Member) -> None:
    case = describe(alice)
    first = hand_in(alice)
    file = first.pages.get().file

    second = hand_in(alice, number="NEW-1")

    first.refresh_from_db()
    assert (first.state, second.state) == ("replaced", "submitted")
    assert list(documents.current(case)) == [second]
    # Nobody ever looked at the first: there is no reason to keep it.
    assert not first.pages.exists()
    assert (first.sealed, first.erased_at) == (None, NOW)
    assert not (Path(settings.DOCUMENTS_DIR) / file).exists()


def test_it_keeps_both_sides_of_a_card(alice: Member) -> None:
    describe(alice)
    files = [
        Upload("front.png", uploads.picture("PNG")),
        Upload("back.webp", uploads.picture("WEBP")),
    ]

    card = hand_in(alice, files=files, kind=Kind.ID_CARD)

    assert [page.number for page in card.pages.all()] == [1, 2]
    for page in card.pages.all():
        assert documents.page(page).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": Kind.TAX_BILL}, "kind"),
        ({"part": Part.ADDRESS}, "kind"),
        ({"number": ""}, "number"),
        ({"number": "12"}, "number"),
        ({"number": "1" * 33}, "number"),
        ({"number": "<script>"}, "number"),
        ({"expires_on": None}, "expires_on"),
        ({"expires_on": NOW.date()}, "expires_on"),
    ],
)
def test_it_refuses_papers_that_cannot_be_right(
    alice: Member, changes: dict[str, Any], field: str
) -> None:
    describe(alice)

    refusal = refused(identity.BadPaper, hand_in, alice, **changes)

    assert refusal.facts == {"field": field}


@pytest.mark.promise("S-61")
@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ([], pictures.EmptyFile),
        ([Upload("a.jpg", uploads.HTML)], pictures.UnknownKind),
        ([Upload("a.pdf", uploads.pdf(4))] * 2, pictures.TooManyPages),
    ],
)
def test_it_refuses_files_that_are_no_document(
    alice: Member, files: list[Upload], refusal: type[ExchangeError]
) -> None:
    describe(alice)

    refused(refusal, hand_in, alice, files=files)


@pytest.mark.promise("S-71")
def test_it_lets_no_step_be_skipped(alice: Member) -> None:
    refused(identity.Incomplete, hand_in, alice)
    refused(identity.Incomplete, identity.send, member=alice, now=NOW)
    describe(alice)
    refusal = refused(identity.Incomplete, identity.send, member=alice, now=NOW)
    assert refusal.facts == {"missing": ["identity", "address"]}
    hand_in(alice)
    refusal = refused(identity.Incomplete, identity.send, member=alice, now=NOW)
    assert refusal.facts == {"missing": ["address"]}
    hand_in(alice, BILL)

    case = identity.send(member=alice, now=NOW)

    assert (case.state, case.sent_at, level(alice)) == ("verifying", NOW, 1)


def test_it_sends_twice_like_once(alice: Member) -> None:
    send(alice)

    again = identity.send(member=alice, now=NOW + timedelta(hours=1))

    assert again.sent_at == NOW
    assert AuditRecord.objects.filter(action="send").count() == 1


@pytest.mark.promise("S-71", "S-72")
def test_it_changes_nothing_while_operators_look(alice: Member) -> None:
    send(alice)

    refused(identity.UnderReview, describe, alice, city="Elsewhere")
    refused(identity.UnderReview, hand_in, alice)
    refused(identity.UnderReview, hand_in, alice, BILL)


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("state", ["frozen", "closed", "new"])
def test_it_takes_nothing_from_who_may_not_act(alice: Member, state: str) -> None:
    describe(alice)
    if state == "frozen":
        members.freeze(member=alice, by="system", reason="a stolen phone")
    elif state == "closed":
        members.close(member=alice, by="system", reason="gone", now=NOW)
    else:
        Member.objects.filter(pk=alice.pk).update(activated_at=None)
    alice.refresh_from_db()

    refused(identity.NotYet, describe, alice, city="Elsewhere")
    refused(identity.NotYet, hand_in, alice)
    refused(identity.NotYet, identity.send, member=alice, now=NOW)


@pytest.mark.promise("S-71", "U-80")
def test_it_raises_the_level_with_what_is_believed(
    alice: Member, olive: Member
) -> None:
    seen = [level(alice)]
    describe(alice)
    seen.append(level(alice))
    case = send(alice)
    seen.append(level(alice))
    decide(case, olive, address=Reason.OUT_OF_DATE)
    seen.append(level(alice))
    decide(send(alice), olive)
    seen.append(level(alice))

    assert seen == [0, 1, 1, 2, 3]
    moves = AuditRecord.objects.filter(action="identity_level_moved").order_by("pk")
    assert [(row.facts["before"], row.facts["after"]) for row in moves] == [
        (0, 1),
        (1, 2),
        (2, 3),
    ]


@pytest.mark.promise("S-71")
def test_a_proof_of_address_alone_proves_nobody(alice: Member, olive: Member) -> None:
    decide(send(alice), olive, identity=Reason.UNREADABLE)

    assert level(alice) == 1
    assert identity.verified_name(Member.objects.get(pk=alice.pk)) is None


@pytest.mark.promise("U-79")
def test_it_takes_again_only_what_was_not_accepted(
    alice: Member, olive: Member
) -> None:
    case = decide(send(alice), olive, address=Reason.CUT_OFF)
    assert identity.missing_steps(case) == ["address"]

    refused(identity.Verified, hand_in, alice, PASSPORT)
    hand_in(alice, BILL)
    case = identity.send(member=alice, now=NOW)

    assert paper(case, "identity").state == "accepted"
    assert paper(case, "address").state == "submitted"
    assert decide(case, olive).state == "verified"


def test_it_takes_nothing_that_is_verified(alice: Member, olive: Member) -> None:
    verified(alice, olive)

    refused(identity.Verified, hand_in, alice)
    refused(identity.Verified, hand_in, alice, BILL)
    refused(identity.Verified, identity.send, member=alice, now=NOW)


@pytest.mark.promise("S-71")
def test_it_believes_no_new_data_for_the_sake_of_old_documents(
    alice: Member, olive: Member
) -> None:
    verified(alice, olive)

    case = describe(alice, full_name="Mallory Somebody")

    assert (case.state, level(alice)) == ("unverified", 1)
    assert identity.verified_name(Member.objects.get(pk=alice.pk)) is None
    # The documents are here: operators look at them again, beside the new name.
    assert {row.state for row in documents.current(case)} == {"submitted"}
    assert decide(send(alice), olive, identity=Reason.MISMATCH).state == "rejected"


def test_it_asks_for_documents_it_no_longer_has(alice: Member, olive: Member) -> None:
    verified(alice, olive)
    documents.erase_due(now=NOW + timedelta(days=400))

    case = describe(alice, now=NOW + timedelta(days=401), city="Lund")

    assert identity.missing_steps(case) == ["identity", "address"]


def test_the_same_data_once_more_changes_nothing(alice: Member, olive: Member) -> None:
    verified(alice, olive)
    before = rows.dump()

    describe(alice)

    assert rows.dump() == before


def test_it_reopens_a_case_whose_document_runs_out(
    alice: Member, bob: Member, olive: Member
) -> None:
    verified(alice, olive)
    describe(bob)
    hand_in(bob, expires_on=date(2040, 1, 1))
    verified(bob, olive)
    last_day = datetime(2030, 1, 31, 23, tzinfo=NOW.tzinfo)
    assert identity.expire_due(now=last_day) == 0

    counts = [identity.expire_due(now=last_day + timedelta(hours=1)) for _ in "ab"]

    assert counts == [1, 0]
    case = IdentityCase.objects.get(member=alice)
    assert (case.state, level(alice), level(bob)) == ("unverified", 1, 3)
    assert identity.missing_steps(case) == ["identity"]
    words = mail.read(Mail.objects.order_by("pk").last() or Mail())
    assert words is not None
    assert "not valid any more" in words.text


@pytest.mark.promise("U-80")
def test_it_says_what_a_level_allows(alice: Member, olive: Member) -> None:
    rows.write(
        "UPDATE accounts_identitylevel SET withdrawal_24h = 7, withdrawal_30d = 8"
        " WHERE level = 3"
    )
    nothing = identity.limits_of(alice)
    verified(alice, olive)

    limits = identity.limits_of(Member.objects.get(pk=alice.pk))

    assert nothing == ("usd", Decimal(0), Decimal(0))
    assert limits == ("usd", Decimal(7), Decimal(8))


def test_it_has_limits_for_every_level() -> None:
    levels = list(IdentityLevel.objects.order_by("level"))

    assert [row.level for row in levels] == [0, 1, 2, 3]
    assert [row.withdrawal_24h for row in levels] == sorted(
        row.withdrawal_24h for row in levels
    )


@pytest.mark.promise("S-74")
def test_it_takes_so_many_files_at_once(alice: Member) -> None:
    describe(alice)
    broken = [Upload("a.jpg", uploads.HTML)]
    for _ in range(throttling.UPLOADS_PER_MEMBER):
        with pytest.raises(pictures.UnknownKind):
            hand_in(alice, files=broken)

    refused(throttling.LimitReached, hand_in, alice)


@pytest.mark.promise("S-67", "S-74")
def test_it_takes_so_many_documents_a_day(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "DOCUMENTS_PER_DAY_MAX", 2)
    describe(alice)
    hand_in(alice)
    hand_in(alice)

    refused(identity.QuotaReached, hand_in, alice)

    tomorrow = hand_in(alice, now=NOW + timedelta(days=1, seconds=1))
    assert tomorrow.state == "submitted"


@pytest.mark.promise("S-67")
def test_it_keeps_so_much_of_one_member(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(alice)
    hand_in(alice)
    monkeypatch.setattr(identity, "STORED_BYTES_MAX", 10)

    refused(identity.QuotaReached, hand_in, alice, BILL)


def test_the_data_of_one_case_opens_in_no_other(alice: Member, bob: Member) -> None:
    describe(alice)
    case = describe(bob, full_name="Bob Stone")
    rows.write(
        "UPDATE accounts_identitycase SET sealed = (SELECT sealed FROM"
        " accounts_identitycase WHERE member_id = %s)",
        alice.pk,
    )

    with pytest.raises(BrokenPromise):
        identity.personal_data(IdentityCase.objects.get(pk=case.pk))


@pytest.mark.promise("S-68")
def test_it_says_nothing_of_a_person_where_it_should_not(
    alice: Member,
    olive: Member,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Names, numbers and addresses are in no row, trail, mail, log or text form."""
    caplog.set_level(logging.DEBUG)
    case = decide(send(alice), olive, identity=Reason.MISMATCH, address=Reason.OTHER)
    decide(send(alice), olive)
    with pytest.raises(identity.BadData) as refusal:
        describe(alice, full_name=DATA.full_name * 9)
    canaries = {
        *("Canary-Lindqvist", "Canary Wharf-Gasse", "75310", "1990-05-17"),
        *(NUMBER, NUMBER.replace(" ", "").replace("-", "")),
    }

    places = [line for table in rows.dump().values() for line in table]
    places += [record.getMessage() for record in caplog.records]
    places += [repr(DATA), str(DATA), repr(PASSPORT), repr(refusal.value)]
    places += [repr(case), str(paper(case, "identity"))]
    for row in Mail.objects.all():
        words = mail.read(row)
        assert words is not None
        places += [row.subject, words.text, words.html]

    assert Mail.objects.count() == 2
    for canary in canaries:
        raw = canary.encode().hex()
        assert not [place for place in places if canary in place or raw in place]


@pytest.mark.promise("S-67")
def test_it_erases_documents_in_time(alice: Member, olive: Member) -> None:
    verified(alice, olive)
    files = list(DocumentPage.objects.values_list("file", flat=True))
    kept_days = settings.IDENTITY_KEPT_DAYS

    early = documents.erase_due(now=NOW + timedelta(days=kept_days))
    counts = [
        documents.erase_due(now=NOW + timedelta(days=kept_days, seconds=1))
        for _ in "ab"
    ]

    assert (early, counts) == (0, [2, 0])
    assert not DocumentPage.objects.exists()
    assert {row.sealed for row in IdentityDocument.objects.all()} == {None}
    for file in files:
        assert not (Path(settings.DOCUMENTS_DIR) / file).exists()
    assert AuditRecord.objects.filter(action="document_erased").count() == 2
    # What was proven stays proven.
    assert level(alice) == 3


@pytest.mark.promise("S-67")
def test_it_erases_what_was_left_lying_and_keeps_what_waits(
    alice: Member, bob: Member, mallory: Member
) -> None:
    describe(alice)
    left = hand_in(alice)
    waits = paper(send(bob), "identity")
    gone = paper(send(mallory), "identity")
    members.close(member=mallory, by="system", reason="gone", now=NOW)

    documents.erase_due(now=NOW + timedelta(days=settings.IDENTITY_KEPT_DAYS + 1))

    for row in (left, waits, gone):
        row.refresh_from_db()
    assert (left.state, left.pages.count()) == ("replaced", 0)
    assert (waits.state, waits.pages.count()) == ("submitted", 1)
    assert gone.pages.count() == 0


def test_a_document_that_was_never_written_down_leaves_nothing(
    alice: Member, monkeypatch: pytest.MonkeyPatch, documents_dir: Path
) -> None:
    """The row fails after the file was written: its key is gone, the file goes."""
    describe(alice)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(documents, "add", fail)
    with pytest.raises(RuntimeError):
        hand_in(alice)
    (path,) = documents_dir.iterdir()

    documents.erase_due(now=datetime.now(NOW.tzinfo) + timedelta(hours=2))

    assert not path.exists()


def scan_with(settings: Any, tmp_path: Path, script: str) -> None:
    """Have a scanner that does what a line of shell does."""
    program = tmp_path / "scanner"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    settings.SCAN_COMMAND = f"{program} -"


@pytest.mark.promise("S-66")
def test_it_keeps_documents_apart_until_they_are_scanned(
    alice: Member, settings: Any, tmp_path: Path
) -> None:
    scan_with(settings, tmp_path, f"cat > {tmp_path}/seen; exit 0")
    describe(alice)
    document = hand_in(alice)
    assert document.state == "quarantined"

    counts = [documents.scan_waiting(now=NOW) for _ in "ab"]

    assert counts == [1, 0]
    document.refresh_from_db()
    assert (document.state, document.scanned_at) == ("submitted", NOW)
    assert (tmp_path / "seen").read_bytes() == documents.page(document.pages.get())


@pytest.mark.promise("S-66")
def test_it_rejects_what_the_scanner_finds(
    alice: Member, settings: Any, tmp_path: Path
) -> None:
    scan_with(settings, tmp_path, "cat > /dev/null; exit 1")
    describe(alice)
    document = hand_in(alice)

    documents.scan_waiting(now=NOW)

    document.refresh_from_db()
    assert (document.state, document.reason) == ("rejected", "unsafe")
    assert not document.pages.exists()
    assert AuditRecord.objects.get(is_alarm=True).action == "unsafe_document"
    assert identity.missing_steps(document.case) == ["identity", "address"]


@pytest.mark.promise("S-66", "S-77")
@pytest.mark.parametrize("trouble", ["exit 2", "kill -9 $$", None])
def test_it_releases_nothing_the_scanner_did_not_see(
    alice: Member, settings: Any, tmp_path: Path, trouble: str | None
) -> None:
    if trouble is None:
        settings.SCAN_COMMAND = str(tmp_path / "missing")
    else:
        scan_with(settings, tmp_path, f"cat > /dev/null; {trouble}")
    describe(alice)
    document = hand_in(alice)

    assert documents.scan_waiting(now=NOW) == 0

    document.refresh_from_db()
    assert document.state == "quarantined"


def test_it_releases_what_waits_when_the_scanner_is_put_out_of_service(
    alice: Member, settings: Any
) -> None:
    settings.SCAN_COMMAND = "missing"
    describe(alice)
    document = hand_in(alice)
    settings.SCAN_COMMAND = ""

    documents.scan_waiting(now=NOW)

    document.refresh_from_db()
    assert (document.state, document.scanned_at) == ("submitted", None)


def test_two_equal_cases_are_equal() -> None:
    assert replace(DATA) == DATA
    assert replace(DATA, city="Lund") != DATA
    assert isinstance(DATA, PersonalData)


def test_its_jobs_are_safe_to_run_twice(alice: Member, olive: Member) -> None:
    verified(alice, olive)
    before = rows.dump()

    results = [job() for job in (scan_documents, tidy_identities) for _ in "ab"]

    assert results == [0, 0, 0, 0]
    assert rows.dump() == before
