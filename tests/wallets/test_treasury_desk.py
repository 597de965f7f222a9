"""The operators' side of moves between our wallets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models.members import Member
from accounts.roles import Role
from tests.makers import make_member
from tests.wallets.cashier import Cashier, practice_cashier
from tests.wallets.test_payout_desk import hired
from wallets import treasury
from wallets.chains.base import Payment
from wallets.models.treasury import TreasuryMove

LIST = "admin:wallets_treasurymove_changelist"


@pytest.fixture
def cashier(db: None, settings: Any) -> Cashier:
    found = practice_cashier()
    cold = found.chain.outside_address()
    settings.COLD_ADDRESSES = {found.currency: (cold,)}
    return found


def newest() -> TreasuryMove:
    return TreasuryMove.objects.latest("pk")


def ask(browser: Client, currency: str, kind: str, size: str) -> Any:
    form = {"currency": currency, "kind": kind, "size": size, "why": "too much"}
    return browser.post(reverse("admin:wallets_treasurymove_add"), form)


def act(browser: Client, action: str, **form: str) -> str:
    row = newest()
    form |= {"action": action, "_selected_action": str(row.pk), "reason": "looked"}
    return browser.post(reverse(LIST), form, follow=True).text


def test_two_operators_sweep_and_the_page_says_what_it_does(
    cashier: Cashier, alice: Member
) -> None:
    cashier.deposit(alice, "10")
    one = hired(make_member("one"), Role.FINANCE)
    other = hired(make_member("other"), Role.RISK)

    assert ask(one, cashier.currency, "sweep", "6").status_code == 302
    assert "Somebody else has to approve" in act(one, "approve")
    move = TreasuryMove.objects.get()
    page = other.get(reverse("admin:wallets_treasurymove_change", args=[move.pk])).text
    assert "The hot wallet pays 6.0 BTC to cold storage." in page
    assert "<meter" in page
    act(other, "approve")
    treasury.run(cashier.currency, now=cashier.now)
    assert TreasuryMove.objects.get().state == "broadcast"


def test_a_refill_is_signed_elsewhere_and_brought_back(
    cashier: Cashier, alice: Member
) -> None:
    one = hired(make_member("one"), Role.FINANCE)
    other = hired(make_member("other"), Role.FINANCE)
    ask(one, cashier.currency, "refill", "2")
    act(other, "approve")
    treasury.run(cashier.currency, now=cashier.now)
    first = TreasuryMove.objects.get()
    assert first.problem == "Cold storage has not that much."
    act(one, "give_up")
    first.refresh_from_db()
    assert first.state == "cancelled"

    (cold,) = settings.COLD_ADDRESSES[cashier.currency]
    cashier.world.pay(Payment(cold, Decimal(5)))
    cashier.world.mine()
    ask(one, cashier.currency, "refill", "2")
    act(other, "approve")
    treasury.run(cashier.currency, now=cashier.now)
    move = newest()
    page = other.get(reverse("admin:wallets_treasurymove_change", args=[move.pk])).text
    assert move.psbt in page
    file = other.get(reverse("admin:treasury_psbt", args=[move.pk]))
    assert file.text == move.psbt
    assert (
        file["Content-Disposition"] == f'attachment; filename="refill-{move.pk}.psbt"'
    )
    support = hired(make_member("helper"), Role.SUPPORT)
    assert (
        support.get(reverse("admin:treasury_psbt", args=[move.pk])).status_code == 403
    )
    assert "not the approved transaction" in act(other, "bring_back", psbt=move.psbt)
    for odd in ("[" * 100_000, '{"inputs": [], "outputs": [["x", "y"]]}', "\0é"):
        psbt = "practice-signed:" + odd.encode().hex()
        assert "not the approved transaction" in act(other, "bring_back", psbt=psbt)
    act(other, "bring_back", psbt=cashier.chain.sign_elsewhere(move.psbt))
    assert newest().state == "signed"


@pytest.mark.promise("S-79")
def test_who_may_not_does_not(cashier: Cashier, alice: Member) -> None:
    support = hired(make_member("helper"), Role.SUPPORT)
    assert ask(support, cashier.currency, "sweep", "1").status_code == 403
    risk = hired(make_member("risk"), Role.RISK)
    assert ask(risk, cashier.currency, "sweep", "1").status_code == 403
    finance = hired(make_member("one"), Role.FINANCE)
    assert ask(finance, cashier.currency, "sweep", "0").status_code == 200
    assert ask(finance, "ltc", "sweep", "1").status_code == 200  # no cold storage
    assert not TreasuryMove.objects.exists()
