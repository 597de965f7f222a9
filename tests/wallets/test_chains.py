"""
One contract for all chains: what the practice chain promises, a real node keeps, by
PSBT and by raw transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from exchange.lib.transactions import transaction
from tests.nodes import Node, RegtestWorld
from wallets.chains.base import (
    BroadcastRefused,
    Chain,
    NodeUnreachable,
    Payment,
    Received,
    RpcRefused,
    TooFewCoins,
)
from wallets.chains.bitcoind import Bitcoind
from wallets.chains.practice import Practice

FEE_RATE = Decimal("0.001")
DEPTH = 20


@dataclass
class Place:
    """A chain as we see it, and the world that pays into it."""

    chain: Any
    world: Any

    def fund(self, *amounts: str) -> list[str]:
        """Give our wallet confirmed coins; return the addresses that hold them."""
        to = [self.chain.new_address() for _ in amounts]
        self.world.pay(
            *(Payment(a, Decimal(n)) for a, n in zip(to, amounts, strict=True))
        )
        self.world.mine()
        return to

    def received(self, since: str = "") -> list[Received]:
        return list(self.chain.since(since, depth=DEPTH).received)


class OldBitcoind(Bitcoind):
    """A node of Dogecoin's age, which knows no PSBT."""

    def _call(self, method: str, *parameters: Any) -> Any:
        if method == "walletcreatefundedpsbt":
            raise RpcRefused("Method not found", code=-32601)
        return super()._call(method, *parameters)


@pytest.fixture(
    params=[
        "practice",
        pytest.param("psbt", marks=pytest.mark.node),
        pytest.param("raw", marks=pytest.mark.node),
    ]
)
def place(request: pytest.FixtureRequest, db: None) -> Iterator[Place]:
    if request.param == "practice":
        practice = Practice("btc")
        practice.mine(2 * DEPTH)
        yield Place(practice, practice)
        return
    node: Node = request.getfixturevalue("node")
    world: RegtestWorld = request.getfixturevalue("regtest_world")
    chain = node.new_wallet()
    if request.param == "raw":
        chain = OldBitcoind(chain.url)
    yield Place(chain, world)


def test_the_tip_grows_with_blocks(place: Place) -> None:
    before = place.chain.tip()
    place.world.mine(2)
    after = place.chain.tip()
    assert after.height == before.height + 2
    assert after.hash != before.hash
    assert place.chain.complaints(now=timezone.now()) == []


@pytest.mark.promise("W-30")
def test_addresses_are_of_this_network_and_whole(place: Place) -> None:
    ours, theirs = place.chain.new_address(), place.world.outside_address()
    assert ours != place.chain.new_address()
    assert place.chain.is_address(ours)
    assert place.chain.is_address(theirs)
    assert place.chain.spelled(theirs) == theirs
    assert place.chain.is_ours(ours)
    assert not place.chain.is_ours(theirs)
    last = "q" if ours[-1] != "q" else "p"
    for wrong in (
        "",
        "x",
        ours[:-1],
        ours[:-1] + last,
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "ltcpractice1" + ours.rpartition("1")[2],
        ours + " ",
        "é" * 40,
    ):
        assert not place.chain.is_address(wrong), wrong
        assert place.chain.spelled(wrong) == "", wrong


@pytest.mark.node
def test_an_address_has_one_spelling(node: Node, regtest_world: RegtestWorld) -> None:
    chain, new = node.new_wallet(), regtest_world.outside_address()
    others = {
        new.upper(): new,  # as QR codes have it
        # Litecoin's old and new letter for the address of a script.
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc": "QTmhZTeRJcLvaMbw5bS7zkYy2yAhn7UDZp",
    }
    for other, one in others.items():
        assert chain.spelled(other) == chain.spelled(one) == one
        assert chain.is_address(one)
        assert not chain.is_address(other)
    # No output can name it: it is paid out of sight.
    hidden = regtest_world._rpc._call("getnewaddress", "", "mweb")
    assert chain.spelled(hidden) == ""
    assert not chain.is_address(hidden)


