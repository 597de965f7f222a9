"""Corrections of the books: two operators, one entry, and never below zero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import exports
from accounts.models.members import Member
from accounts.roles import Role
from exchange.lib import mail, words
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests import rows
from tests.makers import fund, make_member
from tests.races.crowd import at_once, count
from tests.wallets.test_payout_desk import act, hired
from wallets import adjustments, audit, ledger, queries
from wallets.ledger import House
from wallets.models.adjustments import Adjustment
from wallets.models.currencies import Currency
from wallets.models.ledger import Entry

D = Decimal


@pytest.fixture
def finn(db: None) -> Member:
    return make_member("finn")


@pytest.fixture
def rita(db: None) -> Member:
    return make_member("rita")


def propose(
    finn: Member, member: Member | None, amount: str, **terms: Any
) -> Adjustment:
    terms = {"currency": "btc", "reason": "a lost deposit"} | terms
    now = timezone.now()
    with transaction():
        return adjustments.propose(
            member=member, amount=D(amount), operator=finn, now=now, **terms
        )


def approve(row: Adjustment, operator: Member) -> Adjustment:
    return adjustments.approve(
        adjustment=row, operator=operator, note="looked it up", now=timezone.now()
    )


def has(member: Member) -> Decimal:
    return queries.balance(member.pk, "btc").available


# --- Two operators -------------------------------------------------------------------


@pytest.mark.promise("I-19", "R-5", "S-80")
def test_it_is_booked_once_when_another_approves(
    alice: Member, finn: Member, rita: Member
) -> None:
    fund(alice, "1 btc")
    row = propose(finn, alice, "2.5")
    assert has(alice) == 1

    row = approve(row, rita)
    again = approve(row, make_member("third"))

    assert has(alice) == D("3.5")
    assert queries.house_balance(House.ADJUSTMENTS, "btc") == D("-2.5")
    assert (again.state, again.decider, again.note) == ("booked", rita, "looked it up")
    entry = Entry.objects.get(reason="adjustment")
    assert entry.reference == f"adjustment:{row.pk}"
    told = AuditRecord.objects.get(action="book")
    assert (told.actor, told.facts["note"]) == (f"operator:{rita.pk}", "looked it up")


def test_a_long_amount_is_booked_exactly(
    alice: Member, finn: Member, rita: Member
) -> None:
    Currency.objects.create(
        code="wei", name="Wei", symbol="w", kind="coin", scale=18, digits=18
    )
    amount = D("12345678901.000000000000000003")
    approve(propose(finn, alice, str(amount), currency="wei"), rita)
    assert queries.balance(alice.pk, "wei").available == amount
    approve(propose(finn, alice, f"-{amount}", currency="wei"), rita)
    assert queries.balance(alice.pk, "wei").available == 0
    assert not audit.adjustments_unlike_entries()


def test_the_member_hears_why(alice: Member, finn: Member, rita: Member) -> None:
    fund(alice, "3 btc")
    approve(propose(finn, alice, "-2", reason="credited twice"), rita)

    sent = Mail.objects.order_by("-pk")[0]
    body = mail.read(sent)
    assert (sent.to, sent.subject) == (alice.email, "A correction of your BTC balance")
    assert body is not None
    assert "2.0 BTC were taken" in body.text
    assert "credited twice" in body.text
    (kept,) = exports.parts["adjustments"](alice)
    assert (kept["amount"], kept["reason"]) == ("-2.0", "credited twice")


@pytest.mark.promise("I-19", "S-80")
def test_nobody_decides_about_their_own(
    alice: Member, finn: Member, rita: Member
) -> None:
    row = propose(finn, rita, "1")
    with pytest.raises(adjustments.OwnProposal):
        approve(row, finn)
    with pytest.raises(adjustments.OwnAccount):
        approve(row, rita)
    for operator, error in (
        (finn, adjustments.OwnProposal),
        (rita, adjustments.OwnAccount),
    ):
        with pytest.raises(error):
            adjustments.refuse(
                adjustment=row, operator=operator, note="", now=timezone.now()
            )
    with pytest.raises(adjustments.OwnAccount):
        propose(rita, rita, "1")
    assert has(rita) == 0
    assert approve(row, alice).state == "booked"


@pytest.mark.promise("I-19", "S-80")
@pytest.mark.parametrize(
    ("decider", "guard"),
    [
        ("finn", "adjustments_take_two_operators"),
        ("alice", "nobody_adjusts_their_own_account"),
    ],
)
def test_the_database_refuses_one_operator_alone(
    alice: Member, finn: Member, decider: str, guard: str
) -> None:
    row = propose(finn, alice, "1")
    who = {"finn": finn, "alice": alice}[decider]
    with pytest.raises(IntegrityError, match=guard):
        Adjustment.objects.filter(pk=row.pk).update(
            state="booked", decider=who, decided_at=timezone.now()
        )
    with pytest.raises(IntegrityError, match="nobody_adjusts_their_own_account"):
        Adjustment.objects.create(
            member=finn,
            currency_id="btc",
            amount=1,
            proposer=finn,
            proposed_at=timezone.now(),
        )
    with pytest.raises(IntegrityError, match="adjustments_say_who_decided"):
        Adjustment.objects.filter(pk=row.pk).update(state="booked")


@pytest.mark.promise("I-16", "S-80")
def test_what_was_proposed_is_what_is_approved(alice: Member, finn: Member) -> None:
    row = propose(finn, alice, "1")
    for deed in (
        "UPDATE wallets_adjustment SET amount = 2",
        "UPDATE wallets_adjustment SET member_id = NULL",
        "UPDATE wallets_adjustment SET reason = 'another'",
        "DELETE FROM wallets_adjustment",
    ):
        with pytest.raises(Exception, match="append-only"):
            rows.write_as_owner(deed)
    adjustments.withdraw(adjustment=row, operator=finn, note="x", now=timezone.now())
    with pytest.raises(Exception, match="append-only"):
        rows.write_as_owner("UPDATE wallets_adjustment SET state = 'proposed'")


@pytest.mark.parametrize("amount", ["0", "NaN", "1e30"])
def test_the_database_refuses_odd_amounts(finn: Member, amount: str) -> None:
    with pytest.raises(IntegrityError, match="adjustment_amount_is_sound"):
        rows.write(
            "INSERT INTO wallets_adjustment (currency_id, amount, reason, state,"
            " proposer_id, proposed_at, note)"
            " VALUES ('btc', %s, '', 'proposed', %s, now(), '')",
            amount,
            finn.pk,
        )


def test_what_ended_stays_ended(alice: Member, finn: Member, rita: Member) -> None:
    now = timezone.now()
    refused, withdrawn = propose(finn, alice, "1"), propose(finn, alice, "2")
    with pytest.raises(adjustments.NotYours):
        adjustments.withdraw(adjustment=withdrawn, operator=rita, note="", now=now)
    adjustments.refuse(adjustment=refused, operator=rita, note="no", now=now)
    adjustments.withdraw(adjustment=withdrawn, operator=finn, note="typo", now=now)
    for row in (refused, withdrawn):
        with pytest.raises(IllegalMove):
            approve(row, rita)
    assert has(alice) == 0
    assert exports.parts["adjustments"](alice) is not None
    assert list(exports.parts["adjustments"](alice)) == []


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"amount": "0"}, ledger.BadAmount),
        ({"amount": "0.000000001"}, ledger.BadAmount),
        ({"amount": "1", "currency": "xyz"}, ledger.UnknownCurrency),
        ({"amount": "1", "reason": " "}, adjustments.NoReason),
        ({"amount": "1", "reason": "x" * 201}, adjustments.NoReason),
        ({"amount": "1", "reason": "a\u202eb"}, words.Unseen),
    ],
)
def test_what_cannot_be_is_not_proposed(
    alice: Member, finn: Member, terms: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        propose(finn, alice, **terms)
    assert not Adjustment.objects.exists()


# --- Never below zero ----------------------------------------------------------------


@pytest.mark.promise("I-3")
def test_a_debit_below_zero_stays_proposed(
    alice: Member, finn: Member, rita: Member
) -> None:
    fund(alice, "1 btc")
    row = propose(finn, alice, "-2")
    with pytest.raises(ledger.InsufficientFunds):
        approve(row, rita)
    row.refresh_from_db()
    assert row.state == "proposed"
    assert has(alice) == 1
    assert not Mail.objects.filter(subject__contains="correction").exists()
    fund(alice, "1 btc")
    assert approve(row, rita).state == "booked"
    assert has(alice) == 0


def test_suspense_is_corrected_and_not_below_zero_either(
    finn: Member, rita: Member
) -> None:
    with pytest.raises(ledger.InsufficientFunds):
        approve(propose(finn, None, "-1"), rita)
    approve(propose(finn, None, "2"), rita)
    approve(propose(finn, None, "-1.5"), rita)
    assert queries.house_balance(House.SUSPENSE, "btc") == D("0.5")
    with pytest.raises(ledger.InsufficientFunds):
        approve(propose(finn, None, "-1"), rita)


@pytest.mark.races
@pytest.mark.promise("I-19", "S-72")
def test_many_who_approve_at_once_book_it_once(
    alice: Member, finn: Member, rita: Member
) -> None:
    row = propose(finn, alice, "1")
    results = at_once(*[lambda: approve(row, rita)] * 10)
    assert count(results, Adjustment) == 10
    assert has(alice) == 1


@pytest.mark.races
def test_two_corrections_do_not_take_suspense_twice(finn: Member, rita: Member) -> None:
    approve(propose(finn, None, "1"), rita)
    proposed = [propose(finn, None, "-1") for _ in range(10)]
    results = at_once(*[lambda row=row: approve(row, rita) for row in proposed])
    assert count(results, Adjustment) == 1
    assert count(results, ledger.InsufficientFunds) == 9


# --- The desk ------------------------------------------------------------------------

ADD = "/admin/wallets/adjustment/add/"


def wished(**changes: str) -> dict[str, str]:
    whole = {"account": "alice@example.com", "currency": "btc", "direction": "add"}
    return whole | {"size": "2", "reason": "a lost deposit"} | changes


def page_of(row: Adjustment) -> str:
    return reverse("admin:wallets_adjustment_change", args=[row.pk])


@pytest.mark.promise("S-79", "S-80", "A-1")
def test_finance_proposes_and_risk_books(
    alice: Member, finn: Member, rita: Member
) -> None:
    finance, risk = hired(finn, Role.FINANCE), hired(rita, Role.RISK)

    assert finance.post(ADD, wished(direction="take")).status_code == 302
    row = Adjustment.objects.get()
    assert (row.member, row.amount, row.proposer) == (alice, -2, finn)
    assert b"Corrections to decide about" in risk.get("/admin/").content
    shown = risk.get(page_of(row)).content.decode()
    assert "loses 2.0 BTC" in shown
    assert "has 0.0 available now" in shown
    assert act(risk, Adjustment, "approve", row, "") == 200
    assert act(risk, Adjustment, "approve", row, "ok") == 302
    row.refresh_from_db()
    assert row.state == "proposed"  # she has nothing
    fund(alice, "5 btc")
    act(finance, Adjustment, "approve", row, "I want it")
    assert has(alice) == 5
    act(risk, Adjustment, "approve", row, "looked it up")
    assert has(alice) == 3
    row.refresh_from_db()
    assert (row.state, row.decider, row.note) == ("booked", rita, "looked it up")
    assert b'value="approve"' not in risk.get(page_of(row)).content


def test_a_number_and_no_name_do_as_well(alice: Member, finn: Member) -> None:
    finance = hired(finn, Role.FINANCE)
    finance.post(ADD, wished(account=alice.sn))
    finance.post(ADD, wished(account=""))
    assert [row.member for row in Adjustment.objects.order_by("pk")] == [alice, None]


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "nobody@example.com"},
        {"account": "nobody"},
        {"account": "finn@example.com"},
        {"size": "-1"},
        {"size": "0"},
        {"size": "1e3"},
        {"size": "0.0000000001"},
        {"reason": ""},
        {"currency": "xyz"},
        {"direction": "both"},
    ],
)
def test_what_cannot_be_is_said_on_the_form(
    alice: Member, finn: Member, changes: dict[str, str]
) -> None:
    finance = hired(finn, Role.FINANCE)
    answer = finance.post(ADD, wished(**changes))
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not Adjustment.objects.exists()


@pytest.mark.promise("S-79")
@pytest.mark.parametrize(
    "role", [Role.SUPPORT, Role.RISK, Role.ENGINEER, Role.AUDITOR, Role.KYC]
)
def test_only_finance_proposes(alice: Member, rita: Member, role: Role) -> None:
    browser = hired(rita, role)
    assert browser.post(ADD, wished()).status_code == 403
    assert not Adjustment.objects.exists()


def test_what_is_proposed_can_be_refused_or_taken_back(
    alice: Member, finn: Member, rita: Member
) -> None:
    finance, risk = hired(finn, Role.FINANCE), hired(rita, Role.RISK)
    refused, withdrawn = propose(finn, alice, "1"), propose(finn, alice, "2")
    act(risk, Adjustment, "refuse", refused, "no")
    assert act(risk, Adjustment, "take_back", withdrawn, "no") == 403
    act(finance, Adjustment, "take_back", withdrawn, "a typo")
    states = [row.state for row in Adjustment.objects.order_by("pk")]
    assert states == ["refused", "withdrawn"]


def test_nothing_of_it_is_edited_or_deleted(
    alice: Member, finn: Member, desk: Client
) -> None:
    row = propose(finn, alice, "1")
    answer = desk.post(page_of(row), {"amount": "100", "reason": "mine"})
    deleted = desk.post(
        reverse("admin:wallets_adjustment_delete", args=[row.pk]), {"post": "yes"}
    )
    assert (answer.status_code, deleted.status_code) == (403, 403)
    row.refresh_from_db()
    assert row.amount == 1


def test_the_desk_shows_transfers(desk: Client) -> None:
    assert desk.get(reverse("admin:wallets_transfer_changelist")).status_code == 200
    assert desk.get(reverse("admin:wallets_transfer_add")).status_code == 403
