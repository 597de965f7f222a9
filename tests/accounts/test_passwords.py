"""Passwords change by who knows the old one, or by who reads the mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.contrib.auth.hashers import check_password
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import hashing, members, passwords
from accounts.attempts import TooManyAttempts
from accounts.devices import Device
from accounts.links import LinkSpent
from accounts.lockout import PER_ACCOUNT
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.password_rules import WeakPassword
from exchange.lib.models import AuditRecord
from tests import rows
from tests.accounts.mailbox import link, made, subjects, token
from tests.makers import PASSWORD, enrol_totp, prove
from tests.races.crowd import at_once, count

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
NEW = "seven quiet lamps in fog"
CHANGED = "Your password was changed"


def browser_of(member: Member) -> Client:
    browser = Client()
    browser.post("/signin", {"email": member.email, "password": PASSWORD})
    return browser


def is_in(browser: Client) -> bool:
    return bool(browser.get("/").wsgi_request.user.is_authenticated)


def change(member: Member, current: str = PASSWORD, new: str = NEW) -> None:
    passwords.change(
        member=member, current=current, new=new, session_key="here", now=NOW
    )


def request_reset(email: str, now: datetime = NOW) -> None:
    passwords.request_reset(
        email=email, device=Device("new"), address="192.0.2.1", now=now
    )


def password_of(member: Member) -> str:
    return str(Member.objects.get(pk=member.pk).password)


# --- Changed ------------------------------------------------------------------------


@pytest.mark.promise("S-7", "S-14")
def test_it_changes_the_password_and_ends_the_other_sessions(alice: Member) -> None:
    here, elsewhere = browser_of(alice), browser_of(alice)
    prove(here, alice, factor="password")
    before = str(here.session.session_key)

    answer = here.post("/account/password", {"current": PASSWORD, "new": NEW})

    assert (answer.status_code, answer["Location"]) == (302, "/account")
    assert (is_in(here), is_in(elsewhere)) == (True, False)
    assert str(here.session.session_key) != before
    assert not here.session.exists(before)
    assert Session.objects.filter(member=alice).count() == 1
    assert check_password(NEW, password_of(alice))
    assert Member.objects.get(pk=alice.pk).security_changed_at is not None
    assert subjects(alice.email)[-1] == CHANGED
    assert AuditRecord.objects.filter(action="password_changed").count() == 1


def test_it_asks_for_the_password_once_where_there_is_no_factor(alice: Member) -> None:
    browser = browser_of(alice)

    page = browser.get("/account/password")
    answer = browser.post("/account/password", {"current": PASSWORD, "new": NEW})

    assert page.status_code == 200
    assert (answer.status_code, answer["Location"]) == (302, "/account")
    assert check_password(NEW, password_of(alice))


@pytest.mark.promise("S-7", "S-20")
def test_it_asks_for_a_fresh_proof_first(alice: Member) -> None:
    """Of whoever has a factor: the password is not enough."""
    browser = browser_of(alice)
    enrol_totp(alice, browser)

    answer = browser.post("/account/password", {"current": PASSWORD, "new": NEW})

    assert answer["Location"].startswith("/prove?next=")
    assert password_of(alice) == alice.password


@pytest.mark.promise("S-7")
@pytest.mark.parametrize(
    ("current", "new", "refusal"),
    [
        ("another one", NEW, passwords.WrongPassword),
        ("", NEW, passwords.WrongPassword),
        (PASSWORD, "short", WeakPassword),
    ],
)
def test_it_refuses_and_changes_nothing(
    alice: Member, current: str, new: str, refusal: type[Exception]
) -> None:
    known = password_of(alice)

    with pytest.raises(refusal):
        change(alice, current, new)

    assert password_of(alice) == known
    assert subjects(alice.email) == []


def test_it_lets_nobody_guess_at_an_open_session(alice: Member) -> None:
    for _ in range(passwords.PER_MEMBER.free):
        with pytest.raises(passwords.WrongPassword):
            change(alice, "a guess")

    with pytest.raises(TooManyAttempts):
        change(alice)


@pytest.mark.races
def test_it_changes_once_for_two_at_once(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "demand_current", lambda *_, **__: None)
    mine = [Member.objects.get(pk=alice.pk) for _ in range(3)]

    results = at_once(*[partial(change, each) for each in mine])

    assert count(results, passwords.PasswordChangedMeanwhile) == 2
    assert subjects(alice.email) == [CHANGED]


# --- Reset --------------------------------------------------------------------------


@pytest.mark.promise("S-8")
def test_it_resets_by_mail_and_signs_nobody_in(alice: Member) -> None:
    elsewhere, browser = browser_of(alice), Client()
    browser.post("/forgot", {"email": alice.email})
    way = link(alice.email, "reset")

    looked = browser.get(way)
    answer = browser.post(way, {"new": NEW})

    assert looked.status_code == 200
    assert (answer.status_code, answer["Location"]) == (302, "/signin")
    assert (is_in(browser), is_in(elsewhere)) == (False, False)
    assert check_password(NEW, password_of(alice))
    assert Member.objects.get(pk=alice.pk).security_changed_at is not None
    assert subjects(alice.email) == ["Choose a new password", CHANGED]
    assert AuditRecord.objects.filter(action="password_reset").count() == 1


@pytest.mark.promise("S-8")
def test_it_resets_once(alice: Member) -> None:
    request_reset(alice.email)
    secret = token(alice.email, "reset")
    passwords.reset(secret, new=NEW, now=NOW)

    with pytest.raises(LinkSpent):
        passwords.reset(secret, new="and a third pass phrase", now=NOW)

    assert check_password(NEW, password_of(alice))


@pytest.mark.races
@pytest.mark.promise("S-8")
def test_it_resets_once_for_many_at_once(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "hashed", lambda password: f"!{password}")
    request_reset(alice.email)
    secret = token(alice.email, "reset")

    results = at_once(
        *[partial(passwords.reset, secret, new=f"{NEW} {n}", now=NOW) for n in range(4)]
    )

    assert (count(results, Member), count(results, LinkSpent)) == (1, 3)


@pytest.mark.promise("S-8")
@pytest.mark.parametrize("change_of", ["password", "email", "state"])
def test_it_resets_nothing_after_a_change(alice: Member, change_of: str) -> None:
    request_reset(alice.email)
    secret = token(alice.email, "reset")

    match change_of:
        case "password":
            change(alice)
        case "email":
            Member.objects.filter(pk=alice.pk).update(email="alice@elsewhere.example")
        case _:
            members.close(
                member=alice, by="operator:1", reason="gone", now=timezone.now()
            )

    with pytest.raises(LinkSpent):
        passwords.whose_link(secret)


@pytest.mark.promise("S-8")
def test_it_is_good_for_half_an_hour(alice: Member) -> None:
    with made(ago=timedelta(minutes=29)):
        young = passwords.reset_link(alice).rpartition("/")[2]
    with made(ago=timedelta(minutes=31)):
        old = passwords.reset_link(alice).rpartition("/")[2]

    assert passwords.whose_link(young) == alice
    with pytest.raises(LinkSpent):
        passwords.whose_link(old)


def test_it_takes_no_weak_password_and_keeps_the_link(alice: Member) -> None:
    request_reset(alice.email)
    browser, way = Client(), link(alice.email, "reset")

    answer = browser.post(way, {"new": "pixiu-password-123"})

    assert answer.status_code == 400
    assert b"easy to guess" in answer.content
    assert password_of(alice) == alice.password
    assert browser.post(way, {"new": NEW}).status_code == 302


def test_it_opens_the_door_that_wrong_guesses_shut(alice: Member) -> None:
    browser = Client()
    for _ in range(PER_ACCOUNT.free):
        browser.post("/signin", {"email": alice.email, "password": "a guess"})
    request_reset(alice.email)

    passwords.reset(token(alice.email, "reset"), new=NEW, now=NOW)
    browser.post("/signin", {"email": alice.email, "password": NEW})

    assert is_in(browser)


def test_it_confirms_the_address_too(alice: Member) -> None:
    Member.objects.filter(pk=alice.pk).update(activated_at=None)
    request_reset(alice.email)

    passwords.reset(token(alice.email, "reset"), new=NEW, now=NOW)

    assert Member.objects.get(pk=alice.pk).activated_at == NOW


@pytest.mark.promise("S-9")
def test_it_says_and_does_the_same_for_an_address_nobody_has(alice: Member) -> None:
    seen = []
    for email in (alice.email, "nobody@example.com"):
        with CaptureQueriesContext(connection) as statements:
            answer = Client().post("/forgot", {"email": email})
        kinds = [each["sql"].split()[0] for each in statements.captured_queries]
        seen.append((answer.status_code, answer["Location"], kinds))

    assert seen[0] == seen[1]
    assert seen[0][:2] == (302, "/forgot/sent")
    assert subjects("nobody@example.com") == []


def test_it_slows_down_who_asks_again_and_again(db: None) -> None:
    for number in range(passwords.RESETS_PER_ADDRESS.free):
        request_reset(f"member{number}@example.com")

    with pytest.raises(TooManyAttempts):
        request_reset("member99@example.com")


def test_it_refuses_what_is_no_address(db: None) -> None:
    before = rows.dump()

    with pytest.raises(members.BadEmail):
        request_reset("carol")

    assert rows.dump() == before


@pytest.mark.promise("S-5")
def test_it_lets_password_managers_work(alice: Member) -> None:
    request_reset(alice.email)
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice)
    reset = browser.get(link(alice.email, "reset")).content.decode()
    changed = browser.get("/account/password").content.decode()

    for page in (reset, changed):
        assert 'autocomplete="new-password"' in page
        assert f'value="{alice.email}" autocomplete="username"' in page
    assert 'autocomplete="current-password"' in changed
