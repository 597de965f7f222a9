"""The account pages: signing in and out."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.lockout import PER_ACCOUNT
from accounts.models.members import Member
from tests.makers import PASSWORD, prove

pytestmark = pytest.mark.django_db

GOOD = {"email": "bob@example.com", "password": PASSWORD}


@pytest.fixture
def browser() -> Client:
    return Client()


def test_it_signs_in_and_goes_on_to_where_one_wanted_to_be(
    bob: Member, browser: Client
) -> None:
    answer = browser.post("/signin", {**GOOD, "next": "/markets/btccny"})

    assert (answer.status_code, answer["Location"]) == (302, "/markets/btccny")
    assert browser.get("/").wsgi_request.user == bob


@pytest.mark.promise("S-60")
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil.example",
    ],
)
def test_it_goes_home_rather_than_to_another_site(
    bob: Member, browser: Client, elsewhere: str
) -> None:
    answer = browser.post("/signin", {**GOOD, "next": elsewhere})

    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.mark.parametrize(
    "wrong", [{"password": "not the password"}, {"email": "nobody@example.com"}]
)
def test_it_says_the_same_of_a_wrong_address_and_a_wrong_password(
    bob: Member, browser: Client, wrong: dict[str, str]
) -> None:
    answer = browser.post("/signin", GOOD | wrong)

    assert answer.status_code == 401
    assert b"The e-mail address or the password is wrong." in answer.content
    assert PASSWORD.encode() not in answer.content


@pytest.mark.parametrize("missing", ["email", "password"])
def test_it_asks_for_what_is_missing(browser: Client, missing: str) -> None:
    answer = browser.post("/signin", {**GOOD, missing: ""})

    assert answer.status_code == 400
    assert b"This field is required." in answer.content


def test_it_lets_nobody_try_for_ever(bob: Member, browser: Client) -> None:
    wrong = {**GOOD, "password": "not the password"}
    for _ in range(PER_ACCOUNT.free):
        browser.post("/signin", wrong)

    answer = browser.post("/signin", GOOD)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0


def test_it_says_that_a_form_was_lost(bob: Member, browser: Client) -> None:
    form = {"display_name": "Bob"}
    sent = browser.post(
        "/account/profile",
        form,
        headers={"referer": "http://testserver/account/profile"},
    )
    asked = browser.get(sent["Location"])
    entered = browser.post(sent["Location"], GOOD)
    page = browser.get(entered["Location"]).content.decode()

    assert sent["Location"].endswith("/account/profile&unsaved=1")
    assert "nothing was saved" in asked.content.decode()
    assert entered["Location"] == "http://testserver/account/profile"
    assert "nothing was saved. Please do it again." in page
    assert "unsaved" not in Client().get("/account")["Location"]


def test_it_takes_a_member_who_is_in_straight_on(bob: Member, browser: Client) -> None:
    browser.force_login(bob)

    answer = browser.get("/signin?next=/markets/btccny")

    assert (answer.status_code, answer["Location"]) == (302, "/markets/btccny")


@pytest.mark.promise("S-5")
def test_it_lets_password_managers_work(browser: Client) -> None:
    page = browser.get("/signin").content.decode()

    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page


@pytest.mark.promise("S-57")
def test_it_signs_out_by_post_only(bob: Member, browser: Client) -> None:
    browser.force_login(bob)

    by_link = browser.get("/signout")
    still_in = browser.get("/").wsgi_request.user
    by_button = browser.post("/signout")

    assert (by_link.status_code, still_in) == (405, bob)
    assert (by_button.status_code, by_button["Location"]) == (302, "/")
    assert browser.get("/").wsgi_request.user.is_anonymous


@pytest.mark.parametrize(
    ("sent", "focused"),
    [
        ({"email": "", "password": ""}, "email"),
        ({"email": "bob@example.com", "password": ""}, "password"),
    ],
)
def test_the_first_field_that_is_wrong_has_the_cursor(
    browser: Client, sent: dict[str, str], focused: str
) -> None:
    page = browser.post("/signin", sent).content.decode()

    inputs = re.findall(r"<input[^>]*autofocus[^>]*>", page)
    assert len(inputs) == 1
    assert f'name="{focused}"' in inputs[0]


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("/account/profile", "Profile"),
        ("/account/export", "Profile"),
        ("/account/close", "Profile"),
        ("/account/security/totp", "Security"),
    ],
)
def test_every_page_marks_its_section(
    bob: Member, browser: Client, path: str, section: str
) -> None:
    browser.force_login(bob)
    prove(browser, bob, "password")

    page = browser.get(path).content.decode()

    sections = page.partition('class="sections"')[2].partition("</nav>")[0]
    assert re.findall(r'aria-current="\w+">(\w+)<', sections) == [section]
