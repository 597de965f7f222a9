"""Moves between our own wallets, on the practice chain and on a real node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from exchange.lib.money import plain
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests.makers import make_member
from tests.nodes import Node, RegtestWorld
from tests.wallets.cashier import Cashier, node_cashier, practice_cashier
from wallets import (
    audit,
    beneficiaries,
    hot,
    payouts,
    reconcile,
    scanner,
    tasks,
    treasury,
)
from wallets.chains.base import (
    BroadcastRefused,
    Outpoint,
    Payment,
    RpcRefused,
    Signed,
    WalletLocked,
)
from wallets.chains.bitcoind import Bitcoind, _inputs, _outputs
from wallets.chains.practice import Practice, _raw
from wallets.ledger import House
from wallets.models.coins import Rules
from wallets.models.deposits import Deposit
from wallets.models.hot import ForeignSend
from wallets.models.treasury import TreasuryMove
from wallets.models.withdrawals import SpentCoin
from wallets.treasury import (
    Kind,
    NoColdStorage,
    NotLost,
    NotSigned,
    OneAtATime,
    OwnProposal,
)

D = Decimal


@dataclass
class Vault:
    """A hot wallet and a cold one, and who signs for the cold one."""

    cashier: Cashier
    cold: str
    sign: Callable[[str], str]
    spend_cold: Callable[[Outpoint, Payment], None] = lambda *_what: None

    @property
    def currency(self) -> str:
        return self.cashier.currency

    @property
    def move(self) -> TreasuryMove:
        found = TreasuryMove.objects.order_by("-pk").first()
        assert found is not None
        return found

    def run(self) -> TreasuryMove:
        treasury.run(self.currency, now=self.cashier.now)
        return self.move

    def mine(self) -> None:
        self.cashier.world.mine()

    def held(self) -> tuple[Decimal, Decimal]:
        found = treasury.holdings(self.currency)
        return found.hot, found.cold

    def band(self, low: str, high: str) -> None:
        Rules.objects.filter(pk=self.currency).update(hot_min=D(low), hot_max=D(high))

    def swept(self, amount: str, one: Member, other: Member) -> TreasuryMove:
        """Have coins in cold storage, the way they come there."""
        approved(propose(self, Kind.SWEEP, amount, one), other)
        self.run()
        self.mine()
        return self.run()


def practice_vault(settings: Any) -> Vault:
    """Have a hot wallet and cold storage on the practice chain."""
    cashier = practice_cashier()
    cold = cashier.chain.outside_address()
    settings.COLD_ADDRESSES = {cashier.currency: (cold,)}
    return Vault(cashier, cold, cashier.chain.sign_elsewhere)


def node_vault(cashier: Cashier, keeper: Bitcoind, cold: str, settings: Any) -> Vault:
    """Have cold storage in a second wallet of the node, which signs for it."""
    settings.COLD_ADDRESSES = {cashier.currency: (cold,)}

    def sign(psbt: str) -> str:
        return str(keeper._call("walletprocesspsbt", psbt)["psbt"])

    return Vault(cashier, cold, sign)


@pytest.fixture(params=["practice", pytest.param("node", marks=pytest.mark.node)])
def vault(request: pytest.FixtureRequest, db: None, settings: Any) -> Iterator[Vault]:
    if request.param == "practice":
        found = practice_vault(settings)

        def pay(coin: Outpoint, to: Payment) -> None:
            found.cashier.chain.broadcast(_raw(found.currency, [coin], [to]))

        found.spend_cold = pay
        yield found
        return
    node = request.getfixturevalue("node")
    world = request.getfixturevalue("regtest_world")
    with node_cashier(node, world, settings) as cashier:
        keeper = node.new_wallet()
        found = node_vault(cashier, keeper, keeper.new_address(), settings)

        def spend(coin: Outpoint, to: Payment) -> None:
            keeper.broadcast(keeper._signed_raw([coin], [to]))
            world._settle()

        found.spend_cold = spend
        yield found


@pytest.fixture
def one(db: None) -> Member:
    return make_member("treasurer")


@pytest.fixture
def other(db: None) -> Member:
    return make_member("comptroller")


def propose(vault: Vault, kind: Kind, amount: str, operator: Member) -> TreasuryMove:
    with transaction():
        return treasury.propose(
            currency=vault.currency,
            kind=kind,
            amount=D(amount),
            operator=operator,
            reason="test",
            now=vault.cashier.now,
        )


def approved(move: TreasuryMove, operator: Member) -> TreasuryMove:
    return treasury.approve(
        move=move, operator=operator, reason="test", now=move.created_at
    )


def explained(vault: Vault) -> None:
    """Whatever differs at this block is explained."""
    found = reconcile.reconcile(vault.currency, now=vault.cashier.now)
    assert found is not None
    assert found.unexplained == 0, found.explained


@pytest.mark.promise("W-7", "W-11")
def test_what_is_too_much_goes_cold(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "6", "4")
    vault.band("2", "8")

    proposed = vault.run()
    assert (proposed.kind, proposed.amount) == ("sweep", D(5))
    assert proposed.proposer is None
    alarm = AuditRecord.objects.get(action="hot_wallet_too_full", is_alarm=True)
    assert alarm.facts == {"amount": "5.0", "held": "10.0"}
    assert vault.run() == proposed  # one is enough

    wanted = approved(proposed, one)
    assert (wanted.state, wanted.proposer) == ("proposed", one)
    with pytest.raises(OwnProposal):
        approved(wanted, one)
    assert approved(wanted, other).state == "approved"

    sent = vault.run()
    assert sent.state == "broadcast"
    assert vault.cashier.world.mempool() == [sent.txid]
    vault.mine()
    explained(vault)
    done = vault.run()
    assert TreasuryMove.objects.count() == 1
    assert done.state == "confirmed"
    assert vault.held() == (5 - done.fee, D(5))
    (coin,) = vault.cashier.chain.unspent_of([vault.cold]).coins
    assert (coin.address, coin.amount) == (vault.cold, 5)
    held = sum(coin.amount for coin in vault.cashier.chain.coins())
    assert held == -vault.cashier.balance(House.HOT)
    # Neither a payment without us, nor a deposit.
    hot.look_for_foreign(vault.cashier.chain, vault.currency, now=vault.cashier.now)
    assert not ForeignSend.objects.exists()
    assert audit.treasury_unlike_entries() == []


@pytest.mark.promise("W-11", "W-12")
def test_what_is_missing_comes_back_signed_elsewhere(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "10")
    first_fee = vault.swept("8", one, other).fee
    vault.band("3", "5")

    proposed = vault.run()
    assert proposed.kind == "refill"
    # Into the middle of the band.
    assert proposed.amount == 4 - (2 - first_fee)
    assert approved(approved(proposed, one), other).state == "approved"
    planned = vault.run()
    assert vault.run().psbt == planned.psbt  # it waits for its signatures
    assert planned.state == "approved"
    (to_hot, amount), change = planned.plan["outputs"]
    assert vault.cashier.chain.is_ours(to_hot)
    assert D(amount) == proposed.amount
    assert change == [vault.cold, plain(8 - proposed.amount - planned.fee)]

    signed = treasury.bring_back(
        move=planned,
        psbt=vault.sign(planned.psbt),
        by="operator:1",
        now=vault.cashier.now,
    )
    assert signed.state == "signed"
    again = treasury.bring_back(
        move=signed,
        psbt=vault.sign(planned.psbt),
        by="operator:2",
        now=vault.cashier.now,
    )
    assert (again.state, again.txid) == ("signed", signed.txid)
    vault.run()
    vault.mine()
    explained(vault)
    done = vault.run()

    assert done.state == "confirmed"
    assert vault.held() == (D(4), 8 - proposed.amount - done.fee)
    stored = vault.cashier.chain.unspent_of([vault.cold]).coins
    assert sum(coin.amount for coin in stored) == vault.held()[1]
    assert audit.treasury_unlike_entries() == []
    scanner.scan(vault.currency, now=vault.cashier.now)
    assert not Deposit.objects.filter(txid=done.txid).exists()


@pytest.mark.promise("W-12")
def test_what_was_not_approved_is_not_taken_back(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "3", one), other)
    planned = vault.run()
    chain = vault.cashier.chain
    coins = list(chain.unspent_of([vault.cold]).coins)
    thief = vault.cashier.world.outside_address()
    elsewhere = chain.unsigned(coins, [Payment(thief, D(7))])

    for psbt, why in [
        ("nonsense", ""),
        (planned.psbt, "missing"),
        (vault.sign(elsewhere), "another transaction"),
    ]:
        with pytest.raises(NotSigned) as refused:
            treasury.bring_back(
                move=planned, psbt=psbt, by="operator:1", now=vault.cashier.now
            )
        assert why in str(refused.value.facts["why"])

    assert vault.move.state == "approved"
    assert vault.cashier.world.mempool() == []


def test_change_too_small_to_be_relayed_goes_to_the_miners(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "1", one), other)
    usual = vault.run()
    treasury.cancel(move=usual, by="operator:1", reason="no", now=vault.cashier.now)
    speck = D("0.000001")

    amount = 8 - usual.fee - speck
    approved(propose(vault, Kind.REFILL, str(amount), one), other)
    planned = vault.run()
    assert planned.fee == usual.fee + speck
    assert len(planned.plan["outputs"]) == 1

    treasury.bring_back(
        move=planned,
        psbt=vault.sign(planned.psbt),
        by="operator:1",
        now=vault.cashier.now,
    )
    vault.run()
    vault.mine()
    assert vault.run().state == "confirmed"
    assert vault.held()[1] == 0
    explained(vault)


def test_a_refill_too_small_to_be_relayed_is_not_planned(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    speck = propose(vault, Kind.REFILL, "0.000001", one)
    approved(speck, other)
    assert vault.run().psbt == ""
    assert "amount" in vault.run().problem
    alarms = AuditRecord.objects.filter(action="treasury_in_trouble", is_alarm=True)
    assert alarms.count() == 1


def test_a_refill_whose_change_has_nowhere_to_go_stops_no_other_coin(
    vault: Vault, alice: Member, one: Member, other: Member, monkeypatch: Any
) -> None:
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "3", one), other)
    with monkeypatch.context() as patch:  # as of an address of MWEB
        patch.setattr(type(vault.cashier.chain), "spelled", lambda _self, _text: "")
        assert vault.run().psbt == ""
    assert "no address" in vault.move.problem
    alarms = AuditRecord.objects.filter(action="treasury_in_trouble", is_alarm=True)
    assert alarms.count() == 1


def test_a_signed_move_is_sent_again_until_it_is_there(
    vault: Vault, alice: Member, one: Member, other: Member, monkeypatch: Any
) -> None:
    vault.cashier.deposit(alice, "10")
    approved(propose(vault, Kind.SWEEP, "2", one), other)
    kind = type(vault.cashier.chain)
    with monkeypatch.context() as dying:

        def die(*_args: object) -> None:
            raise ConnectionAbortedError  # as if the process had ended here

        dying.setattr(kind, "broadcast", die)
        with pytest.raises(ConnectionAbortedError):
            vault.run()
    assert vault.move.state == "signed"
    txid = vault.move.txid

    vault.run()
    vault.run()
    vault.mine()
    assert vault.run().state == "confirmed"
    assert vault.move.txid == txid
    vault.run()
    assert vault.held()[1] == 2


@pytest.mark.promise("W-24")
def test_payouts_and_moves_never_spend_one_coin(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "3", "3")
    vault.cashier.approved(alice, "1")
    approved(propose(vault, Kind.SWEEP, "1", one), other)
    vault.run()
    vault.cashier.run()

    coins = SpentCoin.objects.order_by("pk")
    assert [each.treasury_move_id is None for each in coins] == [False, True]
    assert len({(each.txid, each.vout) for each in coins}) == 2
    vault.mine()
    vault.cashier.run()
    assert vault.run().state == "confirmed"
    vault.cashier.demand_paid_once()


def test_it_moves_nothing_where_nothing_is_set_up(
    vault: Vault, alice: Member, one: Member, settings: Any
) -> None:
    settings.COLD_ADDRESSES = {}
    vault.cashier.deposit(alice, "10")
    vault.band("1", "2")
    treasury.run(vault.currency, now=vault.cashier.now)
    assert not TreasuryMove.objects.exists()
    with pytest.raises(NoColdStorage):
        propose(vault, Kind.SWEEP, "1", one)


def test_one_move_of_a_coin_at_a_time(vault: Vault, one: Member, other: Member) -> None:
    first = propose(vault, Kind.SWEEP, "1", one)
    with pytest.raises(OneAtATime):
        propose(vault, Kind.REFILL, "1", other)
    treasury.cancel(move=first, by="operator:1", reason="no", now=first.created_at)
    second = propose(vault, Kind.REFILL, "1", other)
    with pytest.raises(IllegalMove):
        approved(first, other)
    with pytest.raises(treasury.BadMove):
        propose(vault, Kind.SWEEP, "0", one)
    assert second.state == "proposed"


@pytest.mark.promise("W-11", "S-79")
def test_the_database_wants_two_people(vault: Vault, one: Member) -> None:
    move = propose(vault, Kind.SWEEP, "1", one)
    with pytest.raises(IntegrityError, match="two_approve_a_treasury_move"):
        TreasuryMove.objects.filter(pk=move.pk).update(state="approved", approver=one)


@pytest.mark.promise("W-7")
def test_a_paused_hot_wallet_sweeps_nothing(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    vault.cashier.deposit(alice, "10")
    hot.of(vault.currency)
    approved(propose(vault, Kind.SWEEP, "1", one), other)

    with transaction():
        hot.pause(vault.currency, hot.Pause.UNSAFE, now=vault.cashier.now)
    assert vault.run().state == "approved"
    assert payouts.spent_of(vault.currency, {}) == set()


@pytest.mark.promise("F-33")
def test_a_locked_wallet_is_said_and_keeps_no_other_coin_waiting(
    alice: Member,
    one: Member,
    other: Member,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = practice_cashier("btc"), practice_cashier("ltc")
    moves = {}
    for cashier in (first, second):
        cold = cashier.chain.outside_address()
        # Not in place: that would outlast the test.
        settings.COLD_ADDRESSES = settings.COLD_ADDRESSES | {cashier.currency: (cold,)}
        cashier.deposit(alice, "10")
        vault = Vault(cashier, cold, cashier.chain.sign_elsewhere)
        moves[cashier.currency] = propose(vault, Kind.SWEEP, "2", one)
        approved(moves[cashier.currency], other)
    build = Practice.build_signed

    def locked(chain: Practice, *what: Any, **how: Any) -> Signed:
        if chain._currency == "btc":
            raise WalletLocked("Please enter the wallet passphrase.")
        return build(chain, *what, **how)

    monkeypatch.setattr(Practice, "build_signed", locked)
    asked: list[str] = []
    monkeypatch.setattr(
        tasks.balance_wallet, "delay", lambda *, currency: asked.append(currency)
    )
    tasks.balance_wallets()
    assert set(asked) >= set(moves)
    for currency in asked:
        tasks.balance_wallet(currency=currency)
    states = {
        code: TreasuryMove.objects.get(pk=row.pk).state for code, row in moves.items()
    }
    assert states == {"btc": "approved", "ltc": "broadcast"}
    assert "passphrase" in TreasuryMove.objects.get(pk=moves["btc"].pk).problem


@pytest.mark.promise("W-5", "W-32")
def test_an_unwell_node_sweeps_nothing(
    vault: Vault,
    alice: Member,
    one: Member,
    other: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault.cashier.deposit(alice, "10")
    approved(propose(vault, Kind.SWEEP, "1", one), other)
    with monkeypatch.context() as patch:
        chain = type(vault.cashier.chain)
        patch.setattr(chain, "complaints", lambda _chain, *, now: ["it is behind"])
        assert vault.run().state == "approved"
    assert vault.run().state == "broadcast"


@pytest.mark.promise("F-34")
def test_a_move_whose_coins_went_elsewhere_is_given_up_once_that_is_final(
    db: None, alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.deposit(alice, "10")
    approved(propose(vault, Kind.SWEEP, "2", one), other)
    sent = vault.run()

    def give_up() -> TreasuryMove:
        return treasury.cancel(
            move=vault.move, by="operator:1", reason="gone", now=cashier.now
        )

    cashier.world.replace(sent.txid, Payment(cashier.world.outside_address(), D(10)))
    with pytest.raises(NotLost):
        give_up()
    vault.mine()
    assert give_up().state == "cancelled"
    assert vault.held() == (D(10), D(0))
    assert audit.treasury_unlike_entries() == []
    assert propose(vault, Kind.SWEEP, "1", one).state == "proposed"


@pytest.mark.promise("F-34")
@pytest.mark.parametrize("is_sent", [True, False])
def test_a_refill_whose_coins_went_elsewhere_is_given_up(
    vault: Vault,
    alice: Member,
    one: Member,
    other: Member,
    *,
    is_sent: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who keeps cold storage spends its coins; our own wallet has no part in that."""
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "1", one), other)
    planned = vault.run()
    signed = vault.sign(planned.psbt)
    now = vault.cashier.now

    def give_up() -> TreasuryMove:
        return treasury.cancel(move=vault.move, by="operator:1", reason="-", now=now)

    treasury.bring_back(move=planned, psbt=signed, by="operator:1", now=now)
    if is_sent:
        vault.run()
    (coin,) = treasury._planned_coins(planned)
    away = Payment(vault.cashier.world.outside_address(), D("7.995"))
    vault.spend_cold(coin, away)
    vault.run()
    with pytest.raises(NotLost):
        give_up()
    vault.mine()
    vault.run()
    with monkeypatch.context() as patch:
        chain = type(vault.cashier.chain)
        patch.setattr(chain, "complaints", lambda _chain, *, now: ["it is behind"])
        with pytest.raises(NotLost):
            give_up()
    assert give_up().state == "cancelled"
    assert propose(vault, Kind.REFILL, "1", one).state == "proposed"


