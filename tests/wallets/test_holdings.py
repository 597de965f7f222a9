"""What the nodes say that we hold, and that nothing is paid while it is too little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from tests.nodes import Node, RegtestWorld
from tests.wallets.cashier import Cashier, node_cashier
from wallets import payouts
from wallets.chains.base import Payment
from wallets.models.solvency import Proof, Statement
from wallets.solvency import assets, publish

pytestmark = pytest.mark.node

NOW = datetime(2025, 11, 24, 3, tzinfo=UTC)
DAY = timedelta(days=1)
COIN = "ltc"


@pytest.fixture
def cashier(
    db: None, node: Node, regtest_world: RegtestWorld, settings: Any, tmp_path: Path
) -> Iterator[Cashier]:
    settings.SOLVENCY_DIR = tmp_path / "solvency"
    with node_cashier(node, regtest_world, settings) as found:
        yield found


def stated(proof: Proof) -> Statement:
    return Statement.objects.get(root__proof=proof, root__currency=COIN)


@pytest.mark.promise("I-13")
def test_a_node_says_what_we_hold_hot_and_cold(
    alice: Member, cashier: Cashier, settings: Any
) -> None:
    cold = cashier.world.outside_address()
    settings.COLD_ADDRESSES = {COIN: (cold,)}
    cashier.deposit(alice, "2", "1.5")
    cashier.world.pay(Payment(cold, Decimal(4)))
    cashier.world.mine()

    told = stated(publish.prove(now=NOW))

    assert told.total == Decimal("7.5")
    assert told.block_hash == cashier.chain.tip().hash
    holdings = {each["address"]: each for each in json.loads(told.text)["holdings"]}
    assert holdings[cold]["amount"] == "4.0"
    assert len(holdings) == 3
    # Nobody moved it there by us.
    alarm = AuditRecord.objects.get(action="holding_unexplained", is_alarm=True)
    assert (alarm.subject, alarm.facts) == (f"cold_storage:{COIN}", {"amount": "4.0"})


@pytest.mark.promise("I-13")
def test_change_that_waits_for_a_block_is_ours_and_a_young_payment_is_not(
    alice: Member, cashier: Cashier
) -> None:
    cashier.deposit(alice, "3")
    cashier.approved(alice, "1")
    cashier.run()
    cashier.world.pay(Payment(cashier.chain.new_address(), Decimal(9)))

    told = stated(publish.prove(now=NOW))

    fee = cashier.payout().transactions.get().fee
    assert told.total == 2 - fee
    assert told.root.liabilities == Decimal("1.999")


def test_an_old_kind_of_address_signs_what_nobody_knew_before(
    alice: Member, cashier: Cashier
) -> None:
    address = cashier.chain._call("getnewaddress", "", "legacy")
    cashier.world.pay(Payment(address, Decimal(1)))
    cashier.world.mine()
    cashier.credit(alice, Decimal(1))

    proof = publish.prove(now=NOW)

    (holding,) = json.loads(stated(proof).text)["holdings"]
    signature = holding["signature"]
    is_sound = cashier.chain._call("verifymessage", address, signature, proof.salt)
    assert is_sound is True


@pytest.mark.promise("Q-11", "I-13")
def test_nothing_is_paid_while_we_hold_less_than_we_owe(
    alice: Member, cashier: Cashier
) -> None:
    cashier.deposit(alice, "3")
    cashier.credit(alice, Decimal(5))  # the books say that it came
    cashier.approved(alice, "1")
    publish.prove(now=NOW)

    cashier.run()
    cashier.run()

    assert assets.is_uncovered(COIN)
    assert cashier.states() == {"approved": 1}
    assert payouts.why_waiting(COIN) == "We hold less of this coin than we owe."
    waits = AuditRecord.objects.filter(action="payouts_wait", is_alarm=True)
    assert [each.facts for each in waits] == [{"why": "uncovered"}]

    cashier.fill("5")
    publish.prove(now=NOW + DAY)
    cashier.run()

    assert payouts.why_waiting(COIN) == ""
    assert cashier.states() == {"broadcast": 1}
