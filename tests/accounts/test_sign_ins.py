"""The history of signing in, known devices, places, and changes of security."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import security, user_agents, visits
from accounts.lockout import PER_ACCOUNT
from accounts.models.attempts import Attempts
from accounts.models.members import Member
from accounts.models.sign_ins import SignIn
from accounts.notices import Event
from exchange.lib import mail
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.transactions import NoTransaction, transaction
from tests import rows
from tests.accounts.test_sessions import FIREFOX, enter, is_in, key_of
from tests.makers import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "New sign-in to your account"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
IPHONE = "iPhone; CPU iPhone OS 18_6 like Mac OS X"


def subjects() -> list[str]:
    return list(Mail.objects.order_by("pk").values_list("subject", flat=True))


def last_words() -> str:
    body = mail.read(list(Mail.objects.order_by("pk"))[-1])
    assert body is not None
    return body.text


def again(browser: Client, member: Member, **meta: str) -> None:
    """Sign out and in, in the browser that was there before."""
    browser.post("/signout")
    form = {"email": member.email, "password": PASSWORD}
    browser.post("/signin", form, **meta)  # type: ignore[arg-type]  # headers by name
    assert is_in(browser)


def guess(email: str, browser: Client | None = None) -> None:
    answer = (browser or Client()).post("/signin", {"email": email, "password": "x"})
    assert answer.status_code == 401


@pytest.mark.promise("S-19", "S-82")
def test_it_writes_down_who_was_let_in_and_how(alice: Member) -> None:
    enter(alice, HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.7")

    row = SignIn.objects.get()

    assert (row.member, row.outcome, row.factors) == (alice, "admitted", ["password"])
    assert (row.address, row.user_agent) == ("192.0.2.7", FIREFOX)
    assert timezone.now() >= row.at


@pytest.mark.promise("S-82")
def test_it_writes_down_who_was_not(alice: Member) -> None:
    guess(alice.email)

    row = SignIn.objects.get()

    assert (row.member, row.outcome, row.factors) == (alice, "wrong_password", [])


@pytest.mark.promise("S-9")
def test_a_stranger_cannot_tell_by_the_work_who_is_a_member(alice: Member) -> None:
    queries = []
    for email in (alice.email, "nobody@example.com"):
        guess(email)  # caches are warm
        with CaptureQueriesContext(connection) as counted:
            guess(email)
        queries.append([query["sql"].split()[0] for query in counted.captured_queries])

    assert queries[0] == queries[1]
    assert SignIn.objects.filter(member=None).count() == 2


@pytest.mark.promise("S-10")
def test_a_storm_of_guesses_fills_no_table(alice: Member) -> None:
    for _ in range(PER_ACCOUNT.free):
        guess(alice.email)

    answer = Client().post("/signin", {"email": alice.email, "password": "x"})

    assert answer.status_code == 429
    assert SignIn.objects.count() == PER_ACCOUNT.free


@pytest.mark.promise("S-11")
def test_the_first_sign_in_tells_nothing(alice: Member) -> None:
    enter(alice)

    assert subjects() == []


@pytest.mark.promise("S-11")
def test_a_known_device_tells_nothing_wherever_it_is(alice: Member) -> None:
    browser = enter(alice, HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.7")

    again(browser, alice, REMOTE_ADDR="198.51.100.4", HTTP_USER_AGENT="another")

    assert subjects() == []
    assert SignIn.objects.values("device").distinct().count() == 1


@pytest.mark.promise("S-11")
def test_it_tells_of_a_new_device(alice: Member) -> None:
    enter(alice, HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.7")
    rows.write("UPDATE accounts_member SET time_zone = 'Asia/Shanghai'")

    enter(alice, HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="192.0.2.7")

    assert subjects() == [NEW]
    told = last_words()
    assert "Firefox on Windows" in told
    assert "192.0.2.7" in told
    assert " CST" in told or "+08" in told
    assert "/freeze/" in told


@pytest.mark.promise("S-11")
def test_a_device_of_somebody_else_is_new(alice: Member, bob: Member) -> None:
    enter(alice)
    browser = enter(bob)

    again(browser, alice)

    assert [row.to for row in Mail.objects.all()] == [alice.email]


@pytest.mark.promise("S-11")
@pytest.mark.parametrize("forged", ["", "x", "abc:def", "abc:1tXyZ:def", "\0"])
def test_a_forged_device_is_new(alice: Member, forged: str) -> None:
    enter(alice)
    browser = Client()
    browser.cookies[django_settings.DEVICE_COOKIE_NAME] = forged

    browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert is_in(browser)
    assert subjects() == [NEW]


@pytest.mark.promise("S-11")
def test_it_tells_of_a_sign_in_after_many_guesses(alice: Member) -> None:
    browser = enter(alice)
    for _ in range(4):
        guess(alice.email)
    again(browser, alice)
    assert subjects() == []

    Attempts.objects.all().delete()  # a day later they are forgotten
    for _ in range(5):
        guess(alice.email)
    again(browser, alice)
    assert NEW in subjects()


@pytest.mark.promise("S-11")
def test_it_tells_of_a_new_country(alice: Member, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.2"]
    settings.COUNTRY_HEADER = "CF-IPCountry"
    place = {"REMOTE_ADDR": "10.0.0.2", "HTTP_X_FORWARDED_FOR": "8.8.8.8"}
    browser = enter(alice, **place, HTTP_CF_IPCOUNTRY="CN")

    again(browser, alice, **place, HTTP_CF_IPCOUNTRY="CN")
    assert subjects() == []

    again(browser, alice, **place, HTTP_CF_IPCOUNTRY="NZ")
    assert subjects() == [NEW]
    assert "NZ" in browser.get("/account/sessions").content.decode()


@pytest.mark.promise("S-75")
def test_a_stranger_puts_no_words_into_our_mail(alice: Member) -> None:
    enter(alice)

    enter(alice, HTTP_USER_AGENT="[Confirm](https://evil.example)")

    assert "evil" not in last_words()


@pytest.mark.parametrize(
    ("remote", "forwarded", "header", "place"),
    [
        ("10.0.0.2", "8.8.8.8", "cn", "CN"),
        ("10.0.0.2", "8.8.8.8", "XX", ""),
        ("10.0.0.2", "8.8.8.8", "China", ""),
        ("10.0.0.2", "8.8.8.8", "中国", ""),
        ("10.0.0.2", "8.8.8.8", "", ""),
        # Past our proxy, the header is anybody's word.
        ("8.8.8.8", "", "CN", ""),
        ("10.0.0.2", "192.168.1.7", "CN", "local"),
        ("127.0.0.1", "", "CN", "local"),
        ("10.0.0.2", "not an address", "CN", "CN"),
    ],
)
def test_it_believes_a_country_of_our_own_proxy_only(
    settings: Any, remote: str, forwarded: str, header: str, place: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.2"]
    settings.COUNTRY_HEADER = "CF-IPCountry"
    request = RequestFactory().get(
        "/",
        REMOTE_ADDR=remote,
        HTTP_X_FORWARDED_FOR=forwarded,
        HTTP_CF_IPCOUNTRY=header,
    )

    assert visits.of(request).place == place


def test_it_knows_no_place_unless_a_header_is_named(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.2"]
    request = RequestFactory().get(
        "/",
        REMOTE_ADDR="10.0.0.2",
        HTTP_X_FORWARDED_FOR="8.8.8.8",
        HTTP_CF_IPCOUNTRY="CN",
    )

    assert visits.of(request).place == ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1:443", None),
        ("unknown", None),
        ("", None),
        ("\0", None),
    ],
)
def test_it_writes_an_address_in_one_way(text: str, address: str | None) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=text)

    assert visits.of(request).address == address


@pytest.mark.promise("S-75")
def test_it_writes_down_no_more_than_fits_and_shows() -> None:
    long = "Mozilla\r\nSet-Cookie: x\0\u202e" + "x" * 5000
    request = RequestFactory().get("/", HTTP_USER_AGENT=long)

    user_agent = visits.of(request).user_agent

    assert user_agent.startswith("MozillaSet-Cookie: xxx")
    assert len(user_agent) == 300


@pytest.mark.parametrize(
    ("system", "rest", "name"),
    [
        (
            "Windows NT 10.0; rv:140.0",
            "Gecko/20100101 Firefox/140.0",
            "Firefox on Windows",
        ),
        ("Windows NT 10.0; Win64", f"{CHROME} Safari/537 Edg/140.0", "Edge on Windows"),
        ("Linux; Android 15; Pixel", f"{CHROME} Mobile Safari", "Chrome on Android"),
        (IPHONE, "Version/18.6 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (IPHONE, "CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (IPHONE, "FxiOS/140.0 Mobile/15E148 Safari/604.1", "Firefox on iPhone"),
        ("Macintosh; Intel Mac OS X 10_15", "Version/18.6 Safari", "Safari on macOS"),
        ("X11; Linux x86_64", f"{CHROME} Safari/537 OPR/120.0", "Opera on Linux"),
        ("X11; Linux x86_64", CHROME, "Chrome on Linux"),
    ],
)
def test_it_names_a_browser_in_words(system: str, rest: str, name: str) -> None:
    assert user_agents.named(f"Mozilla/5.0 ({system}) {rest}") == name


@pytest.mark.parametrize("user_agent", ["curl/8.14.1", "Firefox/140", "Windows", ""])
def test_it_leaves_what_it_does_not_know(user_agent: str) -> None:
    assert user_agents.named(user_agent) == user_agent
    assert user_agents.recognised(user_agent) == ""


@pytest.mark.promise("S-17", "S-11")
def test_a_change_of_security_ends_the_others_and_is_told(alice: Member) -> None:
    this, other = enter(alice), enter(alice)
    Mail.objects.all().delete()
    now = timezone.now()

    with transaction():
        ended = security.changed(
            alice, event=Event.SIGNED_IN, session_key=key_of(this), now=now, at=now
        )

    assert ended == 1
    assert (is_in(this), is_in(other)) == (True, False)
    assert Member.objects.get(pk=alice.pk).security_changed_at == now
    assert subjects() == [NEW]
    deed = AuditRecord.objects.filter(action="signed_in").order_by("-pk")[0]
    assert deed.facts == {"sessions_ended": 1}


def test_a_change_of_security_from_elsewhere_ends_all(alice: Member) -> None:
    browsers = [enter(alice), enter(alice)]

    with transaction():
        security.changed(
            alice, event=Event.SIGNED_IN, session_key=None, now=timezone.now()
        )

    assert not any(is_in(browser) for browser in browsers)


def test_a_change_of_security_is_part_of_the_deed(alice: Member) -> None:
    browser = enter(alice)
    before = rows.dump()

    def change() -> None:
        now = timezone.now()
        security.changed(alice, event=Event.SIGNED_IN, session_key=None, now=now)

    def change_and_fail() -> None:
        with transaction():
            change()
            raise KeyError

    with pytest.raises(NoTransaction):
        change()
    with pytest.raises(KeyError):
        change_and_fail()

    assert is_in(browser)
    assert rows.dump() == before
