"""Choosing a language: by a cookie, and for members wherever they sign in."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models.members import Member
from tests.rows import dump

pytestmark = [pytest.mark.django_db, pytest.mark.promise("U-87")]

CHINESE = {"language": "zh-hans", "next": "/signin?next=/markets/btccny"}


@pytest.fixture
def browser() -> Client:
    return Client()


def language_of(browser: Client, path: str = "/signin") -> str:
    return str(browser.get(path).headers["Content-Language"])


def test_it_shows_the_same_page_again_in_the_language_chosen(browser: Client) -> None:
    answer = browser.post("/language", CHINESE)

    assert (answer.status_code, answer["Location"]) == (302, CHINESE["next"])
    assert language_of(browser) == "zh-hans"


def test_it_offers_every_other_language_on_every_page(browser: Client) -> None:
    in_english = browser.get("/").content.decode()
    browser.post("/language", CHINESE)
    in_chinese = browser.get("/nowhere").content.decode()

    assert 'value="zh-hans" lang="zh-Hans"' in in_english
    assert 'value="en" lang="en"' in in_chinese


def test_it_follows_a_member_to_another_browser(bob: Member, browser: Client) -> None:
    browser.force_login(bob)
    browser.post("/language", CHINESE)
    elsewhere = Client()
    before = language_of(elsewhere, "/")

    elsewhere.force_login(bob)

    assert (before, language_of(elsewhere, "/")) == ("en", "zh-hans")
    bob.refresh_from_db()
    assert bob.language == "zh-hans"


def test_it_is_not_carried_over_to_who_comes_next(bob: Member, browser: Client) -> None:
    browser.force_login(bob)
    browser.post("/language", CHINESE)

    browser.get("/")

    assert language_of(Client(), "/") == "en"


@pytest.mark.parametrize("language", ["", "de", "zh-hans\r\nSet-Cookie: a=b", "x" * 99])
def test_it_ignores_what_is_no_language_of_ours(
    bob: Member, browser: Client, language: str
) -> None:
    browser.force_login(bob)
    before = dump()

    answer = browser.post("/language", {"language": language, "next": "/signin"})

    assert (answer.status_code, answer["Location"]) == (302, "/signin")
    assert not answer.cookies
    assert dump() == before


@pytest.mark.promise("S-60")
@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", ""]
)
def test_it_stays_with_us(browser: Client, elsewhere: str) -> None:
    answer = browser.post("/language", {**CHINESE, "next": elsewhere})

    assert answer["Location"] == "/"


@pytest.mark.promise("S-57")
def test_it_changes_nothing_by_a_link(bob: Member, browser: Client) -> None:
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(bob)

    by_link = browser.get("/language?language=zh-hans")
    by_form = forged.post("/language", CHINESE)

    assert (by_link.status_code, by_form.status_code) == (405, 403)
    bob.refresh_from_db()
    assert bob.language == ""
