"""Losing every factor: an operator, three days, and everybody may object."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.factors import keyring, losses
from accounts.links import LinkSpent
from accounts.models.factors import FactorLoss
from accounts.models.members import Member
from accounts.models.sessions import Session
from accounts.tasks import finish_factor_losses
from exchange.lib import mail
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from tests import rows
from tests.makers import PASSWORD, enrol_totp, prove

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STATE = FactorLoss.State

pytestmark = [pytest.mark.django_db, pytest.mark.promise("S-25")]


@pytest.fixture
def loss(alice: Member) -> FactorLoss:
    enrol_totp(alice)
    return losses.request(member=alice, story="My phone fell into the sea.", now=NOW)


def approve(loss: FactorLoss, olive: Member, now: datetime = NOW) -> None:
    losses.approve(loss=loss, operator=olive, reason="seen the passport", now=now)


def subjects() -> list[str]:
    found = Mail.objects.filter(subject__icontains="second factors").order_by("pk")
    return [each.subject for each in found]


def link() -> str:
    body = mail.read(Mail.objects.latest("pk"))
    assert body is not None
    found = re.search(r"/signin/lost/cancel/(\S+)", body.text)
    assert found is not None
    return found[1]


def test_a_factor_that_is_shown_was_not_lost(alice: Member, loss: FactorLoss) -> None:
    losses.disprove(member=alice, now=NOW)
    losses.disprove(member=alice, now=NOW)

    loss.refresh_from_db()
    assert loss.state == STATE.CANCELLED


def test_only_who_appoints_operators_decides_about_theirs(
    alice: Member, olive: Member, loss: FactorLoss
) -> None:
    Member.objects.filter(pk=alice.pk).update(is_staff=True)
    loss = FactorLoss.objects.get(pk=loss.pk)
    Member.objects.filter(pk=olive.pk).update(is_superuser=False)
    colleague = Member.objects.get(pk=olive.pk)

    with pytest.raises(losses.OperatorsLoss):
        approve(loss, colleague)

    Member.objects.filter(pk=olive.pk).update(is_superuser=True)
    approve(loss, Member.objects.get(pk=olive.pk))


def test_it_removes_the_factors_after_three_days(
    alice: Member, olive: Member, loss: FactorLoss
) -> None:
    browser = Client()
    browser.force_login(alice)
    approve(loss, olive)

    assert losses.finish_due(now=NOW + timedelta(hours=71, minutes=59)) == 0
    assert not keyring.of(alice).is_empty
    due = NOW + timedelta(hours=72)
    assert losses.finish_due(now=due) == 1
    assert losses.finish_due(now=due) == 0

    loss.refresh_from_db()
    alice.refresh_from_db()
    assert (loss.state, loss.ended_at) == (STATE.DONE, due)
    assert alice.security_changed_at == due
    assert keyring.of(alice).is_empty
    assert keyring.of(alice).recovery_left == 0
    assert not Session.objects.filter(member=alice).exists()
    assert subjects() == [
        "Your second factors were reported lost",
        "Your second factors will be removed in three days",
        "Your second factors were removed",
    ]


def test_it_does_nothing_without_an_operator(alice: Member, loss: FactorLoss) -> None:
    losses.finish_due(now=NOW + timedelta(days=365))

    assert not keyring.of(alice).is_empty


@pytest.mark.promise("F-23")
def test_no_clock_that_jumps_makes_it_sooner(
    alice: Member, olive: Member, loss: FactorLoss
) -> None:
    approve(loss, olive)
    due_at = FactorLoss.objects.get().due_at

    losses.finish_due(now=NOW - timedelta(hours=1))
    approve(loss, olive, now=NOW - timedelta(hours=1))

    assert FactorLoss.objects.get().due_at == due_at == NOW + timedelta(hours=72)
    assert not keyring.of(alice).is_empty
    with pytest.raises(Exception, match="factor_loss_is_done_after_its_cool_off"):
        rows.write("UPDATE accounts_factorloss SET due_at = NULL")


def test_it_is_reported_once(alice: Member, loss: FactorLoss) -> None:
    again = losses.request(member=alice, story="Again.", now=NOW)

    assert again == loss
    assert len(subjects()) == 1


@pytest.mark.promise("S-80")
def test_it_is_decided_by_somebody_else(olive: Member) -> None:
    enrol_totp(olive)
    loss = losses.request(member=olive, story="Gone.", now=NOW)

    for decide in (losses.approve, losses.refuse):
        with pytest.raises(losses.OwnLoss):
            decide(loss=loss, operator=olive, reason="it is me", now=NOW)
    assert FactorLoss.objects.get().state == STATE.REQUESTED


@pytest.mark.parametrize("is_approved", [False, True])
def test_it_is_cancelled_by_the_link_in_each_mail(
    alice: Member, olive: Member, loss: FactorLoss, is_approved: bool
) -> None:
    if is_approved:
        approve(loss, olive)
    token = link()
    browser = Client()

    page = browser.get(f"/signin/lost/cancel/{token}")
    asked = FactorLoss.objects.get().state
    done = browser.post(f"/signin/lost/cancel/{token}")
    again = browser.post(f"/signin/lost/cancel/{token}")

    assert page.status_code == 200
    assert (
        asked != STATE.CANCELLED
    )  # who only looks, like a scanner of mail, does nothing
    assert done.status_code == 200
    assert again.status_code == 404
    assert FactorLoss.objects.get().state == STATE.CANCELLED
    assert subjects()[-1] == "Your second factors stay: the report was cancelled"
    losses.finish_due(now=NOW + timedelta(days=365))
    assert not keyring.of(alice).is_empty


def test_it_believes_no_made_up_link(alice: Member, loss: FactorLoss) -> None:
    for token in ("", "x", f"{alice.pk}.0:1:2", link()[:-1]):
        with pytest.raises(LinkSpent):
            losses.by_link(token)


def test_a_link_of_one_report_does_not_cancel_the_next(
    alice: Member, loss: FactorLoss
) -> None:
    token = link()
    losses.cancel(loss=loss, now=NOW)
    losses.request(member=alice, story="Now really.", now=NOW)

    with pytest.raises(LinkSpent):
        losses.by_link(token)


MOVES = {
    STATE.REQUESTED: {"approve", "refuse", "cancel"},
    STATE.COOLING: {"refuse", "cancel"},
    STATE.DONE: set[str](),
    STATE.REFUSED: set[str](),
    STATE.CANCELLED: set[str](),
}
REACHED_BY = {"approve": STATE.COOLING, "refuse": STATE.REFUSED}
REACHED_BY |= {"cancel": STATE.CANCELLED}


@pytest.mark.parametrize("state", STATE)
@pytest.mark.parametrize("move", ["approve", "refuse", "cancel"])
def test_it_makes_the_moves_it_has_and_no_others(
    olive: Member, loss: FactorLoss, state: FactorLoss.State, move: str
) -> None:
    FactorLoss.objects.update(state=state, due_at=NOW)

    def make() -> None:
        if move == "cancel":
            losses.cancel(loss=loss, now=NOW)
        else:
            verb = getattr(losses, move)
            verb(loss=loss, operator=olive, reason="so", now=NOW)

    before = rows.dump()
    if move in MOVES[state]:
        make()
        assert FactorLoss.objects.get().state == REACHED_BY[move]
    elif state == REACHED_BY[move]:
        make()  # a repeated arrival
        assert rows.dump() == before
    else:
        with pytest.raises(IllegalMove):
            make()
        assert rows.dump() == before


def test_a_member_reports_it_after_the_password(alice: Member) -> None:
    enrol_totp(alice)
    browser = Client()
    browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    page = browser.get("/signin/lost")
    empty = browser.post("/signin/lost", {"story": ""})
    sent = browser.post("/signin/lost", {"story": "The sea."}, follow=True)

    assert page.status_code == 200
    assert empty.status_code == 400
    assert "We have your report" in sent.content.decode()
    assert FactorLoss.objects.get().story == "The sea."
    assert not sent.wsgi_request.user.is_authenticated


def test_a_member_who_is_in_sees_and_stops_it(alice: Member, loss: FactorLoss) -> None:
    browser = Client()
    browser.force_login(alice)

    page = browser.get("/account/security").content.decode()
    browser.post("/account/security/loss")

    assert "Your factors were reported lost" in page
    assert FactorLoss.objects.get().state == STATE.CANCELLED


def act(browser: Client, action: str, loss: FactorLoss, reason: str) -> None:
    form = {"action": action, "_selected_action": [loss.pk], "reason": reason}
    browser.post(reverse("admin:accounts_factorloss_changelist"), form)


@pytest.mark.promise("S-81")
def test_an_operator_decides_in_the_admin_with_a_reason(
    olive: Member, loss: FactorLoss
) -> None:
    browser = Client()
    browser.force_login(olive)
    prove(browser, olive)

    act(browser, "approve", loss, "")
    assert FactorLoss.objects.get().state == STATE.REQUESTED
    act(browser, "approve", loss, "seen the passport")

    approved = FactorLoss.objects.get()
    assert (approved.state, approved.reason) == (STATE.COOLING, "seen the passport")
    assert approved.due_at is not None
    assert approved.due_at > timezone.now() + timedelta(hours=71)
    deed = AuditRecord.objects.get(action="approve")
    assert deed.actor == f"operator:{olive.pk}"
    act(browser, "refuse", loss, "the passport was forged")
    assert FactorLoss.objects.get().state == STATE.REFUSED


def test_an_operator_without_the_right_decides_nothing(
    bob: Member, loss: FactorLoss
) -> None:
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.add(Permission.objects.get(codename="view_factorloss"))
    browser = Client()
    browser.force_login(bob)
    prove(browser, bob)

    act(browser, "approve", loss, "a friend")
    assert FactorLoss.objects.get().state == STATE.REQUESTED

    bob.user_permissions.add(Permission.objects.get(codename="decide_factorloss"))
    act(browser, "approve", loss, "seen the passport")
    assert FactorLoss.objects.get().state == STATE.COOLING


def test_its_job_is_safe_to_run_twice(
    alice: Member, olive: Member, loss: FactorLoss
) -> None:
    approve(loss, olive, now=timezone.now() - timedelta(hours=73))

    assert (finish_factor_losses(), finish_factor_losses()) == (1, 0)
    assert keyring.of(alice).is_empty
