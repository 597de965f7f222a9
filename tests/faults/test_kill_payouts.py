"""
`kill -9` of the worker of payouts between any two steps, and of the node.

Afterwards a walk through the blocks finds each withdrawal paid once, and the books and
the wallet agree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.models.members import Member
from tests.databases import ROOT
from tests.nodes import Node, RegtestWorld, running
from tests.wallets.cashier import Cashier, node_cashier, practice_cashier
from wallets import payouts
from wallets.models.withdrawals import PayoutTransaction, Withdrawal

# Section 3.1 of the reference: m, n, n, o, p, q, r, r.
STEPS = (
    *("claimed", "signed", "writing", "stored"),
    *("broadcast", "recorded", "confirming", "confirmed"),
)


def work(cashier: Cashier, step: str, database_url: str) -> int:
    """Let a worker of its own run once; return how it ended."""
    nodes = django_settings.CHAIN_URLS.items()
    urls = {f"{code.upper()}_RPC_URL": url for code, url in nodes}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.payer", step, cashier.currency],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url} | urls,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr.decode()
    return done.returncode


def kill_at(cashier: Cashier, step: str, database_url: str) -> None:
    """Let workers work until one dies at the step, with blocks in between."""
    for _ in range(3):
        if work(cashier, step, database_url) == -signal.SIGKILL:
            return
        cashier.world.mine()
    raise AssertionError(f"nobody came as far as {step}")


@pytest.mark.promise("F-30", "W-20", "I-11")
@pytest.mark.parametrize("step", STEPS)
def test_it_pays_once_whichever_step_it_dies_at(
    db: None, database_url: str, alice: Member, step: str
) -> None:
    cashier = practice_cashier()
    cashier.deposit(alice, "3", "2", "1")
    for net in ("0.5", "1.1"):
        cashier.approved(alice, net)

    kill_at(cashier, step, database_url)
    bytes_before = set(PayoutTransaction.objects.values_list("raw", flat=True))
    cashier.finish()

    assert cashier.states() == {"confirmed": 2}
    kept = set(PayoutTransaction.objects.values_list("raw", flat=True))
    assert len(kept) == 1
    assert bytes_before <= kept
    cashier.demand_paid_once()


@pytest.mark.node
@pytest.mark.promise("F-30", "F-32", "W-20", "I-11")
def test_it_pays_once_on_a_real_node_too(
    node: Node,
    regtest_world: RegtestWorld,
    settings: Any,
    database_url: str,
    alice: Member,
) -> None:
    with node_cashier(node, regtest_world, settings) as cashier:
        cashier.deposit(alice, "10")
        for number, step in enumerate(STEPS, 1):
            cashier.approved(alice, f"0.{number}")
            kill_at(cashier, step, database_url)
            cashier.finish()

        assert cashier.states() == {"confirmed": len(STEPS)}
        assert PayoutTransaction.objects.count() == len(STEPS)
        cashier.demand_paid_once()


@pytest.mark.promise("F-30", "W-23")
def test_it_pays_once_when_it_dies_raising_a_fee(
    db: None, database_url: str, alice: Member
) -> None:
    cashier = practice_cashier()
    cashier.deposit(alice, "3", "2")
    cashier.approved(alice, "1.1")
    cashier.run()
    payouts.raise_fee(payout=cashier.payout(), by="operator:1", reason="a test")
    kill_at(cashier, "bumped", database_url)
    cashier.finish()

    assert cashier.states() == {"confirmed": 1}
    assert PayoutTransaction.objects.count() == 2
    cashier.demand_paid_once()


@pytest.mark.node
@pytest.mark.promise("F-31", "F-32", "W-22", "W-24", "I-11")
def test_it_pays_once_though_the_node_dies(
    tmp_path: Path, settings: Any, alice: Member
) -> None:
    with running(tmp_path / "node") as node:
        world = RegtestWorld(node)
        with node_cashier(node, world, settings) as cashier:
            cashier.deposit(alice, "3", "2")
            withdrawal = cashier.approved(alice, "1.1")
            restart(node, cashier)  # what was mined is on its disk now
            cashier.run()
            sent = cashier.payout().transactions.get()
            assert world.mempool() == [sent.txid]

            node.kill()
            later = cashier.approved(alice, "0.7", to=withdrawal.destination)
            cashier.run()
            assert payouts.why_waiting("ltc")
            assert cashier.state_of(later) == "approved"
            node.start("-walletbroadcast=0")  # or the wallet would help us
            load(cashier)
            assert world.mempool() == []

            cashier.run()
            assert sent.txid in world.mempool()
            cashier.finish()
            cashier.finish()
            assert cashier.states() == {"confirmed": 2}
            found = Withdrawal.objects.get(pk=withdrawal.pk)
            assert found.txid == sent.txid
            assert sorted(cashier.paid(withdrawal.destination)) == sorted(
                [withdrawal.net, later.net]
            )


def restart(node: Node, cashier: Cashier) -> None:
    cashier.chain._call("stop")
    assert node._process is not None
    node._process.wait(timeout=60)
    node.start()
    load(cashier)


def load(cashier: Cashier) -> None:
    """Have a node that started anew open its wallets."""
    base, _, name = cashier.chain.url.rpartition("/wallet/")
    for wallet in ("world", name):
        type(cashier.chain)(base)._call("loadwallet", wallet)
