"""What members choose: name, language, time zone, colours, mail phrase, notices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import notices, profile
from accounts.models.members import Member
from accounts.models.sign_ins import SignIn
from accounts.notices import Event
from accounts.views import doors
from exchange.lib import mail
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.transactions import transaction
from tests import rows
from tests.makers import prove

pytestmark = pytest.mark.django_db

GOOD = {
    "display_name": "Alice",
    "language": "zh-hans",
    "time_zone": "Asia/Shanghai",
    "theme": "dark",
}


@pytest.fixture
def browser(alice: Member) -> Client:
    browser = Client()
    browser.force_login(alice)
    return browser


def fresh(member: Member) -> Member:
    found: Member = Member.objects.get(pk=member.pk)
    return found


def last_mail() -> mail.Body:
    body = mail.read(list(Mail.objects.order_by("pk"))[-1])
    assert body is not None
    return body


def test_it_keeps_what_was_chosen(alice: Member, browser: Client) -> None:
    answer = browser.post("/account/profile", GOOD)
    page = browser.get("/account/profile").content.decode()

    assert answer.status_code == 302
    assert {name: getattr(fresh(alice), name) for name in GOOD} == GOOD
    assert 'value="Asia/Shanghai"' in page
    assert AuditRecord.objects.filter(action="profile_changed").count() == 1


@pytest.mark.promise("U-87")
def test_pages_speak_the_members_language(alice: Member, browser: Client) -> None:
    assert '<html lang="en"' in browser.get("/account/sessions").content.decode()

    browser.post("/account/profile", GOOD)

    assert browser.cookies[settings.LANGUAGE_COOKIE_NAME].value == "zh-hans"
    # Another browser of theirs, which asks for English.
    elsewhere = Client(headers={"Accept-Language": "en"})
    elsewhere.force_login(alice)
    assert '<html lang="zh-Hans"' in elsewhere.get("/account").content.decode()
    elsewhere.logout()
    assert '<html lang="en"' in elsewhere.get("/signin").content.decode()


def test_it_may_follow_the_browser_again(alice: Member, browser: Client) -> None:
    browser.post("/account/profile", GOOD)

    browser.post("/account/profile", GOOD | {"language": ""})

    assert fresh(alice).language == ""
    assert browser.cookies[settings.LANGUAGE_COOKIE_NAME].value == ""


@pytest.mark.promise("U-52")
def test_times_are_the_members_own(alice: Member, browser: Client) -> None:
    when = datetime(2026, 6, 30, 20, 15, tzinfo=UTC)
    SignIn.objects.create(member=alice, outcome="admitted", at=when)

    in_utc = browser.get("/account/sessions").content.decode()
    browser.post("/account/profile", GOOD | {"language": "en"})
    in_shanghai = browser.get("/account/sessions").content.decode()

    assert ">2026-06-30 20:15<" in in_utc
    assert ">2026-07-01 04:15<" in in_shanghai
    assert "Times are in Asia/Shanghai." in in_shanghai
    assert timezone.get_current_timezone_name() == "UTC"  # of the thread that served


@pytest.mark.promise("U-40")
def test_the_theme_comes_with_the_page(alice: Member, browser: Client) -> None:
    def root(browser: Client) -> str:
        return browser.get("/").content.decode().partition("<head>")[0]

    assert 'data-members-theme="system"' in root(browser)
    assert "data-theme=" not in root(browser)

    answer = browser.post("/account/theme", {"theme": "light"})

    assert answer.status_code == 204
    assert 'data-members-theme="light" data-theme="light"' in root(browser)
    assert "theme=" not in root(Client())


def test_it_keeps_no_strange_theme(alice: Member, browser: Client) -> None:
    answer = browser.post("/account/theme", {"theme": '"><script>'})

    assert (answer.status_code, answer.json()["error"]["code"]) == (
        400,
        "unknown_choice",
    )
    assert fresh(alice).theme == ""


@pytest.mark.promise("S-76")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", "x" * 65),
        ("display_name", "Alice\nBcc: mallory"),
        ("display_name", "Alice\u202eecila"),
        ("display_name", "Alice\0"),
        ("display_name", "\u3164"),
        ("language", "tlh"),
        ("language", "zh-hans\0"),
        ("time_zone", ""),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "localtime"),
        ("time_zone", "Europe"),  # many
        ("time_zone", "x" * 5000),
        ("theme", "plaid"),
    ],
)
def test_it_takes_no_odd_choices(
    alice: Member, browser: Client, field: str, value: str
) -> None:
    before = rows.dump()

    answer = browser.post("/account/profile", GOOD | {field: value})
    page = answer.content.decode()

    assert answer.status_code == 400
    assert f'id="id_{field}_error"' in page
    assert rows.dump() == before


@pytest.mark.promise("U-52")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shanghai", "Asia/Shanghai"),
        (" new york ", "America/New_York"),
        ("utc", "UTC"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
    ],
)
def test_a_part_of_a_time_zone_will_do(alice: Member, typed: str, meant: str) -> None:
    profile.change(member=alice, **GOOD | {"time_zone": typed})

    assert fresh(alice).time_zone == meant


def test_it_refuses_by_name(alice: Member) -> None:
    with pytest.raises(profile.UnknownChoice):
        profile.change(member=alice, **GOOD | {"time_zone": "Mars/Olympus"})
    with pytest.raises(profile.UnknownChoice):
        profile.change_theme(member=alice, theme="plaid")
    with pytest.raises(profile.BadText):
        profile.change(member=alice, **GOOD | {"display_name": "x" * 65})


@pytest.mark.promise("S-70")
def test_it_takes_nothing_it_did_not_ask_for(alice: Member, browser: Client) -> None:
    prove(browser, alice)
    more = {
        "is_staff": "1",
        "is_superuser": "1",
        "state": "closed",
        "email": "x@y.zz",
        "identity_level": "9",
        "activated_at": "",
        "password": "x",
        "sn": "PEA",
        "security_changed_at": "",
        "api_disabled": "1",
        "member": "1",
        "id": "1",
    }
    watched = [name for name in more if name != "member"]
    before = {name: getattr(fresh(alice), name) for name in watched}

    browser.post("/account/profile", GOOD | more)
    browser.post("/account/profile/phrase", {"phrase": "blue dragon"} | more)
    browser.post("/account/notices", more | {"muted_notices": "signed_in"})

    assert {name: getattr(fresh(alice), name) for name in watched} == before


def test_it_changes_the_mail_phrase_and_says_so_with_the_old_one(
    alice: Member, browser: Client
) -> None:
    prove(browser, alice, "password")

    browser.post("/account/profile/phrase", {"phrase": "blue dragon"})
    first = last_mail().text
    browser.post("/account/profile/phrase", {"phrase": "red tiger"})
    second = last_mail().text

    assert fresh(alice).mail_phrase == "red tiger"
    assert "Your mail phrase: blue dragon." in first
    assert "Your mail phrase: blue dragon." in second
    assert "/freeze/" in second
    deeds = AuditRecord.objects.filter(action="mail_phrase_changed")
    assert [deed.facts for deed in deeds] == [{}, {}]


def test_the_same_phrase_is_no_change(alice: Member) -> None:
    now = timezone.now()
    profile.change_mail_phrase(member=alice, phrase="blue dragon", now=now)

    profile.change_mail_phrase(member=alice, phrase=" blue dragon ", now=now)

    assert Mail.objects.count() == 1


@pytest.mark.parametrize("phrase", ["x" * 65, "two\nlines", "nul\0"])
def test_it_takes_no_phrase_that_forges_a_mail(
    alice: Member, browser: Client, phrase: str
) -> None:
    prove(browser, alice)

    answer = browser.post("/account/profile/phrase", {"phrase": phrase})

    assert answer.status_code == 400
    assert 'id="id_phrase_error"' in answer.content.decode()
    assert fresh(alice).mail_phrase == ""
    assert not Mail.objects.exists()


@pytest.mark.promise("S-75")
def test_a_phrase_is_text_in_the_mails_page(alice: Member, browser: Client) -> None:
    prove(browser, alice)

    browser.post("/account/profile/phrase", {"phrase": "<b>[x](https://evil.example)"})

    assert "<b>" not in last_mail().html
    assert 'href="https://evil.example"' not in last_mail().html


@pytest.mark.promise("S-20")
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_phrase_needs_a_fresh_proof(
    alice: Member, browser: Client, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "resolve_url", lambda name: f"/{name}")

    answer = getattr(browser, method)("/account/profile/phrase", {"phrase": "x"})

    assert answer["Location"].startswith("/prove?next=")
    assert fresh(alice).mail_phrase == ""


@pytest.mark.promise("U-77")
def test_it_shows_events_by_channels(alice: Member, browser: Client) -> None:
    page = browser.get("/account/notices").content.decode()

    boxes = {
        line.partition('value="')[2].partition('"')[0]: line
        for line in page.splitlines()
        if 'type="checkbox"' in line
    }
    assert {Event.SIGNED_IN, Event.KEY_ISSUED, Event.TICKET_ANSWERED} < boxes.keys()
    for event, box in boxes.items():
        assert " checked" in box
        assert (" disabled" in box) == (event not in notices.OPTIONAL)


@pytest.mark.promise("U-77")
def test_it_switches_off_what_is_optional_and_nothing_else(
    alice: Member, browser: Client
) -> None:
    wanted = ["identity_decided", "withdrawal_sent", "nonsense"]
    browser.post("/account/notices", {"mail": wanted})
    page = browser.get("/account/notices").content.decode()

    others = ["deposit_credited", "ticket_answered", "transfer_received"]
    assert fresh(alice).muted_notices == others
    assert 'value="identity_decided" checked' in page
    assert 'value="ticket_answered">' in page

    browser.post("/account/notices", {"mail": sorted(notices.OPTIONAL)})
    assert fresh(alice).muted_notices == []


@pytest.mark.promise("S-70", "U-77")
def test_security_cannot_be_switched_off(alice: Member, browser: Client) -> None:
    browser.post("/account/notices", {})
    # Even where a hand in the tables did.
    Member.objects.filter(pk=alice.pk).update(
        muted_notices=["profile_changed", "signed_in"]
    )

    with transaction():
        notices.tell(fresh(alice), Event.PROFILE_CHANGED, at=timezone.now())

    assert Mail.objects.count() == 1


@pytest.mark.promise("S-69")
@pytest.mark.parametrize(
    "path",
    [
        *("sessions", "profile", "profile/phrase", "notices", "export", "export/1"),
        "close",
    ],
)
def test_it_sends_strangers_to_sign_in(db: Any, path: str) -> None:
    answer = Client().get(f"/account/{path}")

    assert answer.status_code == 302
    assert answer["Location"] == f"/signin?next=/account/{path}"