@pytest.mark.promise("W-25", "W-27", "W-28")
def test_what_comes_in_is_told_with_its_confirmations(place: Place) -> None:
    amounts = ["0.3", "0.00100001", "1.00000001"]
    addresses = [place.chain.new_address() for _ in amounts]
    paid = [Payment(a, Decimal(n)) for a, n in zip(addresses, amounts, strict=True)]
    txid = place.world.pay(*paid)
    seen = place.received()
    assert {(r.address, r.amount) for r in seen} == set(paid)
    assert {r.confirmations for r in seen} == {0}
    assert len({r.vout for r in seen}) == 3
    assert all(r.txid == txid and not r.is_gone and not r.block_hash for r in seen)

    place.world.mine(3)
    again = place.received()
    assert [r.confirmations for r in again] == [3, 3, 3]
    assert {r.block_hash for r in again} != {""}
    assert place.received() == again


def test_what_is_deep_is_told_no_more_and_what_is_young_is(place: Place) -> None:
    place.fund("1")
    until = place.chain.since("", depth=DEPTH).until
    place.world.mine(DEPTH)
    young = place.chain.new_address()
    place.world.pay(Payment(young, Decimal(2)))
    later = place.chain.since(until, depth=DEPTH)
    assert young in {r.address for r in later.received}
    deep = place.chain.since(later.until, depth=DEPTH)
    assert {r.address for r in deep.received} == {young}
    assert len(place.received()) == 2


@pytest.mark.promise("W-26", "F-35")
@pytest.mark.parametrize("depth", [1, 3, 7])
def test_a_reorganisation_is_told(place: Place, depth: int) -> None:
    (address,) = place.fund("1.5")
    place.world.mine(depth - 1)
    before = place.chain.tip()
    until = place.chain.since("", depth=1).until
    place.world.reorganise(depth)
    (lost,) = place.received(until)
    assert (lost.address, lost.confirmations, lost.is_gone) == (address, 0, False)
    place.world.mine(depth + 1)
    (again,) = place.received(until)
    assert again.confirmations == depth + 1
    assert place.chain.tip().height == before.height + 1
    assert place.received("f" * 64) == [again]  # a hash of nowhere: all of it


@pytest.mark.promise("W-3", "W-6")
def test_a_replaced_payment_is_gone(place: Place) -> None:
    address = place.chain.new_address()
    txid = place.world.pay(Payment(address, Decimal(1)))
    place.world.replace(txid)
    (gone,) = place.received()
    assert gone.is_gone
    assert gone.confirmations == 0
    place.world.mine(2)
    # litecoind lists it no more.
    assert all(r.is_gone and r.confirmations == -2 for r in place.received())
    fate = place.chain.fate(txid)
    assert fate is not None
    assert (fate.confirmations, fate.is_in_mempool) == (-2, False)


@pytest.mark.promise("W-4")
def test_a_double_spend_by_reorganisation_is_told(place: Place) -> None:
    address = place.chain.new_address()
    txid = place.world.pay(Payment(address, Decimal(1)))
    place.world.mine(6)
    until = place.chain.since("", depth=1).until
    place.world.reorganise(6)
    place.world.replace(txid)
    place.world.mine(7)
    (gone,) = place.received(until)
    assert gone.txid == txid
    assert gone.is_gone
    assert gone.confirmations < 0


def test_coins_are_what_is_confirmed(place: Place) -> None:
    place.world.pay(Payment(place.chain.new_address(), Decimal(1)))
    assert place.chain.coins() == []
    place.world.mine(2)
    (coin,) = place.chain.coins()
    assert (coin.amount, coin.confirmations) == (Decimal(1), 2)


def test_a_payment_is_built_kept_and_then_sent(place: Place) -> None:
    place.fund("1", "2")
    to = [Payment(place.world.outside_address(), Decimal(n)) for n in ("0.3", "1.1")]
    signed = place.chain.build_signed(to, fee_rate=FEE_RATE)
    assert place.world.mempool() == []
    decoded = place.chain.decode(signed.raw)
    assert decoded.txid == signed.txid
    assert decoded.inputs == signed.inputs
    assert set(to) <= set(decoded.outputs)
    assert signed.fee > 0
    assert signed.fee == pytest.approx(
        FEE_RATE * decoded.size / 1000, rel=Decimal("0.1")
    )
    assert Decimal(3) - signed.fee in {
        sum(p.amount for p in decoded.outputs),
        sum(p.amount for p in decoded.outputs) + 1,
    }

    place.chain.broadcast(signed.raw)
    place.chain.broadcast(signed.raw)
    fate = place.chain.fate(signed.txid)
    assert fate is not None
    assert fate.is_in_mempool
    place.world.mine(2)
    place.chain.broadcast(signed.raw)
    fate = place.chain.fate(signed.txid)
    assert fate is not None
    assert (fate.confirmations, fate.is_in_mempool) == (2, False)
    assert fate.block_hash
    # Change is no deposit.
    assert len(place.received()) == 2


