"""Two nodes of one coin: where they disagree, nothing is credited and nothing begun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models.members import Member
from tests.nodes import Node, RegtestWorld, running
from tests.wallets.cashier import Cashier
from tests.wallets.places import COIN, Place, regtest_place, rules
from wallets.chains import chain_of
from wallets.chains.bitcoind import Bitcoind
from wallets.models.deposits import Scan
from wallets.models.hot import HotWallet

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder: Path = tmp_path_factory.mktemp("second")
    with running(folder) as found:
        yield found


@pytest.fixture
def place(
    db: None, node: Node, regtest_world: RegtestWorld, second: Node, settings: Any
) -> Place:
    found = regtest_place(node, regtest_world, settings)
    settings.CHAIN_SECOND_URLS = {COIN: second.url()}
    rules(("0", 1))
    copy(found.chain, Bitcoind(second.url()))
    return found


def copy(first: Bitcoind, second: Bitcoind) -> None:
    """Let the second node hear of every block of the first."""
    for height in range(first.tip().height + 1):
        block = first._read("getblock", first._read("getblockhash", height), 0)
        second._call("submitblock", block)


def complaints() -> list[str]:
    return chain_of(COIN).complaints(now=timezone.now())


@pytest.mark.promise("W-5")
def test_nothing_moves_while_the_second_node_is_elsewhere(
    place: Place, second: Node, alice: Member
) -> None:
    assert complaints() == []
    place.pay(alice, "2")
    place.mine()
    copy(place.chain, Bitcoind(second.url()))
    place.scan()
    cashier = Cashier(COIN, place.world)
    rules(("0", 1))

    place.pay(alice, "1")
    place.mine(3)
    place.scan()
    waiting = cashier.approved(alice, "0.5")
    cashier.run()
    (said,) = complaints()
    assert "the second node is at" in said
    assert Scan.objects.get().problem == said
    assert [row.state for row in place.deposits()] == ["credited", "seen"]
    assert cashier.state_of(waiting) == "approved"
    assert HotWallet.objects.get().trouble == HotWallet.Trouble.NODE_UNWELL

    copy(place.chain, Bitcoind(second.url()))
    assert complaints() == []
    place.scan()
    cashier.run()
    assert [row.state for row in place.deposits()] == ["credited", "credited"]
    assert cashier.state_of(waiting) == "broadcast"
    assert HotWallet.objects.get().trouble == ""


@pytest.mark.promise("W-5")
def test_another_chain_of_the_same_height_is_noticed(
    place: Place, second: Node
) -> None:
    other = Bitcoind(second.url())
    height = other.tip().height
    lost = other._read("getblockhash", height - 3)
    other._call("invalidateblock", lost)
    other._call("generatetoaddress", 4, place.chain.new_address())
    assert other.tip().height == height
    (said,) = complaints()
    assert said == f"the second node has another block {height - 2}"
    other._call("reconsiderblock", lost)


@pytest.mark.promise("W-5", "W-32")
def test_a_second_node_that_is_away_is_a_complaint(place: Place, settings: Any) -> None:
    settings.CHAIN_SECOND_URLS = {COIN: "http://u:p@127.0.0.1:1"}
    (said,) = complaints()
    assert said.startswith("the second node cannot be asked")
