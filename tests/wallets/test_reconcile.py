"""What the node says we hold, beside what the books say."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from tests.nodes import Node
from tests.wallets.cashier import Cashier, node_cashier, practice_cashier
from wallets import reconcile, tasks
from wallets.chains.base import Payment
from wallets.models.coins import ConfirmationTier
from wallets.models.deposits import Deposit
from wallets.models.hot import Reconciliation

D = Decimal


@pytest.fixture(params=["practice", pytest.param("node", marks=pytest.mark.node)])
def cashier(
    request: pytest.FixtureRequest, settings: Any, db: None
) -> Iterator[Cashier]:
    if request.param == "practice":
        yield practice_cashier()
        return
    node, world = map(request.getfixturevalue, ("node", "regtest_world"))
    with node_cashier(node, world, settings) as found:
        yield found


def look(cashier: Cashier) -> Reconciliation:
    """Reconcile at a block that nobody has looked at."""
    found = reconcile.reconcile(cashier.currency, now=cashier.now)
    assert found is not None
    return found


def alarms() -> int:
    return AuditRecord.objects.filter(action="holding_unexplained").count()


def test_it_explains_a_payout_at_every_step(cashier: Cashier, alice: Member) -> None:
    ConfirmationTier.objects.create(rules=cashier.rules, amount_from=0, confirmations=3)
    cashier.deposit(alice, "3", "2")
    calm = look(cashier)
    assert (calm.on_chain, calm.in_books, calm.explained) == (5, 5, {})

    cashier.approved(alice, "1")
    for _ in range(3):
        cashier.run()  # in the mempool, then in a block
        cashier.world.mine()
        found = look(cashier)
        assert set(found.explained) == {"payouts"}
        assert found.unexplained == 0
    cashier.run()
    cashier.world.mine()
    final = look(cashier)
    assert final.explained == {}
    assert final.in_books == final.on_chain < 4
    assert {row.unexplained for row in Reconciliation.objects.all()} == {0}


def test_it_explains_a_payout_in_the_mempool(cashier: Cashier, alice: Member) -> None:
    cashier.deposit(alice, "3", "2")
    cashier.approved(alice, "1")
    cashier.run()
    found = look(cashier)
    assert (found.on_chain, found.in_books, found.unexplained) == (2, 5, 0)


def test_it_explains_what_came_and_is_not_credited(cashier: Cashier) -> None:
    for state, amount in (("seen", "1"), ("too_small", "0.001")):
        to = cashier.chain.new_address()
        txid = cashier.world.pay(Payment(to, D(amount)))
        Deposit.objects.create(
            currency_id=cashier.currency,
            address=to,
            txid=txid,
            vout=0,
            amount=D(amount),
            state=state,
            confirmations=1,
            required=3,
            seen_at=cashier.now,
        )
    cashier.world.mine()
    found = look(cashier)
    assert found.explained == {"deposits": "1.0", "dust": "0.001"}
    assert found.unexplained == 0


def test_it_looks_once_at_a_block(cashier: Cashier) -> None:
    cashier.world.mine()
    look(cashier)
    assert reconcile.reconcile(cashier.currency, now=cashier.now) is None
    assert reconcile.reconcile("cny", now=cashier.now) is None


@pytest.mark.node
@pytest.mark.promise("F-33")
def test_a_node_that_refuses_keeps_no_other_coin_from_being_looked_at(
    node: Node, settings: Any, db: None
) -> None:
    """Such as one that began again without its wallet."""
    settings.CHAIN_URLS = {"btc": node.url("nowhere")}
    assert tasks.reconcile_hot_wallets() > 0
    assert not Reconciliation.objects.filter(currency="btc").exists()


def test_what_is_unexplained_twice_wakes_somebody_once(
    cashier: Cashier, alice: Member
) -> None:
    cashier.deposit(alice, "3")
    cashier.fill("0.5")
    found = look(cashier)
    assert found.unexplained == D("0.5")
    assert alarms() == 0
    for _ in range(3):
        cashier.world.mine()
        look(cashier)
    assert alarms() == 1

    # Somebody takes it.
    to = Payment(cashier.world.outside_address(), D("0.4"))
    signed = cashier.chain.build_signed([to], fee_rate=D("0.001"))
    cashier.chain.broadcast(signed.raw)
    for _ in range(3):
        cashier.world.mine()
        found = look(cashier)
    assert found.unexplained == D("0.1") - signed.fee
    assert alarms() == 2
