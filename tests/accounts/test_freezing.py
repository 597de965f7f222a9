"""The link in mails about security that freezes the account."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

import pytest
from django.test import Client
from django.utils import timezone

from accounts import freezing, members, notices
from accounts.links import LinkSpent
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.notices import Event
from exchange.lib import mail
from exchange.lib.models import AuditRecord
from exchange.lib.transactions import transaction
from tests.accounts.mailbox import made, mails_to, subjects
from tests.makers import PASSWORD, ApiClient, fund
from tests.races.crowd import at_once, count

FROZEN = "Your account is frozen"


def secret_of(member: Member) -> str:
    return notices.freeze_link(member).rpartition("/")[2]


@pytest.mark.promise("S-18")
def test_it_freezes_by_a_button_and_ends_all_sessions(alice: Member) -> None:
    thief, owner = Client(), Client()
    thief.force_login(alice)
    way = f"/freeze/{secret_of(alice)}"

    page = owner.get(way)
    still = Member.objects.get(pk=alice.pk).state
    answer = owner.post(way)

    assert (page.status_code, still) == (200, "active")
    assert answer.status_code == 200
    assert Member.objects.get(pk=alice.pk).state == "frozen"
    assert not Session.objects.filter(member=alice).exists()
    assert thief.get("/").wsgi_request.user.is_anonymous
    assert subjects(alice.email) == [FROZEN]
    deed = AuditRecord.objects.get(action="member_frozen")
    assert deed.actor == f"member:{alice.pk}"


@pytest.mark.promise("S-18")
def test_it_stops_keys_from_trading(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "1 btc")
    order = {"market": "btccny", "side": "sell", "volume": "0.1", "price": "90"}
    placed = alices_bot.post("orders", **order)

    freezing.freeze(secret_of(alice))

    assert placed.status_code == 201
    assert alices_bot.post("orders", **order).status_code == 400
    cancel = alices_bot.post("order/delete", id=placed.json()["id"])
    assert cancel.status_code == 201


def test_it_lets_the_frozen_sign_in_and_look(alice: Member) -> None:
    freezing.freeze(secret_of(alice))
    browser = Client()

    browser.post("/signin", {"email": alice.email, "password": PASSWORD})
    page = browser.get("/account")

    assert page.status_code == 200
    assert b"Your account is frozen" in page.content


def test_it_freezes_once(alice: Member) -> None:
    secret = secret_of(alice)
    freezing.freeze(secret)

    with pytest.raises(LinkSpent):
        freezing.freeze(secret)
    freezing.freeze(secret_of(Member.objects.get(pk=alice.pk)))

    assert subjects(alice.email) == [FROZEN]
    assert AuditRecord.objects.filter(action="member_frozen").count() == 1


@pytest.mark.promise("S-18")
@pytest.mark.parametrize("by", ["link", "operator"])
def test_a_link_is_spent_by_a_freeze_that_was_thawed(alice: Member, by: str) -> None:
    secret, other = secret_of(alice), secret_of(alice)
    if by == "link":
        freezing.freeze(other)
    else:
        members.freeze(member=alice, by="operator:1", reason="asked")
    members.thaw(member=alice, by="operator:1", reason="it was her")

    for spent in (secret, other):
        with pytest.raises(LinkSpent):
            freezing.freeze(spent)

    assert Member.objects.get(pk=alice.pk).state == "active"
    assert Client().post(f"/freeze/{secret}").status_code == 404
    freezing.freeze(secret_of(Member.objects.get(pk=alice.pk)))
    assert Member.objects.get(pk=alice.pk).state == "frozen"


def test_a_link_of_a_frozen_time_is_good_after_it(alice: Member) -> None:
    """A thief may strike again, and this mail is the newest its reader has."""
    members.freeze(member=alice, by="operator:1", reason="asked")
    secret = secret_of(Member.objects.get(pk=alice.pk))
    members.thaw(member=alice, by="operator:1", reason="it was her")

    freezing.freeze(secret)

    assert Member.objects.get(pk=alice.pk).state == "frozen"


@pytest.mark.races
def test_it_freezes_once_for_many_at_once(alice: Member) -> None:
    results = at_once(*[partial(freezing.freeze, secret_of(alice))] * 6)

    assert (count(results, Member), count(results, LinkSpent)) == (1, 5)
    assert subjects(alice.email) == [FROZEN]


def test_it_is_good_for_a_week(alice: Member) -> None:
    with made(ago=timedelta(days=6)):
        young = secret_of(alice)
    with made(ago=timedelta(days=8)):
        old = secret_of(alice)

    assert freezing.whose_link(young) == alice
    with pytest.raises(LinkSpent):
        freezing.freeze(old)


def test_it_freezes_nobody_else(alice: Member, bob: Member) -> None:
    forged = secret_of(alice).replace(f"{alice.pk}.", f"{bob.pk}.", 1)

    with pytest.raises(LinkSpent):
        freezing.freeze(forged)

    assert not Member.objects.filter(state="frozen").exists()


def test_it_says_that_a_link_is_spent(alice: Member) -> None:
    members.close(member=alice, by="operator:1", reason="gone", now=timezone.now())

    answer = Client().get(f"/freeze/{secret_of(alice)}")

    assert answer.status_code == 404
    assert b"has been used or is too old" in answer.content


@pytest.mark.parametrize(
    ("way", "onward"),
    [
        ("activate", ["/signin", "/signup"]),
        ("reset", ["/forgot", "/signin"]),
        ("unlock", ["/signin", "/forgot"]),
        ("freeze", ["/forgot", "/signin"]),
    ],
)
def test_a_spent_link_leads_on(way: str, onward: list[str]) -> None:
    answer = Client().get(f"/{way}/spent")

    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    assert answer.status_code == 404
    assert re.findall('href="([^"]+)"', main) == onward


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (Event.TICKET_ANSWERED, {}),
        (Event.IDENTITY_DECIDED, {"outcome": "verified"}),
        (Event.PASSWORD_RESET, {"url": "https://localhost/reset/x"}),
        (Event.LOCKED, {"url": "https://localhost/unlock/x"}),
    ],
)
def test_only_mails_of_what_an_intruder_did_offer_it(
    alice: Member, event: Event, facts: dict[str, str]
) -> None:
    with transaction():
        notices.tell(alice, event, **facts)
        notices.tell(alice, Event.PASSWORD_CHANGED)

    quiet, loud = [mail.read(each) for each in mails_to(alice.email)]
    assert quiet is not None
    assert loud is not None
    assert "/freeze/" not in quiet.text + quiet.html
    # As text it is an address alone on its line.
    assert re.search(r"^https?://\S+/freeze/\S+$", loud.text, re.MULTILINE)
    assert "overflow-wrap:anywhere" in loud.html
