"""The operators' side of payouts: what they see, and what they may do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import roles
from accounts.models.members import Member
from accounts.roles import Role
from exchange.lib.models import AuditRecord
from exchange.lib.templatetags.figures import amount
from exchange.lib.transactions import transaction
from tests.makers import prove
from tests.wallets.cashier import Cashier, practice_cashier
from wallets import hot, reconcile
from wallets.models.hot import HotWallet
from wallets.models.withdrawals import Payout


@pytest.fixture
def cashier(db: None) -> Cashier:
    return practice_cashier()


def page(model: type[Any], kind: str, *args: Any) -> str:
    return reverse(f"admin:wallets_{model._meta.model_name}_{kind}", args=args)


def act(browser: Client, model: type[Any], action: str, row: Any, reason: str) -> int:
    form = {"action": action, "_selected_action": [row.pk], "reason": reason}
    return browser.post(page(model, "changelist"), form).status_code


def hired(member: Member, role: Role) -> Client:
    roles.grant(member=member, role=role, by="operator:0", reason="a test")
    browser = Client()
    browser.force_login(member)
    prove(browser, member)
    return browser


def test_a_payout_shows_all_that_belongs_to_it(
    cashier: Cashier, desk: Client, alice: Member
) -> None:
    cashier.deposit(alice, "3")
    withdrawal = cashier.approved(alice, "1")
    cashier.run()
    payout = cashier.payout()
    shown = desk.get(page(Payout, "change", payout.pk)).content.decode()
    sent, coin = payout.transactions.get(), payout.coins.get()
    for each in (sent.txid, coin.txid, withdrawal.destination, 'value="raise_fee"'):
        assert each in shown
    assert amount(sent.fee) in shown


def test_an_operator_raises_a_fee_with_a_reason(
    cashier: Cashier, alice: Member, bob: Member
) -> None:
    finance = hired(bob, Role.FINANCE)
    cashier.deposit(alice, "3")
    cashier.approved(alice, "1")
    cashier.run()
    payout = cashier.payout()

    assert act(finance, Payout, "raise_fee", payout, "") == 200
    assert not cashier.payout().wants_higher_fee
    assert act(finance, Payout, "raise_fee", payout, "a hurry") == 302
    assert cashier.payout().wants_higher_fee
    told = AuditRecord.objects.get(action="asked_for_higher_fee")
    assert (told.actor, told.facts["reason"]) == (f"operator:{bob.pk}", "a hurry")


def test_payouts_are_resumed_with_a_reason(cashier: Cashier, bob: Member) -> None:
    risk = hired(bob, Role.RISK)
    with transaction():
        hot.pause("btc", hot.Pause.UNSAFE, now=cashier.now)
    wallet = HotWallet.objects.get()

    assert b"Paused hot wallets" in risk.get("/admin/").content
    assert act(risk, HotWallet, "resume", wallet, "looked at it") == 302
    assert HotWallet.objects.get().paused_at is None


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ENGINEER, Role.AUDITOR])
def test_others_do_not_resume(cashier: Cashier, bob: Member, role: Role) -> None:
    browser = hired(bob, role)
    with transaction():
        hot.pause("btc", hot.Pause.UNSAFE, now=cashier.now)
    assert act(browser, HotWallet, "resume", HotWallet.objects.get(), "x") == 403
    assert HotWallet.objects.get().paused_at is not None


def test_the_desk_shows_the_figures(
    cashier: Cashier, desk: Client, alice: Member
) -> None:
    cashier.deposit(alice, "3")
    cashier.fill("0.25")
    row = reconcile.reconcile("btc", now=cashier.now)
    assert row is not None
    listed = desk.get(page(type(row), "changelist")).content.decode()
    assert "0.25" in listed
