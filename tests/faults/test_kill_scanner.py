"""
`kill -9` of the scanner of deposits between any two steps.

Afterwards each deposit is credited, or taken back, once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.models.members import Member
from tests.databases import ROOT
from tests.nodes import Node, RegtestWorld
from tests.wallets.places import (
    COIN,
    Place,
    practice_place,
    regtest_place,
    rules,
)
from wallets import queries
from wallets.models.ledger import Entry

# Section 3.1 of the reference: s, t, t, u, u, u, v, v.
STEPS = (
    *("heard", "inserted", "noticed", "posted"),
    *("credited", "taken_in", "written", "finished"),
)


def kill_at(step: str, database_url: str) -> None:
    """Let a scanner of its own scan until it dies at the step."""
    nodes = django_settings.CHAIN_URLS.items()
    urls = {f"{code.upper()}_RPC_URL": url for code, url in nodes}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.scanner", step, COIN],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url} | urls,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def credit_though_killed(
    place: Place, members: list[Member], step: str, database_url: str
) -> None:
    """Pay members, kill the scanner at a step, and let another one finish."""
    for number, member in enumerate(members, 1):
        place.pay(member, f"0.{number}")
    place.mine()
    kill_at(step, database_url)
    place.scan()
    place.scan()


@pytest.mark.promise("F-36", "W-27", "I-12")
@pytest.mark.parametrize("step", STEPS)
def test_it_credits_once_whichever_step_it_dies_at(
    alice: Member, bob: Member, database_url: str, step: str
) -> None:
    place = practice_place()
    rules(("0", 1))

    credit_though_killed(place, [alice, bob], step, database_url)

    held = [queries.balance(who.pk, COIN).available for who in (alice, bob)]
    assert held == [Decimal("0.1"), Decimal("0.2")]
    assert {(row.state, row.credits) for row in place.deposits()} == {("credited", 1)}
    assert Entry.objects.count() == 2


@pytest.mark.node
@pytest.mark.promise("F-36", "W-27", "I-12")
def test_it_credits_once_on_a_real_node_too(
    node: Node,
    regtest_world: RegtestWorld,
    alice: Member,
    database_url: str,
    settings: Any,
) -> None:
    place = regtest_place(node, regtest_world, settings)
    rules(("0", 1))

    for step in STEPS:
        credit_though_killed(place, [alice], step, database_url)

    assert queries.balance(alice.pk, COIN).available * 10 == len(STEPS)
    assert Entry.objects.count() == len(STEPS)


@pytest.mark.promise("F-36", "W-4", "I-12")
@pytest.mark.parametrize("step", ["noticed", "reversed", "written", "finished"])
def test_it_takes_back_once_whichever_step_it_dies_at(
    alice: Member, database_url: str, step: str
) -> None:
    place = practice_place()
    rules(("0", 6))
    txid = place.pay(alice, "1")
    place.mine(6)
    place.scan()
    place.world.reorganise(7)
    place.world.replace(txid)
    place.mine(8)

    kill_at(step, database_url)
    place.scan()

    (deposit,) = place.deposits()
    assert (deposit.state, deposit.credits) == ("reversed", 1)
    assert queries.balance(alice.pk, COIN).available == 0
    assert Entry.objects.count() == 2
