"""Leaving for good: what stands in the way, and what ends."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts import closing, members, tokens
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.models.tokens import ApiToken
from accounts.views import doors
from exchange.lib.errors import ExchangeError
from exchange.lib.models import AuditRecord, Mail
from tests import rows
from tests.makers import PASSWORD, ApiClient, fund, make_token, match, prove
from tests.races.crowd import at_once

pytestmark = pytest.mark.django_db


def close(member: Member, typed_email: str = "alice@example.com") -> None:
    closing.close(member=member, typed_email=typed_email, now=timezone.now())


def fresh(member: Member) -> Member:
    found: Member = Member.objects.get(pk=member.pk)
    return found


def test_an_operator_closes_no_account_with_money_in_it(alice: Member) -> None:
    fund(alice, "1 btc")

    with pytest.raises(closing.NotEmpty, match="in this account") as refusal:
        closing.close_for(
            member=alice, by="operator:1", reason="asked to", now=timezone.now()
        )

    assert refusal.value.facts["obstacles"]
    assert fresh(alice).state == "active"


@pytest.mark.promise("U-86", "S-18")
def test_it_closes_an_account_for_good(alice: Member) -> None:
    browser, elsewhere, bot = Client(), Client(), ApiClient(make_token(alice))
    for each in (browser, elsewhere):
        each.force_login(alice)
    prove(browser, alice, "password")
    assert bot.get("members/me").status_code == 200

    page = browser.post("/account/close", {"email": " Alice@Example.com "})

    assert "Your account is closed" in page.content.decode()
    assert fresh(alice).state == "closed"
    assert not Session.objects.filter(member=alice).exists()
    for each in (browser, elsewhere):
        assert each.get("/account").status_code == 302
    assert bot.get("members/me").status_code == 401
    assert ApiToken.objects.get().revoked_at is not None
    form = {"email": alice.email, "password": PASSWORD}
    assert Client().post("/signin", form).status_code == 401
    assert [mail.subject for mail in Mail.objects.all()] == ["Your account is closed"]
    deed = AuditRecord.objects.get(action="member_closed")
    assert deed.actor == f"member:{alice.pk}"


def test_it_closes_once(alice: Member) -> None:
    close(alice)

    close(fresh(alice))

    assert Mail.objects.count() == 1
    assert AuditRecord.objects.filter(action="member_closed").count() == 1


@pytest.mark.races
def test_it_closes_once_for_many_at_once(alice: Member) -> None:
    results = at_once(*[lambda: close(alice)] * 8)

    assert not [each for each in results if isinstance(each, ExchangeError)]
    assert Mail.objects.count() == 1
    assert AuditRecord.objects.filter(action="member_closed").count() == 1


def test_it_needs_the_address_typed(alice: Member) -> None:
    before = rows.dump()

    with pytest.raises(closing.WrongAddress):
        close(alice, "bob@example.com")

    assert rows.dump() == before


@pytest.mark.parametrize("typed", ["bob@example.com", "", "no address", "\0"])
def test_it_says_beside_the_field_what_is_wrong(alice: Member, typed: str) -> None:
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice, "password")

    answer = browser.post("/account/close", {"email": typed})

    assert answer.status_code == 400
    assert 'id="id_email_error"' in answer.content.decode()
    assert fresh(alice).state == "active"


@pytest.mark.promise("S-18")
def test_a_frozen_member_cannot_slip_away(alice: Member) -> None:
    members.freeze(member=alice, by="operator:1", reason="looking into it")
    before = rows.dump()

    with pytest.raises(closing.Frozen):
        close(fresh(alice))

    assert rows.dump() == before


def test_it_keeps_whoever_has_something_left(alice: Member) -> None:
    fund(alice, "1.5 btc", "20 cny")
    bot = ApiClient(make_token(alice))
    bot.post("orders", market="btccny", side="sell", volume="0.1", price="90")
    before = rows.dump()

    with pytest.raises(closing.NotEmpty) as refusal:
        close(alice)

    assert refusal.value.facts["obstacles"] == [
        *("You still have 1.5 BTC.", "You still have 20.0 CNY."),
        "You have 1 open order.",
    ]
    assert rows.dump() == before


def test_it_names_what_is_left_on_the_page(alice: Member) -> None:
    fund(alice, "1.5 btc")
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice)

    page = browser.get("/account/close").content.decode()
    refused = browser.post("/account/close", {"email": alice.email})

    assert "You still have 1.5 BTC." in page
    assert 'name="email"' not in page
    assert refused.status_code == 422
    assert fresh(alice).state == "active"


def test_what_was_spent_is_no_obstacle(alice: Member, bob: Member) -> None:
    fund(alice, "0.1 btc")
    fund(bob, "9 cny")
    sale = {"market": "btccny", "side": "sell", "volume": "0.1", "price": "90"}
    ApiClient(make_token(alice)).post("orders", **sale)
    ApiClient(make_token(bob)).post("orders", **sale | {"side": "buy"})
    match("btccny")

    left = closing.obstacles_of(alice)

    assert [sentence for sentence in left if "BTC" in sentence] == []


@pytest.mark.promise("S-20")
@pytest.mark.parametrize("method", ["get", "post"])
def test_it_asks_for_a_fresh_proof(
    alice: Member, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "resolve_url", lambda name: f"/{name}")
    browser = Client()
    browser.force_login(alice)

    answer = getattr(browser, method)("/account/close", {"email": alice.email})

    assert answer["Location"].startswith("/prove?next=")
    assert fresh(alice).state == "active"


@pytest.mark.promise("S-18")
def test_an_operator_closes_with_all_that_belongs_to_it(alice: Member) -> None:
    fund(alice, "1 btc")  # operators may, and the books stay
    issued = make_token(alice)
    browser = Client()
    browser.force_login(alice)

    members.close(member=alice, by="operator:1", reason="gone", now=timezone.now())

    assert not Session.objects.exists()
    assert ApiToken.objects.get(pk=issued.token.pk).revoked_at is not None
    assert Mail.objects.count() == 1
    revoked = AuditRecord.objects.get(action="token_revoked")
    assert revoked.actor == "operator:1"
    tokens.revoke(token=issued.token, by="operator:1", now=timezone.now())
    assert AuditRecord.objects.filter(action="token_revoked").count() == 1
