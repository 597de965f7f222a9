"""The pages of keys: list, form, result, confirmation."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts import keys, members, tokens
from accounts.models.members import Member
from accounts.models.tokens import ApiToken, TokenUse
from accounts.templatetags.lists import rights
from accounts.views import doors
from tests.makers import ApiClient, enrol_totp, make_token, prove
from tests.rows import dump

PAGE, NEW = "/account/keys", "/account/keys/new"
GOOD: dict[str, Any] = {
    "label": "Ledger",
    "scopes": ["read", "trade"],
    "trusted_ips": "",
    "life": "90",
}


@pytest.fixture
def browser(alice: Member) -> Client:
    """Alice's, who has just shown a second factor in it."""
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice)
    return browser


def form(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "form_id": str(uuid.uuid4()), **changes}


def keys_in(page: str) -> ApiClient:
    """Return a bot with the pair of keys that a page shows."""
    found = {
        name: re.search(rf'<code id="{name}">(\w+)</code>', page)
        for name in ("access-key", "secret-key")
    }
    assert found["access-key"]
    assert found["secret-key"]
    token = ApiToken.objects.get(access_key=found["access-key"][1])
    issued = tokens.Issued(token, token.access_key, found["secret-key"][1])
    return ApiClient(issued)


def test_it_says_that_there_are_no_keys(browser: Client) -> None:
    page = browser.get(PAGE).content.decode()

    assert "You have no keys." in page
    assert f'href="{NEW}"' in page


@pytest.mark.promise("S-49")
def test_it_lists_keys_with_their_last_use(browser: Client, alice: Member) -> None:
    named = make_token(
        alice, label="<b>Robot</b>", scopes=["read"], trusted_ips=["192.0.2.0/24"]
    )
    TokenUse.objects.create(token=named.token, at=timezone.now(), address="192.0.2.7")
    gone = make_token(alice, label="Gone")
    tokens.revoke(token=gone.token, by="test", now=timezone.now())
    over = make_token(alice, expires_at=timezone.now() - timedelta(days=1))

    page = browser.get(PAGE).content.decode()

    assert "&lt;b&gt;Robot&lt;/b&gt;" in page
    for said in ("192.0.2.0/24", "192.0.2.7", "without end", "expired", "never"):
        assert said in page, said
    assert "Gone" not in page
    assert named.secret_key not in page
    assert over.access_key[:8] in page


@pytest.mark.promise("S-46")
def test_it_shows_the_secret_once(browser: Client, alice: Member) -> None:
    filled = form()
    answer = browser.post(NEW, filled)
    page = answer.content.decode()
    bot = keys_in(page)

    reload = browser.post(NEW, filled, follow=True)
    listing = browser.get(PAGE).content.decode()
    changing = browser.get(f"{PAGE}/{ApiToken.objects.get().pk}").content.decode()

    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    assert bot.get("members/me").json()["email"] == alice.email
    assert reload.redirect_chain == [(PAGE, 302)]
    assert "shown once" in reload.content.decode()
    assert ApiToken.objects.count() == 1
    for later in (reload.content.decode(), listing, changing):
        assert bot.secret_key not in later


def test_it_has_sensible_defaults(browser: Client) -> None:
    page = browser.get(NEW).content.decode()

    checked = re.findall(r'<input type="checkbox"[^>]*value="(\w+)"[^>]*checked', page)
    offered = re.findall(r'<input type="checkbox"[^>]*value="(\w+)"', page)
    assert offered == ["read", "trade", "withdraw"]
    assert checked == ["read"]
    assert re.search(r'<option value="90" selected>', page)


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"label": ""}, 400, "label"),
        ({"label": "x" * 65}, 400, "label"),
        ({"label": "a\0b"}, 400, "label"),
        ({"label": "bot\u202etob"}, 400, "label"),
        ({"scopes": []}, 400, "scopes"),
        ({"scopes": ["all"]}, 400, "scopes"),
        ({"life": "36500"}, 400, "life"),
        ({"life": "keep"}, 400, "life"),
        ({"life": "365"}, 422, "life"),
        ({"life": "never"}, 400, "life"),
        ({"trusted_ips": "192.0.2.7/24"}, 400, "trusted_ips"),
        ({"trusted_ips": "nowhere"}, 400, "trusted_ips"),
        ({"scopes": ["withdraw"]}, 422, "trusted_ips"),
    ],
)
def test_it_says_at_the_field_what_is_wrong(
    browser: Client, changes: dict[str, Any], status: int, field: str
) -> None:
    before = dump()

    answer = browser.post(NEW, form(**changes))

    page = answer.content.decode()
    assert answer.status_code == status
    assert f'id="id_{field}_error"' in page
    assert dump() == before


def test_a_name_is_one_line(browser: Client) -> None:
    """It stands in mails, where a line of its own could pass for one of ours."""
    browser.post(NEW, form(label="Ledger\n\n[Win](https://evil.example)\r\n"))

    assert ApiToken.objects.get().label == "Ledger [Win](https://evil.example)"


