"""Guessing gets slower for who guesses, and the owner gets in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts import devices, hashing, lockout, members, sign_in
from accounts.attempts import TooManyAttempts
from accounts.links import LinkSpent
from accounts.lockout import PER_ACCOUNT, PER_ADDRESS, PER_DEVICE
from accounts.models.attempts import Attempts
from accounts.models.letterbox import Letter
from accounts.models.members import Member
from accounts.sign_in import WrongCredentials
from exchange.lib.models import AuditRecord
from tests.accounts.mailbox import link, subjects, token
from tests.makers import PASSWORD
from tests.races.crowd import at_once, count

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LOCKED = "Sign-in is locked for a while"


def visit(address: str = "192.0.2.1", cookie: str = "") -> HttpRequest:
    """Open a page with a new session, in a browser with or without our cookie."""
    request = RequestFactory().post("/signin", REMOTE_ADDR=address)
    request.session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    request.session.create()
    request.user = AnonymousUser()
    request.COOKIES = {django_settings.DEVICE_COOKIE_NAME: cookie}
    return request


def knock(
    request: HttpRequest,
    password: str = PASSWORD,
    email: str = "alice@example.com",
    now: datetime = NOW,
) -> Member:
    return sign_in.sign_in(request, email=email, password=password, now=now)


def guess(times: int, *, address: str = "", now: datetime = NOW) -> None:
    for number in range(times):
        with pytest.raises(WrongCredentials):
            knock(visit(address or f"192.0.2.{number}"), "a guess", now=now)


def cookie_of(email: str) -> str:
    """Return what a browser keeps in which this member has signed in."""
    answer = HttpResponse()
    devices.remember(visit(), answer, email)
    return answer.cookies[django_settings.DEVICE_COOKIE_NAME].value


@pytest.mark.promise("S-10")
def test_it_stops_guessing_from_wherever(alice: Member) -> None:
    guess(PER_ACCOUNT.free)

    with pytest.raises(TooManyAttempts) as refusal:
        knock(visit("198.51.100.9"))

    assert refusal.value.facts == {"retry_after_seconds": 30}


@pytest.mark.promise("S-10")
def test_it_lets_the_owner_in_where_they_have_been_before(alice: Member) -> None:
    cookie = cookie_of(alice.email)
    guess(PER_ACCOUNT.free)

    assert knock(visit(cookie=cookie)) == alice


@pytest.mark.promise("S-10")
def test_it_does_not_let_a_known_browser_guess_for_ever(alice: Member) -> None:
    cookie = cookie_of(alice.email)
    for _ in range(PER_DEVICE.free):
        with pytest.raises(WrongCredentials):
            knock(visit(cookie=cookie), "a guess")

    with pytest.raises(TooManyAttempts):
        knock(visit(cookie=cookie))


@pytest.mark.promise("S-10")
def test_it_believes_no_cookie_of_somebody_elses(alice: Member, bob: Member) -> None:
    guess(PER_ACCOUNT.free)

    for cookie in (cookie_of(bob.email), cookie_of(alice.email) + "x", "nonsense"):
        with pytest.raises(TooManyAttempts):
            knock(visit(cookie=cookie))


@pytest.mark.promise("S-10")
def test_it_stops_guessing_at_many_accounts(db: None) -> None:
    for number in range(PER_ADDRESS.free):
        with pytest.raises(WrongCredentials):
            knock(visit(), "a guess", f"member{number}@example.com")

    with pytest.raises(TooManyAttempts):
        knock(visit(), "a guess", "member99@example.com")


def test_it_does_not_count_those_who_know_the_password(alice: Member) -> None:
    for _ in range(PER_ADDRESS.free + 1):
        assert knock(visit()) == alice

    assert not Attempts.objects.filter(count__gt=0).exists()


def test_it_does_not_clear_an_address_by_ones_own_password(
    alice: Member, mallory: Member
) -> None:
    guess(3, address="192.0.2.1")

    knock(visit("192.0.2.1"), email=mallory.email)

    assert Attempts.objects.get(key__startswith="address").count == 3


def test_it_does_not_count_what_nobody_looked_at(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise hashing.HashingBusy

    monkeypatch.setattr(hashing, "check", refuse)

    for _ in range(PER_ACCOUNT.free + 1):
        with pytest.raises(hashing.HashingBusy):
            knock(visit())

    assert not Attempts.objects.filter(count__gt=0).exists()


@pytest.mark.promise("S-77")
@pytest.mark.parametrize("broken", ["lockout.knock", "hashing.check"])
def test_it_lets_nobody_in_where_a_check_breaks(
    alice: Member, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the check is broken")

    monkeypatch.setattr(f"accounts.{broken}", fail)
    browser = Client(raise_request_exception=False)

    answer = browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert answer.status_code == 500
    assert browser.get("/").wsgi_request.user.is_anonymous


@pytest.mark.promise("S-10")
def test_it_tells_the_owner_once(alice: Member) -> None:
    guess(PER_ACCOUNT.free)
    later = NOW + timedelta(hours=1)
    with pytest.raises(WrongCredentials):
        knock(visit(), "a guess", now=later)

    assert subjects(alice.email) == [LOCKED]


@pytest.mark.promise("S-9")
def test_it_does_the_same_for_an_address_nobody_has(db: None) -> None:
    for _ in range(PER_ACCOUNT.free):
        with pytest.raises(WrongCredentials):
            knock(visit(), "a guess", "nobody@example.com")

    with pytest.raises(TooManyAttempts):
        knock(visit(), "a guess", "nobody@example.com")

    assert Letter.objects.count() == 1
    assert subjects("nobody@example.com") == []
    assert not Letter.objects.exists()


@pytest.mark.promise("S-10")
def test_it_opens_for_the_owner_by_the_link(alice: Member) -> None:
    guess(PER_ACCOUNT.free)
    browser, way = Client(), link(alice.email, "unlock")

    page = browser.get(way)
    still_shut = Attempts.objects.filter(key__startswith="account").exists()
    answer = browser.post(way)

    assert (page.status_code, still_shut) == (200, True)
    assert (answer.status_code, answer["Location"]) == (302, "/signin")
    assert not Attempts.objects.filter(key__startswith="account").exists()
    assert AuditRecord.objects.filter(action="sign_in_unlocked").count() == 1
    # From now on strangers cannot shut it for this browser.
    guess(PER_ACCOUNT.free)
    browser.post("/signin", {"email": alice.email, "password": PASSWORD})
    assert browser.get("/").wsgi_request.user == alice


def test_it_opens_once_by_one_link(alice: Member) -> None:
    guess(PER_ACCOUNT.free)
    secret = token(alice.email, "unlock")
    lockout.unlock(secret)
    guess(PER_ACCOUNT.free, now=NOW + timedelta(seconds=1))

    with pytest.raises(LinkSpent):
        lockout.unlock(secret)


@pytest.mark.races
def test_it_opens_once_for_many_at_once(alice: Member) -> None:
    guess(PER_ACCOUNT.free)
    secret = token(alice.email, "unlock")

    results = at_once(*[partial(lockout.unlock, secret)] * 6)

    assert (count(results, Member), count(results, LinkSpent)) == (1, 5)
    assert AuditRecord.objects.filter(action="sign_in_unlocked").count() == 1


def test_it_sends_nothing_when_the_owner_was_quicker(alice: Member) -> None:
    guess(PER_ACCOUNT.free)
    lockout.forgive(alice)

    assert subjects(alice.email) == []


def test_it_says_when_to_come_again(alice: Member) -> None:
    browser = Client()
    for _ in range(PER_ACCOUNT.free):
        browser.post("/signin", {"email": alice.email, "password": "a guess"})

    answer = browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 30
    assert b"try again in a minute" in answer.content
    assert b"sent its owner a mail" in answer.content


@pytest.mark.promise("S-9")
def test_it_mentions_the_mail_to_everybody(alice: Member) -> None:
    pages: list[str] = []
    for email in (alice.email, "nobody@example.com"):
        browser = Client(REMOTE_ADDR=f"192.0.2.{len(pages)}")
        for _ in range(PER_ACCOUNT.free + 1):
            answer = browser.post("/signin", {"email": email, "password": "a guess"})
        pages.append(re.sub('(value|data-csrf)="[^"]*"', "", answer.content.decode()))

    assert "sent its owner a mail" in pages[0]
    assert pages[0] == pages[1]


def test_it_remembers_a_browser_at_the_first_sign_in(alice: Member) -> None:
    browser = Client()

    answer = browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    cookie = answer.cookies[django_settings.DEVICE_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert alice.email not in cookie.value
    assert devices.of(visit(cookie=cookie.value)).knows(alice.email)
    assert django_settings.DEVICE_COOKIE_NAME not in browser.get("/").cookies


def test_it_remembers_all_who_share_a_browser(alice: Member, bob: Member) -> None:
    browser = Client()
    for email in (alice.email, bob.email):
        browser.post("/signin", {"email": email, "password": PASSWORD})
        browser.post("/signout")

    device = devices.of(
        visit(cookie=browser.cookies[django_settings.DEVICE_COOKIE_NAME].value)
    )

    assert device.knows(alice.email)
    assert device.knows(bob.email)
    assert not device.knows("mallory@example.com")


def test_it_hashes_anew_with_todays_parameters(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing.Argon2, "time_cost", 2)
    before = alice.password

    knock(visit())

    after = Member.objects.get(pk=alice.pk)
    assert after.password != before
    assert ",t=2," in after.password
    assert after.check_password(PASSWORD)


def test_it_shuts_nobody_out_whose_account_is_closed_in_another_way(
    alice: Member,
) -> None:
    members.close(member=alice, by="operator:1", reason="gone", now=timezone.now())
    told = subjects(alice.email)

    guess(PER_ACCOUNT.free)

    assert subjects(alice.email) == told
