"""Deposits: credited once, deep enough, and taken back when the chain says so."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.errors import Refused
from exchange.lib.models import AuditRecord
from exchange.lib.transactions import transaction
from tests.makers import fund
from tests.nodes import Node, RegtestWorld, running
from tests.wallets.places import (
    COIN,
    Place,
    place,
    practice_place,
    regtest_place,
    rules,
)
from wallets import addresses, deposits, ledger, queries, scanner, tasks
from wallets.chains.base import Payment
from wallets.models.currencies import Currency
from wallets.models.deposits import Deposit, DepositAddress, Scan
from wallets.models.ledger import Entry

__all__ = ["place"]


def held(member: Member) -> Decimal:
    return queries.balance(member.pk, COIN).available


def state_of(deposit: Deposit) -> tuple[str, int]:
    deposit.refresh_from_db()
    return deposit.state, deposit.confirmations


@pytest.mark.promise("W-2", "I-12", "W-25")
def test_it_is_credited_at_its_depth_and_not_before(
    place: Place, alice: Member
) -> None:
    rules(("0", 3))
    place.pay(alice, "1.5")
    place.scan()
    (deposit,) = place.deposits()
    assert state_of(deposit) == ("seen", 0)
    for depth in (1, 2):
        place.mine()
        place.scan()
        assert state_of(deposit) == ("seen", depth)
        assert held(alice) == 0
    place.mine()
    place.scan()
    assert state_of(deposit) == ("credited", 3)
    assert held(alice) == Decimal("1.5")
    with transaction():
        hot = ledger.house(ledger.House.HOT, COIN)
    (entry,) = Entry.objects.order_by("pk")
    assert (entry.source_id, entry.amount) == (hot, Decimal("1.5"))


@pytest.mark.promise("W-27", "F-16")
def test_scanning_again_changes_nothing(place: Place, alice: Member) -> None:
    rules(("0", 1))
    place.pay(alice, "1")
    place.mine()
    for _ in range(10):
        place.scan()
    assert held(alice) == 1
    assert Entry.objects.count() == 1
    assert len(place.deposits()) == 1


def test_large_amounts_wait_longer(place: Place, alice: Member) -> None:
    rules(("0", 1), ("2", 3))
    place.pay(alice, "1.99999999")
    place.pay(alice, "2")
    place.mine()
    place.scan()
    assert sorted((d.amount, d.state, d.required) for d in place.deposits()) == [
        (Decimal("1.99999999"), "credited", 1),
        (Decimal(2), "seen", 3),
    ]
    place.mine(2)
    place.scan()
    assert held(alice) == Decimal("3.99999999")


def test_what_is_too_small_is_not_credited(place: Place, alice: Member) -> None:
    rules(("0", 1), deposit_min=Decimal("0.01"))
    place.pay(alice, "0.009")
    place.mine(2)
    place.scan()
    (deposit,) = place.deposits()
    assert state_of(deposit) == ("too_small", 2)
    assert held(alice) == 0


def test_many_outputs_of_one_transaction_are_many_deposits(
    place: Place, alice: Member, bob: Member
) -> None:
    rules(("0", 1))
    place.world.pay(
        Payment(place.address(alice), Decimal("0.3")),
        Payment(place.address(bob), Decimal("0.1")),
    )
    place.mine()
    place.scan()
    assert (held(alice), held(bob)) == (Decimal("0.3"), Decimal("0.1"))


def test_an_unknown_address_waits_for_its_owner(place: Place, alice: Member) -> None:
    rules(("0", 1))
    place.world.pay(Payment(place.chain.new_address(), Decimal(2)))
    place.mine()
    place.scan()
    (deposit,) = place.deposits()
    assert (deposit.state, deposit.member) == ("credited", None)
    assert AuditRecord.objects.filter(action="deposit_of_nobody").exists()

    terms: dict[str, Any] = {"by": "operator:1", "reason": "a ticket"}
    deposits.claim(deposit=deposit, member=alice, now=timezone.now(), **terms)
    assert held(alice) == 2
    with pytest.raises(deposits.NothingToClaim):
        deposits.claim(deposit=deposit, member=alice, now=timezone.now(), **terms)
    assert held(alice) == 2


def test_deposits_wait_while_the_operator_takes_none(
    place: Place, alice: Member
) -> None:
    place.address(alice)
    rules(("0", 1), takes_deposits=False)
    place.pay(alice, "1")
    place.mine()
    place.scan()
    assert held(alice) == 0
    rules(("0", 1), takes_deposits=True)
    place.scan()
    assert held(alice) == 1


@pytest.mark.promise("W-6", "W-3")
def test_a_replaced_payment_is_never_credited(place: Place, alice: Member) -> None:
    rules(("0", 1))
    txid = place.pay(alice, "1")
    place.scan()
    place.world.replace(txid)
    place.scan()
    (deposit,) = place.deposits()
    assert state_of(deposit) == ("gone", 0)
    place.mine(2)
    place.scan()
    assert state_of(deposit) == ("gone", -2)
    assert held(alice) == 0


@pytest.mark.promise("F-35", "W-26")
@pytest.mark.parametrize("depth", [1, 3, 7])
def test_a_reorganisation_that_keeps_it_credits_it_once(
    place: Place, alice: Member, depth: int
) -> None:
    rules(("0", depth))
    place.pay(alice, "1")
    place.mine(depth)
    place.scan()
    assert held(alice) == 1
    place.world.reorganise(depth)
    place.scan()
    (deposit,) = place.deposits()
    assert state_of(deposit) == ("credited", 0)
    assert deposits.shaky_of(alice) == [deposit]
    place.mine(depth + 1)
    place.scan()
    assert state_of(deposit) == ("credited", depth + 1)
    assert held(alice) == 1
    assert Entry.objects.count() == 1
    assert deposits.shaky_of(alice) == []


@pytest.mark.promise("W-4", "F-35", "I-12")
def test_a_reorganisation_that_drops_it_takes_it_back(
    place: Place, alice: Member, bob: Member
) -> None:
    rules(("0", 6))
    txid = place.pay(alice, "5")
    place.mine(6)
    place.scan()
    _give(alice, bob, "2")
    place.world.reorganise(7)
    place.world.replace(txid)
    place.mine(8)
    place.scan()

    (deposit,) = place.deposits()
    assert deposit.state == "reversed"
    assert held(alice) == 0
    assert held(bob) == 2
    alice.refresh_from_db()
    assert alice.state == "frozen"
    assert AuditRecord.objects.filter(
        action="credited_deposit_gone", is_alarm=True
    ).exists()
    moved = Entry.objects.filter(reference__endswith=":reversed")
    assert {(e.reason, e.amount) for e in moved.order_by("pk")} == {
        ("deposit_reversed", Decimal(3)),
        ("deposit_lost", Decimal(2)),
    }
    place.scan()
    assert Entry.objects.count() == 4


def test_what_comes_back_is_credited_again(alice: Member) -> None:
    place = practice_place()
    rules(("0", 2))
    txid = place.pay(alice, "1")
    place.mine(2)
    place.scan()
    place.world.reorganise(2)
    place.world.evict(txid)
    place.mine(2)
    place.scan()
    (deposit,) = place.deposits()
    assert deposit.state == "reversed"
    assert held(alice) == 0

    place.world.resend(txid)
    place.mine(3)
    place.scan()
    deposit.refresh_from_db()
    assert (deposit.state, deposit.credits) == ("credited", 2)
    assert held(alice) == 1


@pytest.mark.promise("F-36", "W-32")
def test_a_node_that_is_behind_where_it_was_is_not_believed(
    alice: Member, bob: Member
) -> None:
    """As when it loads its chain anew, or was set back to a copy of last week."""
    place = practice_place()
    rules(("0", 2))
    txid = place.pay(alice, "1")
    place.mine(9)
    place.scan()
    later = place.pay(bob, "2")
    place.world.reorganise(9)
    place.world.evict(txid)
    place.mine(3)
    place.scan()
    credited, seen = place.deposits()
    assert state_of(credited) == ("credited", 0)
    assert (seen.txid, *state_of(seen)) == (later, "seen", 3)
    assert [held(alice), held(bob)] == [1, 0]
    assert "was at" in Scan.objects.get(pk=COIN).problem
    alice.refresh_from_db()
    assert alice.state == "active"

    place.mine(6)  # it is where it was: now it is believed
    place.scan()
    assert state_of(credited)[0] == "reversed"
    assert [held(alice), held(bob)] == [0, 2]
    assert Scan.objects.get(pk=COIN).problem == ""


@pytest.mark.node
@pytest.mark.promise("F-36", "W-32")
def test_a_node_set_back_to_an_older_copy_takes_nothing_back(
    tmp_path: Path, settings: Any, alice: Member
) -> None:
    """Its wallet knows nothing of what came since, however far the chain grows."""
    with running(tmp_path / "node") as node:
        place = regtest_place(node, RegtestWorld(node), settings)
        rules(("0", 2))
        address = place.address(alice)
        node.stop()
        shutil.copytree(tmp_path / "node", tmp_path / "copy")
        node.start(*place.wallets())
        place.world.pay(Payment(address, Decimal(1)))
        place.mine(2)
        place.scan()
        assert held(alice) == 1

        node.stop()
        shutil.rmtree(tmp_path / "node")
        shutil.copytree(tmp_path / "copy", tmp_path / "node")
        node.start(*place.wallets())
        place.scan()
        assert "was at" in Scan.objects.get(pk=COIN).problem
        place.mine(5)
        place.scan()

    (deposit,) = place.deposits()
    assert deposit.state == "credited"
    assert held(alice) == 1
    assert "forgot 1" in Scan.objects.get(pk=COIN).problem
    alice.refresh_from_db()
    assert alice.state == "active"


@pytest.mark.promise("W-32")
def test_each_coin_is_scanned_by_a_job_of_its_own(
    alice: Member, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = practice_place()
    rules(("0", 1))
    place.pay(alice, "1")
    place.mine()
    settings.CHAIN_URLS = {"btc": "http://u:p@127.0.0.1:1"}
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks.scan_chain, "delay", lambda **terms: asked.append(terms))
    tasks.scan_chains()
    assert {"currency": COIN} in asked
    for terms in asked:
        tasks.scan_chain(**terms)
        tasks.scan_chain(**terms)
    assert held(alice) == 1
    assert Scan.objects.get(pk="btc").problem
    assert not Scan.objects.get(pk=COIN).problem


@pytest.mark.promise("W-25", "W-26")
def test_a_scanner_that_was_away_for_a_day_catches_up(
    place: Place, alice: Member, bob: Member
) -> None:
    rules(("0", 2))
    place.pay(alice, "1")
    place.mine()
    place.scan()
    place.mine(70)
    place.pay(bob, "2")
    place.mine(74)  # more than is looked through twice
    place.scan()
    assert [held(alice), held(bob)] == [1, 2]
    place.scan()
    assert Entry.objects.count() == 2


@pytest.mark.promise("W-32", "F-31")
def test_a_node_that_is_away_delays_and_alarms_once(
    alice: Member, settings: Any
) -> None:
    settings.CHAIN_URLS = {COIN: "http://u:p@127.0.0.1:1"}
    assert scanner.scan(COIN, now=timezone.now()) == 0
    assert scanner.scan(COIN, now=timezone.now()) == 0
    scan = Scan.objects.get(pk=COIN)
    assert "refused" in scan.problem
    assert scan.problem_since is not None
    assert AuditRecord.objects.filter(action="chain_unwell").count() == 1
    settings.CHAIN_URLS = {}
    scanner.scan(COIN, now=timezone.now())
    scan.refresh_from_db()
    assert scan.problem == ""
    assert scan.problem_since is None


@pytest.mark.promise("F-36")
def test_a_scan_that_was_overtaken_writes_nothing(
    place: Place, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(("0", 1))
    place.pay(alice, "1")
    place.mine()
    hear = type(place.chain).since

    def slowly(self: Any, *args: Any, **kwargs: Any) -> Any:
        heard = hear(self, *args, **kwargs)
        monkeypatch.undo()
        place.world.reorganise(1)
        place.scan()
        return heard

    monkeypatch.setattr(type(place.chain), "since", slowly)
    assert place.scan() == 0
    assert held(alice) == 0
    place.mine(2)
    place.scan()
    assert held(alice) == 1


@pytest.mark.promise("F-36")
@pytest.mark.parametrize("step", ["_add_new", "_take_in", "_take_back", "_finish"])
def test_a_scan_that_dies_is_done_again(
    place: Place, alice: Member, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rules(("0", 1))
    place.pay(alice, "1")
    place.mine()

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scanner, step, die)
        with pytest.raises(KeyboardInterrupt):
            place.scan()
    place.scan()
    assert held(alice) == 1
    assert Entry.objects.count() == 1


@pytest.mark.node
@pytest.mark.promise("W-26", "F-36")
def test_a_node_that_knows_less_than_before_is_no_harm(
    node: Node, regtest_world: RegtestWorld, alice: Member, settings: Any
) -> None:
    place = regtest_place(node, regtest_world, settings)
    rules(("0", 1))
    place.pay(alice, "1")
    place.mine()
    place.scan()
    Scan.objects.filter(pk=COIN).update(block_hash="f" * 64)  # of a longer chain
    place.mine()
    place.scan()
    assert held(alice) == 1
    assert len(place.deposits()) == 1


# --- Addresses -----------------------------------------------------------------------


def test_a_member_has_one_unused_address(place: Place, alice: Member) -> None:
    first = place.address(alice)
    assert place.address(alice) == first
    with pytest.raises(addresses.AddressUnused):
        addresses.new_address(member=alice, currency=COIN, now=timezone.now())
    place.pay(alice, "1")
    place.scan()
    second = place.address(alice)
    assert second != first
    # The old one is watched for ever.
    rules(("0", 1))
    place.world.pay(Payment(first, Decimal(3)))
    place.mine(6)
    place.scan()
    assert held(alice) == 4


def test_whoever_was_slower_gets_the_same_address(
    place: Place, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = type(place.chain).new_address

    def slowly(self: Any) -> Any:
        monkeypatch.undo()
        place.address(alice)
        return make(self)

    monkeypatch.setattr(type(place.chain), "new_address", slowly)
    mine = place.address(alice)
    (only,) = DepositAddress.objects.order_by("pk")
    assert mine == only.address


def test_an_address_is_shown_as_link_and_picture(place: Place, alice: Member) -> None:
    row = addresses.address_for(member=alice, currency=COIN, now=timezone.now())
    assert addresses.uri(row) == f"litecoin:{row.address}"
    assert addresses.uri(row, Decimal("0.10")).endswith("?amount=0.1")
    assert addresses.picture(row).startswith("<svg")
    assert "".join(addresses.groups_of_four(row.address)) == row.address


def test_money_has_no_address(alice: Member) -> None:
    with pytest.raises(Refused):
        addresses.address_for(member=alice, currency="cny", now=timezone.now())


def _give(source: Member, target: Member, amount: str) -> None:
    with transaction():
        move = ledger.Move(
            ledger.account_of(member_id=source.pk, currency=COIN),
            ledger.AVAILABLE,
            ledger.account_of(member_id=target.pk, currency=COIN),
            ledger.AVAILABLE,
            Decimal(amount),
            "by_hand",
            "test:1",
        )
        ledger.post([move], at=timezone.now())


def test_a_long_amount_is_taken_back_whole(alice: Member) -> None:
    Currency.objects.create(
        code="wei", name="Wei", symbol="w", kind="coin", scale=18, digits=18
    )
    fund(alice, "1 wei")
    amount = Decimal("12345678901.000000000000000003")
    with transaction():
        owned, lost = deposits.taking_back(
            member_id=alice.pk,
            currency="wei",
            amount=amount,
            holder=ledger.House.HOT,
            cause="test:gone",
        )
    assert owned.amount == 1
    assert lost.amount == Decimal("12345678900.000000000000000003")
