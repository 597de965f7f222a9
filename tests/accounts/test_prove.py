"""A fresh proof: a factor of the member, in this session, for five minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import proofs
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.session_store import digest_of
from tests import rows
from tests.makers import PASSWORD, code_of, enrol_totp

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(alice: Member) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.mark.promise("S-20")
def test_it_asks_for_a_factor_and_leads_back(alice: Member, browser: Client) -> None:
    secret = enrol_totp(alice, browser)
    before = str(browser.session.session_key)

    asked = browser.get("/account/security/recovery")
    page = browser.get(asked["Location"])
    code = code_of(secret, timezone.now())
    form = {"code": code, "next": "/account/security/recovery"}
    answer = browser.post("/prove", form)

    assert asked["Location"] == "/prove?next=%2Faccount%2Fsecurity%2Frecovery"
    assert "no-store" in page["Cache-Control"]
    assert answer["Location"] == "/account/security/recovery"
    assert browser.get("/account/security/recovery").status_code == 200
    after = str(browser.session.session_key)
    assert after != before
    assert Proof.objects.get().session == digest_of(after)


@pytest.mark.promise("S-20")
def test_it_holds_in_this_session_and_for_five_minutes(
    alice: Member, browser: Client
) -> None:
    secret = enrol_totp(alice, browser)
    browser.post("/prove", {"code": code_of(secret, timezone.now())})
    other = Client()
    other.force_login(alice)
    key = str(browser.session.session_key)
    now = timezone.now()

    assert other.get("/account/security/recovery").status_code == 302
    proofs.demand_fresh(member=alice, session_key=key, now=now)
    for at in (now + timedelta(minutes=5), now - timedelta(minutes=1)):
        with pytest.raises(proofs.FreshProofRequired):
            proofs.demand_fresh(member=alice, session_key=key, now=at)


def test_it_takes_the_password_of_who_has_no_factor(
    alice: Member, browser: Client
) -> None:
    page = browser.get("/prove")
    wrong = browser.post("/prove", {"code": "not the password"})
    right = browser.post("/prove", {"code": PASSWORD, "next": "/account/security"})

    assert "your password will do" in page.content.decode()
    assert wrong.status_code == 422
    assert "This is not your current password." in wrong.content.decode()
    assert "did not match" not in wrong.content.decode()
    assert right["Location"] == "/account/security"
    assert Proof.objects.get().factor == "password"
    # Which suffices to set a first factor up, and for nothing else.
    assert browser.get("/account/security/totp").status_code == 200
    assert browser.get("/account/security/recovery").status_code == 302


@pytest.mark.promise("S-20")
def test_a_password_does_no_more_once_there_is_a_factor(
    alice: Member, browser: Client
) -> None:
    browser.post("/prove", {"code": PASSWORD})
    assert browser.get("/account/security/totp").status_code == 200
    enrol_totp(alice)

    assert browser.get("/account/security/totp").status_code == 302


@pytest.mark.promise("S-20")
def test_it_sends_who_has_no_factor_to_add_one_where_a_password_is_too_little(
    alice: Member, browser: Client
) -> None:
    """And does not ask for the password again and again."""
    browser.post("/prove", {"code": PASSWORD})

    answer = browser.get("/account/security/recovery", follow=True)

    assert answer.redirect_chain == [("/account/security", 302)]
    assert "Please add one first" in answer.content.decode()


@pytest.mark.promise("S-20", "S-5")
def test_nobody_guesses_the_password_here(alice: Member, browser: Client) -> None:
    wrong = [browser.post("/prove", {"code": f"guess {n}"}) for n in range(6)]

    assert {each.status_code for each in wrong[:5]} == {422}
    assert wrong[5].status_code == 429
    assert browser.post("/prove", {"code": PASSWORD}).status_code == 429


@pytest.mark.promise("S-60")
def test_it_leads_to_pages_only(alice: Member, browser: Client) -> None:
    answer = browser.post("/prove", {"code": PASSWORD, "next": "foo"})

    assert answer["Location"] == "/account"


@pytest.mark.promise("S-20")
def test_it_takes_no_password_of_who_has_a_factor(
    alice: Member, browser: Client
) -> None:
    enrol_totp(alice, browser)

    page = browser.get("/prove?with=password")
    answer = browser.post("/prove", {"with": "password", "code": PASSWORD})

    assert "your password will do" not in page.content.decode()
    assert answer.status_code == 400  # longer than any code of an app
    assert not Proof.objects.exists()


def test_it_changes_nothing_for_a_wrong_code(alice: Member, browser: Client) -> None:
    enrol_totp(alice, browser)
    before = str(browser.session.session_key)

    assert browser.post("/prove", {"code": "000000"}).status_code == 422

    assert not Proof.objects.exists()
    assert str(browser.session.session_key) == before
    assert rows.read("SELECT count(*) FROM accounts_totp") == [(1,)]


@pytest.mark.promise("S-60")
@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_it_leads_to_no_other_site(
    alice: Member, browser: Client, elsewhere: str
) -> None:
    answer = browser.post("/prove", {"code": PASSWORD, "next": elsewhere})

    assert answer["Location"] == "/account"


def test_it_is_for_members(db: None) -> None:
    assert Client().get("/prove")["Location"].startswith("/signin?")