def test_nobody_knows_a_payment_that_was_never_sent(place: Place) -> None:
    assert place.chain.fate("ab" * 32) is None


@pytest.mark.promise("W-24")
def test_coins_set_aside_are_not_spent(place: Place) -> None:
    place.fund("1", "2")
    big = max(place.chain.coins(), key=lambda coin: coin.amount)
    to = [Payment(place.world.outside_address(), Decimal("0.5"))]
    signed = place.chain.build_signed(to, fee_rate=FEE_RATE, avoid=[big.outpoint])
    assert big.outpoint not in signed.inputs
    every = [coin.outpoint for coin in place.chain.coins()]
    with pytest.raises(TooFewCoins):
        place.chain.build_signed(to, fee_rate=FEE_RATE, avoid=every)


@pytest.mark.parametrize("amount", ["3.5", "3"])
def test_too_few_coins_for_payment_or_fee(place: Place, amount: str) -> None:
    place.fund("1", "2")
    to = [Payment(place.world.outside_address(), Decimal(amount))]
    with pytest.raises(TooFewCoins):
        place.chain.build_signed(to, fee_rate=FEE_RATE)


@pytest.mark.node
@pytest.mark.promise("F-33")
def test_one_more_coin_pays_the_fee_whatever_the_node_calls_the_lack(
    node: Node, regtest_world: RegtestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(node.new_wallet(), regtest_world)
    place.fund("1", "2")
    to = [Payment(place.world.outside_address(), Decimal(2))]
    ask = Bitcoind._call

    def as_newer_ones(self: Bitcoind, method: str, *parameters: Any) -> Any:
        """Bitcoin Core from 25 on."""
        try:
            return ask(self, method, *parameters)
        except RpcRefused as error:
            if "insufficient" not in str(error).lower():
                raise
            words = (
                "The preselected coins total amount does not cover the transaction"
                " target. Please allow other inputs to be automatically selected or"
                " include more coins manually"
            )
            raise RpcRefused(f"{method}: {words}", code=-4) from error

    monkeypatch.setattr(Bitcoind, "_call", as_newer_ones)
    assert len(place.chain.build_signed(to, fee_rate=FEE_RATE).inputs) == 2


@pytest.mark.promise("W-29")
def test_a_bad_address_signs_nothing(place: Place) -> None:
    place.fund("2")
    good = Payment(place.world.outside_address(), Decimal("0.5"))
    with pytest.raises(RpcRefused):
        place.chain.build_signed(
            [good, Payment("nowhere", Decimal("0.5"))], fee_rate=FEE_RATE
        )
    assert place.world.mempool() == []


@pytest.mark.promise("W-23")
def test_of_a_payment_and_its_bump_one_is_confirmed(place: Place) -> None:
    place.fund("1", "2")
    to = [Payment(place.world.outside_address(), Decimal("0.5"))]
    first = place.chain.build_signed(to, fee_rate=FEE_RATE)
    place.chain.broadcast(first.raw)
    second = place.chain.build_signed(to, fee_rate=FEE_RATE * 4, spend=first.inputs)
    assert set(first.inputs) <= set(second.inputs)
    assert place.chain.refusal(second.raw) == ""
    assert all(map(place.chain.is_unspent, second.inputs))
    assert second.fee > first.fee
    place.chain.broadcast(second.raw)
    assert place.world.mempool() == [second.txid]
    old = place.chain.fate(first.txid)
    assert old is not None
    assert not old.is_in_mempool
    assert second.txid in old.conflicts
    place.world.mine(2)
    old, new = place.chain.fate(first.txid), place.chain.fate(second.txid)
    assert (old.confirmations, new.confirmations) == (-2, 2)
    with pytest.raises(BroadcastRefused):
        place.chain.broadcast(first.raw)
    assert place.chain.refusal(first.raw)
    assert place.chain.refusal(second.raw) == ""
    assert not any(map(place.chain.is_unspent, second.inputs))


@pytest.mark.promise("F-41")
def test_what_our_wallet_sent_is_told_whoever_signed_it(place: Place) -> None:
    place.fund("1", "2")
    place.world.pay(Payment(place.chain.new_address(), Decimal(1)))
    assert place.chain.sent_since("", depth=DEPTH).txids == frozenset()
    to = [Payment(place.world.outside_address(), Decimal("0.5"))]
    signed = place.chain.build_signed(to, fee_rate=FEE_RATE)
    assert place.chain.sent_since("", depth=DEPTH).txids == frozenset()
    place.chain.broadcast(signed.raw)
    until = place.chain.sent_since("", depth=DEPTH).until
    assert place.chain.sent_since("", depth=DEPTH).txids == {signed.txid}
    place.world.mine()
    assert place.chain.sent_since(until, depth=1).txids == {signed.txid}
    deep = place.chain.sent_since("", depth=1).until
    place.world.mine()
    assert place.chain.sent_since(deep, depth=1).txids == frozenset()
    assert place.chain.sent_since("f" * 64, depth=1).txids == {signed.txid}


def test_a_payment_survives_a_reorganisation(place: Place) -> None:
    place.fund("1")
    to = [Payment(place.world.outside_address(), Decimal("0.5"))]
    signed = place.chain.build_signed(to, fee_rate=FEE_RATE)
    place.chain.broadcast(signed.raw)
    place.world.mine()
    place.world.reorganise(1)
    place.chain.broadcast(signed.raw)
    place.world.mine(2)
    fate = place.chain.fate(signed.txid)
    assert fate is not None
    assert fate.confirmations in {1, 2}


def test_an_address_signs_for_itself(place: Place) -> None:
    if not place.chain.is_practice:
        # Signed messages are of the oldest kind of address.
        ours = place.chain._call("getnewaddress", "", "legacy")
    else:
        ours = place.chain.new_address()
    assert place.chain.sign_message(ours, "pixiu")
    with pytest.raises(RpcRefused):
        place.chain.sign_message(place.world.outside_address(), "pixiu")


# --- What only one of them can show ------------------------------------------------


def test_a_practice_chain_takes_no_part_in_our_transactions(db: None) -> None:
    practice = Practice("btc")
    practice.mine()
    with transaction(), pytest.raises(Exception, match="durable"):
        practice.mine()


def test_a_practice_payment_forgotten_by_the_mempool_is_gone(db: None) -> None:
    practice = Practice("btc")
    practice.mine()
    txid = practice.pay(Payment(practice.new_address(), Decimal(1)))
    practice.evict(txid)
    (gone,) = practice.since("", depth=3).received
    assert gone.is_gone
    practice.mine()
    (gone,) = practice.since("", depth=3).received
    assert (gone.confirmations, gone.is_gone) == (0, True)


@pytest.mark.promise("W-28")
def test_eighteen_digits_stay_eighteen_digits(db: None) -> None:
    practice = Practice("btc")
    practice.mine()
    amount = Decimal("12345678901234.123456789012345678")
    practice.pay(Payment(practice.new_address(), amount))
    (received,) = practice.since("", depth=3).received
    assert received.amount == amount


def test_a_node_that_is_not_there_is_unreachable() -> None:
    nobody = Bitcoind("http://u:p@127.0.0.1:1", timeout_seconds=2)
    with pytest.raises(NodeUnreachable):
        nobody.tip()


@pytest.mark.node
def test_a_wrong_password_is_no_answer(node: Node) -> None:
    stranger = Bitcoind(node.url().replace("regtest", "wrong"))
    with pytest.raises(NodeUnreachable, match="401"):
        stranger.tip()


@pytest.mark.node
@pytest.mark.promise("W-28")
def test_a_node_takes_amounts_to_the_last_unit(
    node: Node, regtest_world: RegtestWorld
) -> None:
    chain: Chain = node.new_wallet()
    amounts = [Decimal("0.3"), Decimal("20.99999999"), Decimal("0.00010001")]
    for amount in amounts:
        regtest_world.pay(Payment(chain.new_address(), amount))
    found = sorted(r.amount for r in chain.since("", depth=3).received)
    assert found == sorted(amounts)
    assert all(isinstance(amount, Decimal) for amount in found)
    regtest_world.mine()
    to = Payment(regtest_world.outside_address(), Decimal("20.12345678"))
    signed = chain.build_signed([to], fee_rate=FEE_RATE)
    assert to in chain.decode(signed.raw).outputs


@pytest.mark.node
def test_a_connection_that_the_node_closed_is_made_anew(node: Node) -> None:
    chain = node.new_wallet()
    chain.tip()
    chain._threads.line._connection.sock.shutdown(2)
    assert chain.tip().height > 0
