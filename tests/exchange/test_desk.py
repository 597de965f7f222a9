"""The door of the operators' desk: a role, a second factor, a fresh one for deeds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import proofs, roles, tickets
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.roles import Role
from exchange.lib.models import AuditRecord
from exchange.lib.transactions import transaction
from tests.makers import enrol_totp, prove

MEMBERS = "/admin/accounts/member/"


@pytest.fixture
def browser(olive: Member) -> Client:
    """Olive's browser, signed in with her password alone."""
    client = Client()
    client.force_login(olive)
    return client


def show(
    browser: Client, member: Member, *, ago: timedelta, purpose: str = "sign_in"
) -> None:
    """Let a second factor have been shown a while ago."""
    with transaction():
        proofs.record(
            member=member,
            session_key=str(browser.session.session_key),
            purpose=Proof.Purpose(purpose),
            factor=Proof.Factor.TOTP,
            now=timezone.now() - ago,
        )


def freeze(browser: Client, member: Member) -> str:
    form = {"action": "freeze", "_selected_action": [member.pk], "reason": "a test"}
    return browser.post(MEMBERS, form)["Location"]


@pytest.mark.promise("S-78")
@pytest.mark.parametrize("page", ["/admin/", MEMBERS, "/admin/jsi18n/"])
def test_a_password_alone_opens_nothing(
    browser: Client, olive: Member, page: str
) -> None:
    assert browser.get(page).status_code == 302
    prove(browser, olive, "password")
    assert browser.get(page).status_code == 302
    show(browser, olive, ago=timedelta(minutes=1))
    assert browser.get(page).status_code == 200


@pytest.mark.promise("S-78")
def test_it_sends_who_has_no_factor_to_where_one_is_set_up(browser: Client) -> None:
    answer = browser.get("/admin/", follow=True)

    assert answer.redirect_chain[-1][0].startswith("/account")
    assert b"Operators need a second factor" in answer.content
    assert answer.status_code == 200


def test_the_account_leads_operators_to_the_desk(
    browser: Client, olive: Member, alice: Member
) -> None:
    hint = "opens with a second factor only"
    without = browser.get("/account").content.decode()
    enrol_totp(olive, browser)
    with_factor = browser.get("/account").content.decode()
    browser.force_login(alice)
    members = browser.get("/account").content.decode()

    assert 'href="/admin/"' in without
    assert hint in without
    assert 'href="/admin/"' in with_factor
    assert hint not in with_factor
    assert 'href="/admin/"' not in members
    assert hint not in members


def test_a_missing_factor_is_not_told_in_green(browser: Client) -> None:
    page = browser.get("/admin/", follow=True).content.decode()

    assert '<p class="toast" role="status">Operators need' in page


@pytest.mark.promise("S-78")
def test_it_closes_after_an_hour(
    browser: Client, olive: Member, settings: Settings
) -> None:
    show(browser, olive, ago=timedelta(minutes=59))
    open_still = browser.get("/admin/").status_code
    settings.DESK_SESSION_SECONDS = 58 * 60

    assert (open_still, browser.get("/admin/").status_code) == (200, 302)


def test_a_proof_of_another_session_opens_nothing(
    browser: Client, olive: Member
) -> None:
    other = Client()
    other.force_login(olive)
    prove(other, olive)

    assert browser.get("/admin/").status_code == 302


@pytest.mark.promise("S-78")
def test_a_deed_needs_a_fresh_proof(
    browser: Client, olive: Member, alice: Member
) -> None:
    enrol_totp(olive, browser)
    show(browser, olive, ago=timedelta(minutes=6))
    show(browser, olive, ago=timedelta(minutes=6), purpose="security")

    sent_to = freeze(browser, alice)
    before = Member.objects.get(pk=alice.pk).state
    prove(browser, olive)
    freeze(browser, alice)

    assert "next=%2Fadmin%2Fdeed%2F" in sent_to
    assert (before, Member.objects.get(pk=alice.pk).state) == ("active", "frozen")


def test_a_deed_that_waited_for_a_proof_need_not_be_typed_again(
    browser: Client, olive: Member, alice: Member, bob: Member
) -> None:
    enrol_totp(olive, browser)
    show(browser, olive, ago=timedelta(minutes=6))
    form = {
        "action": "freeze",
        "_selected_action": [alice.pk, bob.pk],
        "reason": "a stolen phone",
    }
    browser.post(f"{MEMBERS}?state__exact=active", form)
    prove(browser, olive)

    page = browser.get("/admin/deed/").content.decode()

    assert 'value="a stolen phone"' in page
    assert f'action="{MEMBERS}?state__exact=active"' in page
    for member in (alice, bob):
        assert f'name="_selected_action" value="{member.pk}"' in page
    assert Member.objects.get(pk=alice.pk).state == "active"


def test_a_deed_that_waited_is_still_for_who_may(
    browser: Client, olive: Member, alice: Member
) -> None:
    enrol_totp(olive, browser)
    show(browser, olive, ago=timedelta(minutes=6))
    freeze(browser, alice)
    Member.objects.filter(pk=olive.pk).update(is_superuser=False)
    prove(browser, olive)

    assert browser.get("/admin/deed/").status_code == 403