@pytest.mark.promise("W-12")
def test_what_the_network_would_not_take_is_not_brought_back(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    """It would stand in the way for good: these bytes are sent, and no others."""
    vault.cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "1", one), other)
    planned = vault.run()
    now = vault.cashier.now

    def bring_back(psbt: str) -> TreasuryMove:
        return treasury.bring_back(move=planned, psbt=psbt, by="operator:1", now=now)

    chain = vault.cashier.chain
    if not chain.is_practice:
        spent = _inputs(list(treasury._planned_coins(planned)))
        outputs = _outputs(treasury._planned(planned))
        late = chain._call("createpsbt", spent, outputs, 1_000_000, True)
        with pytest.raises(BroadcastRefused, match="final"):
            bring_back(vault.sign(chain._call("utxoupdatepsbt", late)))
    signed = vault.sign(planned.psbt)
    (coin,) = treasury._planned_coins(planned)
    away = Payment(vault.cashier.world.outside_address(), D("7.995"))
    vault.spend_cold(coin, away)
    vault.mine()
    with pytest.raises(BroadcastRefused):
        bring_back(signed)
    assert vault.move.state == "approved"
    assert not SpentCoin.objects.filter(treasury_move=planned).exists()


@pytest.mark.promise("F-35")
def test_a_refill_is_not_lost_while_its_coin_waits_for_a_block_again(
    vault: Vault, alice: Member, one: Member, other: Member
) -> None:
    """A reorganisation took the coin's block, and nobody spends it elsewhere."""
    cashier = vault.cashier
    cashier.deposit(alice, "10")
    vault.swept("8", one, other)
    approved(propose(vault, Kind.REFILL, "3", one), other)
    planned = vault.run()
    psbt = vault.sign(planned.psbt)
    cashier.world.reorganise(1)
    treasury.bring_back(move=planned, psbt=psbt, by="operator:1", now=cashier.now)
    with pytest.raises(NotLost):
        treasury.cancel(move=vault.move, by="operator:1", reason="-", now=cashier.now)
    assert vault.run().state == "broadcast"
    cashier.world.mine(2)
    assert vault.run().state == "confirmed"


