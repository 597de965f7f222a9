"""The identity check in a browser without scripts: the member's pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core.files import temp
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts import identity
from accounts.models.identity import IdentityCase, IdentityDocument
from accounts.models.members import Member
from tests import rows, uploads
from tests.accounts.papers import (
    DATA,
    NUMBER,
    Reason,
    decide,
    paper,
    send,
    verdicts,
    verified,
)
from tests.makers import Answer

pytestmark = pytest.mark.django_db

PAGES = ("", "/data", "/document", "/address", "/send")
PERSON = {
    "full_name": DATA.full_name,
    "birth_on": "1990-05-17",
    "address_1": DATA.address_1,
    "address_2": "",
    "city": DATA.city,
    "postal_code": DATA.postal_code,
    "country": "SE",
    "nationality": "SE",
}
PASSPORT = {"kind": "passport", "number": NUMBER, "expires_on": "2040-01-31"}


@pytest.fixture
def browser(alice: Member) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def a_file(name: str = "scan.jpg", content: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, uploads.picture() if content is None else content)


def post(browser: Client, page: str, **form: Any) -> Answer:
    return browser.post(f"/account/identity/{page}", form)


def text(browser: Client, page: str = "") -> str:
    answer = browser.get(f"/account/identity{page}")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.promise("U-79")
def test_it_leads_through_all_steps(browser: Client, alice: Member) -> None:
    assert "Begin" in text(browser)

    ways = [
        post(browser, "data", **PERSON),
        post(browser, "document", **PASSPORT, front=a_file(), back=a_file()),
        post(browser, "address", kind="tax_bill", front=a_file()),
    ]
    ready = text(browser)
    sent = post(browser, "send")

    assert [answer["Location"] for answer in ways] == [
        "/account/identity/document",
        "/account/identity/address",
        "/account/identity",
    ]
    assert "Send for checking" in ready
    assert (sent.status_code, sent["Location"]) == (302, "/account/identity")
    assert "We are checking your documents" in text(browser)
    case = IdentityCase.objects.get(member=alice)
    assert case.state == "verifying"
    assert identity.personal_data(case) == DATA
    assert paper(case, "identity").pages.count() == 2


@pytest.mark.promise("U-79")
def test_it_says_what_to_send_again_and_why(
    browser: Client, alice: Member, olive: Member
) -> None:
    decide(send(alice), olive, address=Reason.OUT_OF_DATE)

    page = text(browser)

    assert "The document is out of date." in page
    assert page.count(">Send again<") == 1
    assert 'href="/account/identity/address">Send again' in page
    answer = post(browser, "address", kind="tax_bill", front=a_file())
    assert answer["Location"] == "/account/identity"
    assert "Send for checking" in text(browser)


@pytest.mark.promise("U-80")
def test_it_shows_what_each_level_allows(
    browser: Client, alice: Member, olive: Member
) -> None:
    before = text(browser)
    verified(alice, olive)
    after = text(browser)

    for page in (before, after):
        assert page.count('<span class="tag">yours</span>') == 1
        for words in ("Personal data given", "100,000", "USD", "In 30 days"):
            assert words in page
    assert "0 · E-mail address confirmed <span" in before
    assert "3 · Address verified as well <span" in after


@pytest.mark.promise("S-68")
def test_it_masks_what_nobody_needs_to_read(browser: Client, alice: Member) -> None:
    send(alice)

    page = text(browser)

    assert "•••409" in page
    for hidden in (NUMBER, DATA.address_1, "1990"):
        assert hidden not in page


@pytest.mark.promise("U-79")
@pytest.mark.parametrize("page", ["data", "document", "address"])
def test_it_shows_no_form_while_it_is_being_checked(
    browser: Client, alice: Member, page: str
) -> None:
    send(alice)
    before = rows.dump()

    looked = browser.get(f"/account/identity/{page}")
    sent = post(browser, page, **{**PERSON, "city": "Lund"}, **PASSPORT)

    assert looked["Location"] == "/account/identity"
    assert sent.status_code == 409
    assert "You can change it when we are done." in sent.content.decode()
    assert 'name="city"' not in sent.content.decode()
    assert rows.dump() == before
    overview = browser.get("/account").content.decode()
    assert "Being checked" in overview
    assert "Verify your identity" not in text(browser)


@pytest.mark.promise("S-68")
def test_it_lets_no_cache_keep_it(browser: Client, alice: Member) -> None:
    send(alice)

    for page in PAGES[:4]:
        answer = browser.get(f"/account/identity{page}")
        assert "no-store" in answer["Cache-Control"], page


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("page", PAGES)
def test_it_sends_strangers_to_sign_in(db: None, page: str) -> None:
    verb = Client().post if page == "/send" else Client().get

    answer = verb(f"/account/identity{page}")

    assert answer.status_code == 302
    # Where a deed was sent, nobody can go on: its page leads there.
    back = "/account" if page == "/send" else "/account/identity"
    assert answer["Location"].startswith(f"/signin?next={back}")


@pytest.mark.promise("S-71")
def test_it_goes_back_to_the_step_that_was_skipped(browser: Client) -> None:
    before = rows.dump()

    for answer in (
        browser.get("/account/identity/document"),
        post(browser, "document", **PASSPORT, front=a_file()),
        post(browser, "address", kind="tax_bill", front=a_file()),
    ):
        assert answer["Location"] == "/account/identity/data"
    refusal = post(browser, "send")

    assert refusal.status_code == 422
    assert "Something is missing" in refusal.content.decode()
    assert rows.dump() == before


@pytest.mark.promise("S-70", "S-71")
def test_it_takes_no_field_that_is_not_the_members(
    browser: Client, alice: Member, bob: Member
) -> None:
    more = {
        "state": "verified",
        "identity_level": "3",
        "member": bob.pk,
        "member_id": bob.pk,
        "case": 1,
        "decided_at": "2026-11-24",
    }

    post(browser, "data", **PERSON, **more)
    post(browser, "document", **PASSPORT, **more, front=a_file())

    case = IdentityCase.objects.get()
    assert (case.member, case.state) == (alice, "unverified")
    assert IdentityDocument.objects.get().state == "submitted"
    alice.refresh_from_db()
    assert alice.identity_level == 1


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("full_name", "", "This field is required."),
        ("birth_on", "17.5.1990", "Enter a valid date."),
        ("birth_on", "2020-01-01", "You must be at least 18 years old."),
        ("country", "XX", "Select a valid choice."),
        ("city", "x" * 101, "at most 100 characters"),
        ("address_1", "a\0b", "Null characters are not allowed."),
    ],
)
def test_it_says_what_is_wrong_beside_the_field(
    browser: Client, field: str, value: str, complaint: str
) -> None:
    answer = post(browser, "data", **{**PERSON, field: value})

    page = answer.content.decode()
    assert answer.status_code == 400
    assert complaint in page
    assert f'id="id_{field}_error"' in page
    assert not IdentityCase.objects.exists()


@pytest.mark.promise("S-61")
@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (a_file("a.jpg", b""), "This file is empty."),
        (a_file("a.jpg", uploads.HTML), "Please send a JPEG, PNG or WebP picture"),
        (a_file("a.svg", uploads.SVG), "Please send a JPEG, PNG or WebP picture"),
        (a_file("a.png"), "The name of this file does not fit"),
        (a_file("a.png", uploads.huge_png()), "too many pixels"),
        (a_file("a.jpg", uploads.picture()[:900]), "cannot be read"),
    ],
)
def test_it_says_what_is_wrong_with_a_file(
    browser: Client, file: SimpleUploadedFile, complaint: str
) -> None:
    post(browser, "data", **PERSON)
    file.seek(0)

    answer = post(browser, "document", **PASSPORT, front=file)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert complaint in page
    assert 'id="id_front_error"' in page
    assert not IdentityDocument.objects.exists()


@pytest.mark.promise("S-61", "S-76")
def test_it_refuses_a_large_body_before_reading_it(browser: Client) -> None:
    """The length says enough: nothing is there to be read."""
    too_much = settings.UPLOAD_BODY_BYTES_MAX + 1
    for client, path, length in (
        (browser, "/account/identity/document", too_much),
        (Client(), "/signin", 600_000),
        (Client(), "/account/identity/document", 600_000),
    ):
        answer = client.post(path, CONTENT_LENGTH=str(length))

        assert answer.status_code == 413, path
        for limit in ("up to 8 MB", "up to 5 MB", "at once 16 MB"):
            assert limit in answer.content.decode()


@pytest.mark.promise("S-61", "S-64")
def test_it_takes_a_file_as_large_as_allowed_without_a_copy_in_the_clear(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file on the disk")

    monkeypatch.setattr(temp, "NamedTemporaryFile", refuse)
    post(browser, "data", **PERSON)
    large = uploads.picture() + b"\0" * (8 * 1024 * 1024 - 20_000)

    answer = post(browser, "document", **PASSPORT, front=a_file("a.jpg", large))

    assert answer.status_code == 302


@pytest.mark.promise("S-74")
def test_it_sends_away_who_uploads_too_much(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(browser, "data", **PERSON)
    monkeypatch.setattr("accounts.throttling.UPLOADS_PER_MEMBER", 0)

    answer = post(browser, "document", **PASSPORT, front=a_file())

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Too many requests" in answer.content.decode()


def test_it_warns_before_verified_data_is_changed(
    browser: Client, alice: Member, olive: Member
) -> None:
    verified(alice, olive)
    assert "your documents are checked again" in text(browser, "/data")

    answer = post(browser, "data", **{**PERSON, "city": "Lund"})

    assert answer.status_code == 302
    alice.refresh_from_db()
    assert alice.identity_level == 1
    assert "Send for checking" in text(browser)


def test_it_works_on_a_phone_without_scripts(browser: Client) -> None:
    post(browser, "data", **PERSON)

    page = text(browser, "/document")

    assert 'enctype="multipart/form-data"' in page
    assert 'capture="environment"' in page
    assert 'accept="image/jpeg,image/png,image/webp,application/pdf"' in page


def test_it_shows_a_note_of_the_operator_on_the_page(
    browser: Client, alice: Member, olive: Member
) -> None:
    case = send(alice)
    decide(case, olive, identity=Reason.OTHER)
    IdentityDocument.objects.filter(part="identity").update(note="<b>Both sides</b>")

    page = text(browser)

    assert "&lt;b&gt;Both sides&lt;/b&gt;" in page
    assert verdicts(case) == {}
