"""Between the password and the session: nobody is in without a factor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from accounts.factors import keyring, passkeys, recovery, sms
from accounts.models.factors import SmsCode
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sessions import Session
from accounts.session_store import SessionStore, digest_of
from exchange.lib.transactions import transaction
from tests.authenticator import Authenticator
from tests.makers import PASSWORD, Answer, code_of, enrol_totp

pytestmark = pytest.mark.django_db

VERIFY = "/signin/verify?next=%2Fmarkets%2Fbtccny"


@pytest.fixture
def browser() -> Client:
    return Client()


def knock(browser: Client, password: str = PASSWORD) -> Answer:
    form = {"email": "alice@example.com", "password": password}
    return browser.post("/signin", form | {"next": "/markets/btccny"})


def verify(browser: Client, **form: str) -> Answer:
    return browser.post("/signin/verify", form | {"next": "/markets/btccny"})


def is_in(browser: Client) -> bool:
    return bool(browser.get("/").wsgi_request.user.is_authenticated)


def test_it_asks_for_the_factor_and_then_signs_in(
    alice: Member, browser: Client
) -> None:
    secret = enrol_totp(alice)

    asked = knock(browser)
    page = browser.get(asked["Location"])
    before = is_in(browser)
    answer = verify(browser, code=code_of(secret, timezone.now()))

    assert (asked.status_code, asked["Location"]) == (302, VERIFY)
    assert "authenticator app" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert not before
    assert (answer.status_code, answer["Location"]) == (302, "/markets/btccny")
    assert is_in(browser)


@pytest.mark.promise("S-14")
def test_it_gives_the_session_a_new_id_at_each_step(
    alice: Member, browser: Client
) -> None:
    secret = enrol_totp(alice)
    store = SessionStore()
    store.create()
    browser.cookies["session"] = str(store.session_key)  # somebody else's choice

    knock(browser)
    waiting = str(browser.session.session_key)
    verify(browser, code=code_of(secret, timezone.now()))
    inside = str(browser.session.session_key)

    assert len({str(store.session_key), waiting, inside}) == 3
    assert set(Session.objects.values_list("pk", flat=True)) == {digest_of(inside)}


@pytest.mark.promise("S-71")
def test_it_holds_nothing_but_the_step_before(alice: Member, browser: Client) -> None:
    enrol_totp(alice)

    knock(browser)

    assert SESSION_KEY not in browser.session
    assert not Session.objects.exclude(member=None).exists()
    for path in ("/account", "/account/security", "/prove"):
        assert browser.get(path)["Location"].startswith("/signin?next=")


def test_it_signs_out_whoever_was_in_before(
    alice: Member, bob: Member, browser: Client
) -> None:
    enrol_totp(alice)
    browser.force_login(bob)

    knock(browser)

    assert not is_in(browser)


@pytest.mark.promise("S-8")
def test_a_new_password_does_not_go_around_it(alice: Member, browser: Client) -> None:
    enrol_totp(alice)
    alice.set_password("another battery, another staple")
    alice.save(update_fields=["password"])

    asked = knock(browser, "another battery, another staple")

    assert asked["Location"] == VERIFY
    assert not is_in(browser)


@pytest.mark.promise("S-8")
def test_a_step_of_an_old_password_is_void(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice)
    knock(browser)
    alice.set_password("another battery, another staple")
    alice.save(update_fields=["password"])

    answer = verify(browser, code=code_of(secret, timezone.now()))

    assert answer.status_code == 401
    assert "Please sign in again." in answer.content.decode()
    assert not is_in(browser)


@pytest.mark.parametrize("code", ["000000", "", "x" * 16, "12345678901234567"])
def test_it_refuses_a_wrong_code_and_stays_where_it_is(
    alice: Member, browser: Client, code: str
) -> None:
    secret = enrol_totp(alice)
    knock(browser)

    wrong = verify(browser, code=code)

    assert wrong.status_code in {400, 422}
    assert not is_in(browser)
    assert verify(browser, code=code_of(secret, timezone.now())).status_code == 302


@pytest.mark.promise("S-28")
def test_it_says_when_to_try_again(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice)
    knock(browser)
    for _ in range(5):
        verify(browser, code="000000")

    answer = verify(browser, code=code_of(secret, timezone.now()))

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= settings.RATE_WINDOW_SECONDS
    assert "Too many attempts. Please try again in" in answer.content.decode()
    assert not is_in(browser)


@pytest.mark.promise("S-28")
def test_it_counts_the_attempts_at_all_doors(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice)
    inside = Client()
    inside.force_login(alice)
    knock(browser)
    for _ in range(3):
        verify(browser, code="000000")
    for _ in range(2):
        inside.post("/prove", {"with": "recovery", "code": "AAAA"})

    code = code_of(secret, timezone.now())

    assert verify(browser, code=code).status_code == 429
    assert inside.post("/prove", {"code": code}).status_code == 429


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> datetime:
    now = timezone.now() + by
    monkeypatch.setattr("accounts.views.second_step.timezone.now", lambda: now)
    return now


def test_it_waits_five_minutes(
    alice: Member, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = enrol_totp(alice)
    knock(browser)
    now = later(monkeypatch, timedelta(minutes=5, seconds=1))

    answer = verify(browser, code=code_of(secret, now))

    assert answer.status_code == 401
    assert "Please sign in again." in answer.content.decode()


def test_it_asks_nobody_who_gave_no_password(alice: Member, browser: Client) -> None:
    enrol_totp(alice)

    for path in ("/signin/verify", "/signin/lost"):
        assert browser.get(path).status_code == 401
        assert browser.post(path, {"code": "1"}).status_code == 401
    assert browser.post("/signin/verify/sms").status_code == 401


@pytest.mark.promise("S-26")
def test_it_lets_in_with_a_recovery_code_once(alice: Member, browser: Client) -> None:
    enrol_totp(alice)
    code, *_ = recovery.replace_all(member=alice, now=timezone.now())
    knock(browser)

    assert verify(browser, **{"with": "recovery", "code": code}).status_code == 302
    assert is_in(browser)

    other = Client()
    knock(other)
    assert verify(other, **{"with": "recovery", "code": code}).status_code == 422


def test_it_lets_in_with_a_code_by_sms(
    alice: Member, browser: Client, texts: list[str]
) -> None:
    now = timezone.now()
    sms.send_enrolment_code(
        member=alice,
        number="+4915112345678",
        session_key="a",
        address="",
        now=now,
    )
    sms.send_waiting(now=now)
    sms.enrol(member=alice, code=texts[-1][:6], session_key="a", now=now)
    knock(browser)

    sent = browser.post("/signin/verify/sms", {"next": "/markets/btccny"})
    page = browser.get(sent["Location"])
    sms.send_waiting(now=timezone.now())
    answer = verify(browser, **{"with": "sms", "code": texts[-1][:6]})

    assert sent.status_code == 302
    assert "+49 … 678" in page.content.decode()
    assert "+4915112345678" not in page.content.decode()
    assert "is your code to sign in" in texts[-1]
    assert answer.status_code == 302
    assert is_in(browser)
    assert SmsCode.objects.filter(purpose="sign_in").count() == 1


def test_it_lets_in_with_a_passkey(alice: Member, browser: Client) -> None:
    session = SessionStore()
    session.create()
    key = Authenticator(passkeys.origin())
    now = timezone.now()
    asked = passkeys.enrolment_options(session, member=alice, now=now)
    passkeys.enrol(session, member=alice, answer=key.create(asked), label="", now=now)
    knock(browser)

    page = browser.get("/signin/verify")
    answer = key.get(page.context["options"])

    assert verify(browser, **{"with": "passkey", "code": answer}).status_code == 302
    assert is_in(browser)


@pytest.mark.promise("S-29")
def test_a_sign_in_proves_nothing_else(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice)
    code = code_of(secret, timezone.now())
    knock(browser)
    verify(browser, code=code)

    proof = Proof.objects.get()
    asked = browser.get("/account/security/recovery")
    again = browser.post("/prove", {"code": code, "next": "/account/security"})

    assert (proof.purpose, proof.factor) == (Proof.Purpose.SIGN_IN, "totp")
    assert proof.session == digest_of(str(browser.session.session_key))
    assert asked["Location"].startswith("/prove?next=")
    assert again.status_code == 422


def test_it_ends_where_the_factors_have_gone(alice: Member, browser: Client) -> None:
    enrol_totp(alice)
    knock(browser)
    with transaction():
        keyring.remove_all(member=alice, now=timezone.now())

    answer = verify(browser, **{"with": "password", "code": PASSWORD})

    assert answer.status_code == 401
    assert not is_in(browser)


@pytest.mark.promise("S-60")
def test_it_leads_to_no_other_site(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice)
    form: dict[str, Any] = {"email": alice.email, "password": PASSWORD}
    asked = browser.post("/signin", form | {"next": "https://evil.example/"})
    code = code_of(secret, timezone.now())

    answer = browser.post("/signin/verify", {"code": code, "next": "//evil.example/"})

    assert asked["Location"] == "/signin/verify?next=%2F"
    assert answer["Location"] == "/"
