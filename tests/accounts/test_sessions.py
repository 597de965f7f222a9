"""Sessions: kept under a digest, seen, idle, too old, ended from elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.exceptions import SessionInterrupted
from django.test import Client, override_settings
from django.utils import timezone

from accounts import sessions, sign_in
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.models.sign_ins import SignIn
from accounts.session_store import SessionStore, digest_of
from accounts.views import doors
from accounts.visits import Visit
from exchange.lib.models import AuditRecord
from tests import rows
from tests.makers import PASSWORD, make_member, prove

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
HOME = Visit("192.0.2.1", FIREFOX, "CN")


def enter(member: Member, **meta: str) -> Client:
    """Sign a member in as a browser does."""
    browser = Client(**meta)  # type: ignore[arg-type]  # headers by name
    form = {"email": member.email, "password": PASSWORD}
    assert browser.post("/signin", form).status_code == 302
    return browser


def key_of(browser: Client) -> str:
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


def row_of(browser: Client) -> Session:
    return Session.objects.get(pk=digest_of(key_of(browser)))


def leave_alone(browser: Client, time: timedelta) -> None:
    """Let nobody be seen in a session for so long."""
    mine = Session.objects.filter(pk=digest_of(key_of(browser)))
    mine.update(seen_at=timezone.now() - time)


def is_in(browser: Client) -> bool:
    return browser.get("/account").status_code == 200


@pytest.mark.promise("S-15")
def test_it_keeps_no_key_that_would_open_a_session(alice: Member) -> None:
    key = key_of(enter(alice))

    everything = rows.read("SELECT s::text FROM accounts_session AS s")

    assert len(key) >= 26  # 128 bits in 36 letters and digits
    assert key not in str(everything)
    assert Session.objects.get().pk == digest_of(key) != key


@pytest.mark.promise("S-15")
def test_the_digest_opens_nothing(alice: Member) -> None:
    enter(alice)
    thief = Client()

    thief.cookies[settings.SESSION_COOKIE_NAME] = Session.objects.get().pk

    assert not is_in(thief)


@pytest.mark.promise("S-14")
def test_it_gives_no_session_to_whoever_brought_its_key(alice: Member) -> None:
    planted = SessionStore()
    planted["basket"] = "mallory's"
    planted.create()
    browser, mallorys = Client(), Client()
    for each in (browser, mallorys):
        each.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)

    browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert is_in(browser)
    assert not is_in(mallorys)
    assert not planted.exists(str(planted.session_key))


@pytest.mark.promise("S-17")
def test_a_session_that_was_ended_does_not_come_back(alice: Member) -> None:
    """Whatever it was about to do: a new key is for a session that is there."""
    here = enter(alice)
    store = SessionStore(key_of(here))
    assert store.get(SESSION_KEY)
    enter(alice)
    Session.objects.filter(pk=digest_of(key_of(here))).delete()
    before = Session.objects.count()

    with pytest.raises(SessionInterrupted):
        store.cycle_key()

    assert Session.objects.count() == before


@pytest.mark.promise("S-14")
def test_it_takes_no_key_it_did_not_make(alice: Member) -> None:
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32

    browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert key_of(browser) != "a" * 32
    assert is_in(browser)


@pytest.mark.promise("S-13")
def test_it_closes_the_cookie_to_scripts_and_other_sites(alice: Member) -> None:
    browser = enter(alice)

    for name in (settings.SESSION_COOKIE_NAME, settings.DEVICE_COOKIE_NAME):
        cookie = browser.cookies[name]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert not cookie["domain"]
        assert cookie["path"] == "/"


@pytest.mark.promise("S-16")
def test_it_ends_a_session_that_was_idle(alice: Member) -> None:
    browser = enter(alice)
    copy = Client()
    copy.cookies[settings.SESSION_COOKIE_NAME] = key_of(browser)

    leave_alone(browser, timedelta(minutes=29))
    assert is_in(browser)

    leave_alone(browser, timedelta(minutes=30))
    answer = browser.get("/account/profile?a=1")

    assert answer["Location"] == "/signin?next=/account/profile%3Fa%3D1"
    assert not is_in(copy)
    assert not Session.objects.filter(member=alice).exists()


@pytest.mark.promise("S-16")
def test_it_says_why_and_goes_back_to_where_one_was(alice: Member) -> None:
    browser = enter(alice)
    leave_alone(browser, timedelta(minutes=31))

    asked = browser.get("/account/notices", follow=True)
    page = asked.content.decode()
    form = {"email": alice.email, "password": PASSWORD, "next": asked.context["next"]}
    entered = browser.post("/signin", form)
    again = Client().get("/signin").content.decode()

    assert "Your session has ended" in page
    assert entered["Location"] == "/account/notices"
    assert "Your session has ended" not in again


def test_it_writes_no_row_for_a_cookie_that_opens_nothing(db: None) -> None:
    stranger = Client()
    stranger.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32

    stranger.get("/")

    assert not Session.objects.exists()


def test_it_leads_back_to_a_page_not_to_a_button(alice: Member) -> None:
    browser = enter(alice)
    leave_alone(browser, timedelta(minutes=31))

    answer = browser.post(
        "/account/sessions/end-others",
        headers={"Referer": "http://testserver/account/sessions"},
    )

    assert answer["Location"] == (
        "/signin?next=http%3A//testserver/account/sessions&unsaved=1"
    )


@pytest.mark.promise("S-16")
def test_operators_are_idle_sooner(olive: Member) -> None:
    browser = enter(olive)

    leave_alone(browser, timedelta(minutes=9))
    assert is_in(browser)

    leave_alone(browser, timedelta(minutes=10))
    assert not is_in(browser)


@pytest.mark.promise("S-16")
@pytest.mark.parametrize(("is_operator", "hours"), [(False, 12), (True, 8)])
def test_no_session_outlives_a_days_work(
    db: None, is_operator: bool, hours: int
) -> None:
    browser = enter(make_member("carol", is_operator=is_operator))
    begun = row_of(browser).created_at

    browser.get("/account")  # however busy
    row = row_of(browser)
    assert abs(row.expire_date - begun - timedelta(hours=hours)) < timedelta(minutes=1)

    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not is_in(browser)


@pytest.mark.promise("S-16")
def test_what_the_session_keeps_does_not_prolong_it(alice: Member) -> None:
    browser = enter(alice)
    before = row_of(browser).expire_date

    session = browser.session
    session["draft"] = "an order"
    session.save()

    assert row_of(browser).expire_date == before


@pytest.mark.promise("S-19")
def test_it_notes_where_and_when_a_session_is_used(alice: Member) -> None:
    browser = enter(alice, HTTP_USER_AGENT=FIREFOX)
    begun = row_of(browser)
    leave_alone(browser, timedelta(minutes=2))

    browser.get("/account", REMOTE_ADDR="203.0.113.9", HTTP_USER_AGENT="curl/8")
    now = row_of(browser)

    assert (begun.address, begun.user_agent) == ("127.0.0.1", FIREFOX)
    assert (now.address, now.user_agent) == ("203.0.113.9", "curl/8")
    assert now.created_at == begun.created_at
    assert timezone.now() - now.seen_at < timedelta(minutes=1)


def test_it_writes_a_row_a_minute_at_most(alice: Member) -> None:
    key = key_of(enter(alice))
    now = timezone.now()
    sessions.note_seen(session_key=key, visit=HOME, now=now)

    for seconds in (1, 30, 59):
        later = now + timedelta(seconds=seconds)
        assert sessions.note_seen(session_key=key, visit=HOME, now=later)
    assert Session.objects.get().seen_at == now

    later = now + timedelta(seconds=60)
    sessions.note_seen(session_key=key, visit=HOME, now=later)
    assert Session.objects.get().seen_at == later


def test_a_page_that_listens_is_not_idle(alice: Member) -> None:
    browser = enter(alice)
    leave_alone(browser, timedelta(minutes=29))

    live = sign_in.still_signed_in([key_of(browser)], now=timezone.now())

    assert live == {key_of(browser)}
    assert timezone.now() - row_of(browser).seen_at < timedelta(minutes=1)


def test_listening_wakes_no_session_that_is_over(alice: Member) -> None:
    browser = enter(alice)
    leave_alone(browser, timedelta(minutes=31))

    assert sign_in.still_signed_in([key_of(browser)], now=timezone.now()) == set()
    assert not is_in(browser)


@pytest.mark.promise("S-19")
def test_it_lists_the_live_sessions(alice: Member, bob: Member) -> None:
    old, idle = enter(alice), enter(alice)
    this = enter(alice, HTTP_USER_AGENT=FIREFOX)
    enter(bob, HTTP_USER_AGENT="Bob's own browser")
    leave_alone(idle, timedelta(minutes=31))

    page = this.get("/account/sessions").content.decode()
    listed = sessions.of(alice, now=timezone.now())

    assert {row.pk for row in listed} == {row_of(old).pk, row_of(this).pk}
    assert "Firefox on Windows" in page
    assert page.count("this one") == 1
    assert "127.0.0.1" in page
    assert "this network" in page
    assert "Bob" not in page


@pytest.mark.promise("S-75")
def test_it_shows_what_a_browser_calls_itself_as_text(alice: Member) -> None:
    browser = enter(alice, HTTP_USER_AGENT="<script>alert(1)</script>\x00\n")

    page = browser.get("/account/sessions").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert row_of(browser).user_agent == "<script>alert(1)</script>"


@pytest.mark.promise("S-19")
def test_it_ends_one_session(alice: Member) -> None:
    lost, this = enter(alice), enter(alice)
    prove(this, alice, "password")

    this.post("/account/sessions/end", {"session": row_of(lost).pk})

    assert not is_in(lost)
    assert is_in(this)
    deed = AuditRecord.objects.get(action="sessions_ended")
    assert (deed.actor, deed.facts) == (f"member:{alice.pk}", {"count": 1})


def test_ending_this_one_is_signing_out(alice: Member) -> None:
    browser = enter(alice)
    prove(browser, alice)

    answer = browser.post("/account/sessions/end", {"session": row_of(browser).pk})

    assert answer.status_code == 302
    assert not is_in(browser)


@pytest.mark.promise("S-19", "S-17")
def test_it_ends_all_others(alice: Member, bob: Member) -> None:
    others, this, bobs = [enter(alice) for _ in range(3)], enter(alice), enter(bob)
    prove(this, alice)

    page = this.post("/account/sessions/end-others", follow=True).content.decode()

    assert "3 sessions have ended." in page
    assert [is_in(browser) for browser in [*others, this, bobs]] == [
        *(False, False, False),
        *(True, True),
    ]


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("digest", ["bobs", "", "x", "\0", "' OR 1=1 --", "0" * 5000])
def test_it_ends_nobody_elses_session(alice: Member, bob: Member, digest: str) -> None:
    alices, bobs = enter(alice), enter(bob)
    prove(alices, alice)
    before = rows.dump()

    named = row_of(bobs).pk if digest == "bobs" else digest
    page = alices.post("/account/sessions/end", {"session": named}, follow=True)

    assert "This session has ended already." in page.content.decode()
    assert is_in(bobs)
    assert is_in(alices)
    assert rows.dump() == before


def test_ending_twice_is_ending_once(alice: Member) -> None:
    lost, this = enter(alice), enter(alice)
    digest = row_of(lost).pk
    sessions.end(member=alice, digest=digest)

    with pytest.raises(sessions.UnknownSession):
        sessions.end(member=alice, digest=digest)

    assert is_in(this)
    assert AuditRecord.objects.filter(action="sessions_ended").count() == 1


@pytest.mark.promise("S-19")
@pytest.mark.parametrize("deed", ["end", "end-others"])
def test_it_asks_for_a_fresh_proof_first(
    alice: Member, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "resolve_url", lambda name: f"/{name}")
    lost, this = enter(alice), enter(alice)

    answer = this.post(f"/account/sessions/{deed}", {"session": row_of(lost).pk})

    assert answer["Location"] == "/prove?next=%2Faccount"
    assert is_in(lost)


@pytest.mark.parametrize("path", ["end", "end-others"])
def test_it_ends_nothing_by_a_link(alice: Member, path: str) -> None:
    assert enter(alice).get(f"/account/sessions/{path}").status_code == 405


@pytest.mark.promise("S-57")
def test_it_ends_nothing_from_another_site(alice: Member) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    prove(browser, alice)

    answer = browser.post("/account/sessions/end-others")

    assert answer.status_code == 403


@pytest.mark.promise("S-18")
def test_a_closed_member_is_out_at_once(alice: Member) -> None:
    browser = enter(alice)

    rows.write("UPDATE accounts_member SET state = 'closed' WHERE id = %s", alice.pk)

    assert not is_in(browser)


@pytest.mark.promise("S-21")
@pytest.mark.parametrize(
    "path", ["", "/sessions", "/profile", "/profile/phrase", "/notices", "/export"]
)
def test_account_pages_leave_nothing_in_caches(alice: Member, path: str) -> None:
    browser = enter(alice)
    prove(browser, alice)

    answer = browser.get(f"/account{path}")

    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.promise("S-21", "S-17")
def test_signing_out_clears_the_browsers_cache(alice: Member) -> None:
    browser = enter(alice)
    key = key_of(browser)

    answer = browser.post("/signout")
    copy = Client()
    copy.cookies[settings.SESSION_COOKIE_NAME] = key

    assert answer["Clear-Site-Data"] == '"cache"'
    assert not is_in(copy)
    assert not Session.objects.exists()


def test_it_forgets_sessions_that_are_over(alice: Member, olive: Member) -> None:
    live, idle, old = enter(alice), enter(alice), enter(alice)
    operators = enter(olive)
    leave_alone(idle, timedelta(minutes=31))
    leave_alone(operators, timedelta(minutes=11))
    Session.objects.filter(pk=row_of(old).pk).update(expire_date=timezone.now())
    visitor = SessionStore()
    visitor.create()

    assert sessions.forget_ended(now=timezone.now()) == 3
    assert sessions.forget_ended(now=timezone.now()) == 0
    assert {row.pk for row in Session.objects.all()} == {
        row_of(live).pk,
        digest_of(str(visitor.session_key)),
    }


def test_it_lists_the_history_page_by_page(alice: Member) -> None:
    browser = enter(alice)
    for number in range(25):
        when = datetime(2026, 1, 1, number % 24, tzinfo=timezone.get_default_timezone())
        SignIn.objects.create(
            member=alice, at=when, outcome="wrong_password", address=f"10.0.0.{number}"
        )

    first = browser.get("/account/sessions").content.decode()
    second = browser.get("/account/sessions?page=2").content.decode()
    beyond = browser.get("/account/sessions?page=nonsense").content.decode()

    assert (first.count("Wrong password"), second.count("Wrong password")) == (20, 5)
    assert "10.0.0.24" in first
    assert "10.0.0.0" in second
    assert "Older" in first
    assert "Newer" in second
    assert beyond.count("Wrong password") == 20


@override_settings(SESSION_IDLE_SECONDS=60)
def test_a_site_may_shorten_the_time(alice: Member) -> None:
    browser = enter(alice)

    leave_alone(browser, timedelta(seconds=61))

    assert not is_in(browser)