def test_it_takes_networks_as_people_write_lists(browser: Client) -> None:
    text = "192.0.2.7, 198.51.100.0/24\r\n2001:db8::/48\n"

    browser.post(NEW, form(trusted_ips=text, life="never", scopes=["withdraw"]))

    key = ApiToken.objects.get()
    assert key.trusted_ips == ["192.0.2.7/32", "198.51.100.0/24", "2001:db8::/48"]
    assert (key.expires_at, key.scopes) == (None, "withdraw")


@pytest.mark.promise("S-49")
@pytest.mark.parametrize("path", [NEW, PAGE + "/{}"])
def test_it_asks_for_a_fresh_second_factor(
    alice: Member, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    url = path.format(make_token(alice).token.pk)
    monkeypatch.setattr(doors, "resolve_url", lambda name: f"/{name}")
    browser = Client()
    browser.force_login(alice)
    assert browser.get(url)["Location"] == "/account/security"  # to add one
    enrol_totp(alice, browser)
    before = dump()

    answers = [browser.get(url), browser.post(url, form())]

    for answer in answers:
        assert answer.status_code == 302
        assert answer["Location"].startswith("/prove?next=")
    assert dump() == before
    prove(browser, alice, "password")  # is no second factor
    assert browser.get(url).status_code == 302


def test_it_says_why_the_frozen_get_no_key(browser: Client, alice: Member) -> None:
    members.freeze(member=alice, by="test", reason="test")

    answer = browser.post(NEW, form())

    assert answer.status_code == 403
    assert "Your account is frozen." in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_it_changes_a_key(browser: Client, alice: Member) -> None:
    key = make_token(alice, label="Old", scopes=["read"]).token
    url = f"{PAGE}/{key.pk}"
    page = browser.get(url).content.decode()

    answer = browser.post(url, form(label="New", life="keep"), follow=True)

    assert 'value="Old"' in page
    assert "As it is: until" in page
    assert "The key was changed." in answer.content.decode()
    after = ApiToken.objects.get()
    assert (after.label, after.scopes) == ("New", "read trade")
    assert after.expires_at == key.expires_at


def test_it_offers_the_ancestors_scopes_to_keys_that_have_them(
    browser: Client, alice: Member
) -> None:
    key = make_token(alice, scopes=["all"]).token
    url = f"{PAGE}/{key.pk}"

    page = browser.get(url).content.decode()
    kept = browser.post(url, form(scopes=["all"], life="keep"))
    foreign = browser.post(url, form(scopes=["profile"], life="keep"))

    assert re.search(r'value="all"[^>]*checked', page)
    assert (kept.status_code, foreign.status_code) == (302, 400)
    assert ApiToken.objects.get().scopes == "all"


@pytest.mark.promise("S-49", "S-57")
def test_it_revokes_by_a_second_click_and_no_link(
    browser: Client, alice: Member
) -> None:
    issued = make_token(alice, label="Robot")
    url = f"{PAGE}/{issued.token.pk}/revoke"

    asked = browser.get(url).content.decode()
    still = ApiClient(issued).get("members/me").status_code
    answer = browser.post(url, follow=True)

    assert "Revoke Robot?" in asked
    assert still == 200
    assert "The key was revoked" in answer.content.decode()
    assert ApiClient(issued).get("members/me").status_code == 401
    assert browser.post(url).status_code == 404


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("page", ["", "/revoke"])
def test_other_members_keys_are_not_there(
    browser: Client, mallory: Member, page: str
) -> None:
    theirs = f"{PAGE}/{make_token(mallory).token.pk}{page}"
    nobodys = f"{PAGE}/{10**12}{page}"
    before = dump()

    for url in (theirs, nobodys):
        assert browser.get(url).status_code == 404
        assert browser.post(url, form(life="keep")).status_code == 404

    assert dump() == before


@pytest.mark.promise("S-70")
def test_fields_that_are_not_theirs_have_no_effect(
    browser: Client, alice: Member, mallory: Member
) -> None:
    extra = {"member": mallory.pk, "member_id": mallory.pk, "access_key": "a" * 40}
    extra |= {"expires_at": "2099-01-01", "revoked_at": "", "is_staff": "on"}

    browser.post(NEW, form(**extra))

    key = ApiToken.objects.get()
    assert key.member == alice
    assert key.access_key != "a" * 40
    assert key.expires_at is not None
    assert key.expires_at < timezone.now() + timedelta(days=91)


@pytest.mark.promise("S-57")
def test_it_takes_no_form_of_another_site(alice: Member) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    prove(browser, alice)
    key = make_token(alice).token

    for url in (NEW, f"{PAGE}/{key.pk}", f"{PAGE}/{key.pk}/revoke"):
        assert browser.post(url, form()).status_code == 403

    assert keys.live(alice).count() == 1


def test_it_names_rights_in_the_members_language(alice: Member) -> None:
    make_token(alice, label="Robot", scopes=["read", "trade"])
    alice.language = "zh-hans"
    alice.save(update_fields=["language"])
    browser = Client()
    browser.force_login(alice)

    page = browser.get("/account/keys").content.decode()

    assert '<span class="tag">查看</span> <span class="tag">交易</span>' in page
    assert ">read<" not in page


def test_mails_say_rights_as_a_sentence() -> None:
    scopes = "read trade withdraw"
    assert rights(scopes) == "Read, Trade, and Withdraw"
    with translation.override("zh-hans"):
        assert rights(scopes) == "查看、交易和提现"