@pytest.mark.parametrize("key", ["\0", "abc"])
def test_a_deed_on_what_is_no_row_is_not_kept(
    browser: Client, olive: Member, key: str
) -> None:
    show(browser, olive, ago=timedelta(minutes=30))
    form = {"action": "freeze", "_selected_action": [key]}
    assert browser.post(MEMBERS, form).status_code == 400
    assert browser.get("/admin/deed/")["Location"] == "/admin/"


def test_it_searches_for_no_form(browser: Client, olive: Member) -> None:
    show(browser, olive, ago=timedelta(minutes=1))
    asked = "app_label=wallets&model_name=withdrawal&field_name=member&term=%00"
    assert browser.get(f"/admin/autocomplete/?{asked}").status_code == 404


def test_where_no_deed_waited_there_is_the_first_page(
    browser: Client, olive: Member
) -> None:
    prove(browser, olive)

    assert browser.get("/admin/deed/")["Location"] == "/admin/"


def test_what_waits_comes_first(browser: Client, olive: Member, alice: Member) -> None:
    prove(browser, olive)
    tickets.ask(
        member=alice, subject="Hello", text="Where?", files=[], now=timezone.now()
    )

    page = browser.get("/admin/").content.decode()

    assert "<b>1</b> Tickets waiting for an answer" in page
    assert "<b>0</b> Lost factors to decide" in page
    assert page.index("Tickets waiting") < page.index('id="group-0-member"')
    assert "Recent actions" not in page


def test_nobody_is_told_of_work_that_is_not_theirs(alice: Member) -> None:
    roles.grant(member=alice, role=Role.SUPPORT, by="operator:0", reason="a test")
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice)

    page = browser.get("/admin/").content.decode()

    assert "Tickets waiting for an answer" in page
    assert "Lost factors to decide" not in page
    assert "Identities to review" not in page


def test_a_proof_leads_back_to_the_page_not_to_the_button(
    browser: Client, olive: Member
) -> None:
    enrol_totp(olive, browser)
    show(browser, olive, ago=timedelta(minutes=6))
    page = "http://testserver/admin/accounts/identitycase/1/change/"

    answer = browser.post(
        "/admin/accounts/identitycase/1/decide", headers={"Referer": page}
    )

    assert answer["Location"].startswith("/prove?next=")
    assert answer["Location"].endswith("identitycase%2F1%2Fchange%2F")


def test_leaving_needs_no_proof(browser: Client, olive: Member) -> None:
    show(browser, olive, ago=timedelta(minutes=6))

    browser.post("/admin/logout/")

    assert browser.get("/").wsgi_request.user.is_anonymous


def test_passwords_are_not_changed_here(browser: Client, olive: Member) -> None:
    prove(browser, olive)

    answer = browser.get("/admin/password_change/")

    assert (answer.status_code, answer["Location"]) == (302, "/account/password")


@pytest.mark.promise("S-78")
@pytest.mark.parametrize(
    ("networks", "status"),
    [
        ([], 200),
        (["127.0.0.0/8"], 200),
        (["10.0.0.0/8", "127.0.0.1"], 200),
        (["10.0.0.0/8"], 403),
        (["::/0"], 403),
    ],
)
def test_it_opens_to_our_networks_only(
    browser: Client,
    olive: Member,
    settings: Settings,
    networks: list[str],
    status: int,
) -> None:
    prove(browser, olive)
    settings.DESK_NETWORKS = networks

    answer = browser.get(
        "/admin/", follow=True, headers={"X-Forwarded-For": "10.0.0.1"}
    )

    assert answer.status_code == status


@pytest.mark.promise("S-60")
def test_the_door_leads_to_no_other_site(browser: Client, olive: Member) -> None:
    answer = browser.get("/admin/login/?next=https://evil.example/")

    assert "evil" not in answer["Location"]


@pytest.mark.promise("S-79")
def test_a_superuser_who_enters_is_an_alarm(
    browser: Client, olive: Member, settings: Settings
) -> None:
    prove(browser, olive)
    browser.get("/admin/")
    assert not AuditRecord.objects.filter(is_alarm=True).exists()
    settings.PRODUCTION = True

    browser.get("/admin/")
    browser.get(MEMBERS)

    alarm = AuditRecord.objects.get(is_alarm=True)
    assert (alarm.action, alarm.subject) == (
        "superuser_entered_admin",
        f"member:{olive.pk}",
    )


def test_an_operator_with_a_role_is_none(alice: Member, settings: Settings) -> None:
    roles.grant(member=alice, role=Role.SUPPORT, by="operator:0", reason="a test")
    settings.PRODUCTION = True
    client = Client()
    client.force_login(alice)
    prove(client, alice)

    assert client.get(reverse("admin:index")).status_code == 200
    assert not AuditRecord.objects.filter(is_alarm=True).exists()


@pytest.mark.promise("S-78")
def test_a_frozen_operator_is_out_at_once(browser: Client, olive: Member) -> None:
    prove(browser, olive)
    assert browser.get("/admin/").status_code == 200
    Member.objects.filter(pk=olive.pk).update(state="frozen")

    assert browser.get("/admin/").status_code == 302


def test_a_closed_operator_is_out_at_once(browser: Client, olive: Member) -> None:
    prove(browser, olive)
    Member.objects.filter(pk=olive.pk).update(state="closed")

    assert (
        browser.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/signin")
    )