def test_a_sweep_on_its_way_is_no_lack_of_coins_until_it_is_stuck(
    alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.deposit(alice, "10")
    approved(propose(vault, Kind.SWEEP, "2", one), other)
    vault.run()
    waiting = cashier.approved(alice, "1")
    cashier.run()
    assert payouts.why_waiting(cashier.currency) == ""
    assert not AuditRecord.objects.filter(is_alarm=True).exists()

    cashier.run(hours=3)
    vault.run()
    assert "block" in vault.run().problem
    alarm = AuditRecord.objects.get(is_alarm=True)
    assert alarm.action == "treasury_in_trouble"
    vault.mine()
    assert (vault.run().state, vault.move.problem) == ("confirmed", "")
    cashier.finish()
    assert cashier.state_of(waiting) == "confirmed"


@pytest.mark.promise("W-30")
def test_cold_storage_is_no_address_of_a_members(alice: Member, settings: Any) -> None:
    cashier = practice_cashier()
    cold = cashier.chain.outside_address()
    settings.COLD_ADDRESSES = {cashier.currency: (cold,)}
    cashier.deposit(alice, "10")
    row = cashier.approved(alice, "1", to=cold)
    cashier.finish()
    assert cashier.state_of(row) == "review"
    assert cashier.paid(cold) == []
    with pytest.raises(beneficiaries.OwnAddress):
        beneficiaries.add(
            member=make_member("bert"),
            currency=cashier.rules.currency,
            label="theirs",
            destination=cold,
            now=cashier.now,
        )


@pytest.mark.node
@pytest.mark.promise("W-30")
def test_cold_storage_is_cold_in_every_spelling(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    with node_cashier(node, regtest_world, settings) as cashier:
        cold = cashier.world.outside_address()
        settings.COLD_ADDRESSES = {cashier.currency: (cold.upper(),)}
        with pytest.raises(beneficiaries.OwnAddress):
            beneficiaries.add(
                member=alice,
                currency=cashier.rules.currency,
                label="mine",
                destination=cold,
                now=cashier.now,
            )


@pytest.mark.promise("W-1")
@pytest.mark.parametrize("kind", [Kind.SWEEP, Kind.REFILL])
def test_a_move_confirmed_under_another_id_is_ours(
    kind: Kind, alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.deposit(alice, "10")
    if kind == Kind.REFILL:
        vault.swept("8", one, other)
    approved(propose(vault, kind, "2", one), other)
    move = vault.run()
    if kind == Kind.REFILL:
        psbt = vault.sign(move.psbt)
        treasury.bring_back(move=move, psbt=psbt, by="operator:1", now=cashier.now)
        move = vault.run()
    before = vault.held()
    cashier.world.evict(move.txid)
    cashier.world.broadcast((bytes.fromhex(move.raw) + b" ").hex())
    vault.mine()
    explained(vault)

    hot.look_for_foreign(cashier.chain, cashier.currency, now=cashier.now)
    assert hot.of(cashier.currency).paused_at is None
    assert vault.run().state == "confirmed"
    assert vault.move.problem == ""
    assert vault.held() != before
    held = sum(coin.amount for coin in cashier.chain.coins())
    assert held == -cashier.balance(House.HOT)


@pytest.mark.promise("W-7")
def test_what_is_signed_away_is_hot_no_more(
    alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.deposit(alice, "30")
    vault.swept("20", one, other)
    vault.band("3", "8")
    cashier.approved(alice, "8")
    cashier.run()
    assert cashier.states() == {"broadcast": 1}
    assert vault.run().kind == "refill"


@pytest.mark.promise("W-7")
def test_rules_finer_than_the_coin_propose_what_the_coin_can_have(
    alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.deposit(alice, "10")
    vault.swept("2", one, other)
    vault.band("20", "30")
    Rules.objects.filter(pk=cashier.currency).update(fee_max=D("0.0500000001"))
    assert vault.run().kind == "refill"
    assert vault.move.amount == D("1.94999999")


@pytest.mark.node
def test_a_refill_is_planned_when_another_scan_has_ended(
    node: Node,
    regtest_world: RegtestWorld,
    settings: Any,
    alice: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node reads its unspent outputs for one at a time, and that takes minutes."""
    one, other = make_member("treasurer"), make_member("comptroller")
    call = Bitcoind._call

    def busy(chain: Bitcoind, method: str, *parameters: Any) -> Any:
        if method == "scantxoutset":
            raise RpcRefused("Scan already in progress", code=-8)
        return call(chain, method, *parameters)

    with node_cashier(node, regtest_world, settings) as cashier:
        keeper = node.new_wallet()
        vault = node_vault(cashier, keeper, keeper.new_address(), settings)
        cashier.deposit(alice, "10")
        vault.swept("8", one, other)
        approved(propose(vault, Kind.REFILL, "1", one), other)
        with monkeypatch.context() as patch:
            patch.setattr(Bitcoind, "_call", busy)
            assert vault.run().psbt == ""
        assert vault.run().psbt != ""


@pytest.mark.node
def test_cold_storage_may_be_written_in_capitals(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    """As QR codes have it: it is the same script."""
    one, other = make_member("treasurer"), make_member("comptroller")
    with node_cashier(node, regtest_world, settings) as cashier:
        keeper = node.new_wallet()
        cold = keeper.new_address().upper()
        vault = node_vault(cashier, keeper, cold, settings)
        cashier.deposit(alice, "10")
        assert vault.swept("8", one, other).state == "confirmed"
        approved(propose(vault, Kind.REFILL, "1", one), other)
        signed = vault.sign(vault.run().psbt)
        treasury.bring_back(
            move=vault.move, psbt=signed, by="operator:1", now=cashier.now
        )
        vault.run()
        vault.mine()
        assert vault.run().state == "confirmed"


@pytest.mark.promise("F-35", "F-41")
def test_a_lost_move_that_comes_after_all_wakes_somebody(
    alice: Member, one: Member, other: Member, settings: Any
) -> None:
    vault = practice_vault(settings)
    cashier = vault.cashier
    cashier.world.mine(5)
    cashier.deposit(alice, "10")
    approved(propose(vault, Kind.SWEEP, "2", one), other)
    sent = vault.run()
    away = Payment(cashier.world.outside_address(), D(10))
    rival = cashier.world.replace(sent.txid, away)
    vault.mine()
    cashier.run()
    treasury.cancel(move=vault.move, by="operator:1", reason="-", now=cashier.now)
    hot.resume(currency="btc", by="operator:1", reason="-", now=cashier.now)
    cashier.run()
    assert hot.of("btc").paused_at is None

    cashier.world.reorganise(1)
    cashier.world.evict(rival)
    cashier.world.broadcast(sent.raw)
    cashier.world.mine(2)
    cashier.run()
    assert hot.of("btc").paused_at is not None
    assert ForeignSend.objects.filter(txid=sent.txid, accepted_at=None).exists()
