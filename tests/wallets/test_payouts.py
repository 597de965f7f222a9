"""From approved to confirmed, on the practice chain and on a real node."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from accounts import members
from accounts.models.members import Member
from exchange.celery import app
from exchange.lib.models import AuditRecord
from tests import rows
from tests.makers import make_member
from tests.nodes import Node, RegtestWorld
from tests.wallets.cashier import Cashier, crowd, node_cashier, practice_cashier
from wallets import beneficiaries, hot, payouts, scanner, signing, tasks
from wallets.chains.base import (
    BroadcastRefused,
    Coin,
    NodeUnreachable,
    Outpoint,
    Payment,
    RpcRefused,
    WalletLocked,
)
from wallets.chains.bitcoind import Bitcoind
from wallets.chains.practice import Practice, _raw
from wallets.hot import Trouble
from wallets.ledger import House
from wallets.models.coins import ConfirmationTier
from wallets.models.hot import ForeignSend, HotWallet, Reconciliation
from wallets.models.withdrawals import (
    Payout,
    PayoutTransaction,
    SpentCoin,
    Withdrawal,
)

D = Decimal
# The same script as QLc1KKsLWovHm79aV22uihS3bwgECPid8z, as it was written before.
OLD_SPELLING = "2MsFFCK16VhsCcvPXruztdzzcTZEQCbNKjJ"


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


@pytest.fixture
def practice(db: None) -> Cashier:
    return practice_cashier()


def alarms() -> list[str]:
    found = AuditRecord.objects.filter(is_alarm=True).order_by("pk")
    return [str(row.facts.get("why") or row.facts.get("problem")) for row in found]


# --- All is well --------------------------------------------------------------------


@pytest.mark.promise("I-11", "I-18", "W-28")
def test_it_pays_signs_sends_and_books_once(cashier: Cashier, alice: Member) -> None:
    cashier.deposit(alice, "3", "1")
    one = cashier.approved(alice, "0.30000001")
    two = cashier.approved(alice, "1.2", fee="0")

    cashier.run()
    payout = cashier.payout()
    assert cashier.states() == {"broadcast": 2}
    assert cashier.balance(House.IN_TRANSIT) == D("1.50000001")
    assert cashier.balance(House.FEES) == D("0.001")

    cashier.world.mine()
    cashier.run()
    cashier.run()
    sent = payout.transactions.get()
    assert cashier.states() == {"confirmed": 2}
    assert cashier.balance(House.IN_TRANSIT) == 0
    assert cashier.balance(House.NETWORK_FEES) == -sent.fee
    assert cashier.paid(one.destination) == [one.net]
    assert cashier.paid(two.destination) == [two.net]
    paid = Withdrawal.objects.get(pk=one.pk)
    assert (paid.txid, paid.confirmations, paid.payout) == (sent.txid, 1, payout)
    cashier.demand_paid_once()
    assert alarms() == []


def test_it_pays_many_at_once(cashier: Cashier) -> None:
    crowd(cashier, 30, "0.01")
    cashier.run()
    assert Payout.objects.count() == 1
    cashier.finish()
    assert cashier.states() == {"confirmed": 30}
    cashier.demand_paid_once()


def test_it_pays_one_address_once_in_a_batch(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3", "3")
    to = practice.world.outside_address()
    for _ in range(2):
        practice.approved(alice, "1", to=to)
    practice.run()
    assert practice.states() == {"broadcast": 1, "approved": 1}
    practice.finish()
    assert practice.paid(to) == [1, 1]
    assert Payout.objects.count() == 2


def test_it_waits_as_deep_as_the_largest_payment_asks(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "3")
    for amount, depth in ((0, 1), (1, 3)):
        ConfirmationTier.objects.create(
            rules=practice.rules, amount_from=amount, confirmations=depth
        )
    small, large = practice.approved(alice, "0.1"), practice.approved(alice, "1")
    practice.run()
    practice.world.mine(2)
    practice.run()
    assert practice.states() == {"broadcast": 2}
    assert Withdrawal.objects.get(pk=small.pk).confirmations == 2
    practice.world.mine()
    practice.run()
    assert practice.state_of(large) == "confirmed"


def test_it_pays_nothing_while_switched_off(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.rules.pays_withdrawals = False
    practice.rules.save()
    practice.run()
    assert practice.states() == {"approved": 1}


@pytest.mark.promise("F-16")
def test_its_jobs_may_run_twice(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    app.conf.update(task_always_eager=True)
    try:
        for _ in range(2):
            tasks.pay_out.delay()
            tasks.reconcile_hot_wallets.delay()
    finally:
        app.conf.update(task_always_eager=False)
    assert practice.state_of(waiting) == "broadcast"
    assert Payout.objects.count() == 1
    assert Reconciliation.objects.filter(currency="btc").count() == 1


@pytest.mark.promise("F-33")
def test_a_node_that_hangs_keeps_no_other_coin_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One worker does them all, in their turn, but what has expired by then."""
    seconds, scanned, paid = [0], Counter[str](), Counter[str]()
    queue: deque[tuple[int, Any, dict[str, str]]] = deque()

    def send(task: Any, at: int, **terms: str) -> None:
        queue.append((at + task.expires, task, terms))

    def work(done: Counter[str], currency: str) -> None:
        done[currency] += 1
        seconds[0] += 40 if currency == "btc" else 1  # both tries of a read time out

    for task in (tasks.scan_chain, tasks.pay_out_coin):
        monkeypatch.setattr(
            task, "delay", lambda task=task, **terms: send(task, seconds[0], **terms)
        )
    monkeypatch.setattr(tasks, "coin_codes", lambda: ["btc", "ltc"])
    monkeypatch.setattr(scanner, "scan", lambda coin, **_: work(scanned, coin))
    monkeypatch.setattr(payouts, "run", lambda coin, **_: work(paid, coin))
    ticked, longest = 0, 0
    while seconds[0] < 1800:
        for second in range(ticked, seconds[0] + 1):
            for task, every in ((tasks.scan_chains, 3), (tasks.pay_out, 5)):
                if second % every == 0:
                    send(task, second)
        ticked = max(ticked, seconds[0] + 1)
        if not queue:
            seconds[0] += 1
            continue
        until, task, terms = queue.popleft()
        if until >= seconds[0]:
            task(**terms)
        longest = max(longest, sum(task is tasks.pay_out_coin for _, task, _ in queue))
    assert min(scanned["ltc"], paid["ltc"]) >= 15
    assert longest <= 4  # and nothing piles up


# --- What is not paid ---------------------------------------------------------------


def test_it_pays_nothing_while_an_account_is_frozen(
    practice: Cashier, alice: Member, bob: Member
) -> None:
    practice.deposit(alice, "3")
    practice.credit(bob, D(1))
    members.freeze(member=alice, by="member:1", reason="a thief")
    stolen, other = practice.approved(alice, "1"), practice.approved(bob, "0.5")
    practice.finish()
    assert practice.state_of(stolen) == "approved"
    assert practice.state_of(other) == "confirmed"


@pytest.mark.promise("W-29", "W-30")
def test_a_bad_address_keeps_nobody_else_waiting(
    cashier: Cashier, alice: Member
) -> None:
    cashier.deposit(alice, "3")
    good = cashier.approved(alice, "1")
    bad = cashier.approved(alice, "0.5", to="nowhere")
    own = cashier.approved(alice, "0.5", to=cashier.chain.new_address())
    cashier.finish()
    assert cashier.state_of(good) == "confirmed"
    for each, doubt in ((bad, "bad_address"), (own, "own_address")):
        found = Withdrawal.objects.get(pk=each.pk)
        assert (found.state, found.doubts, found.payout) == ("review", [doubt], None)
    cashier.demand_paid_once()


@pytest.mark.node
@pytest.mark.promise("W-30", "W-12")
def test_an_address_in_another_spelling_keeps_nobody_waiting(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    """Of one address a chain has capitals and small letters, and new and old forms."""
    with node_cashier(node, regtest_world, settings) as cashier:
        cashier.deposit(alice, "3")
        good = cashier.approved(alice, "0.5")
        odd = [cashier.approved(alice, "1", to=good.destination.upper())]
        odd.append(cashier.approved(alice, "0.2", to=OLD_SPELLING))
        cashier.finish()
        assert cashier.state_of(good) == "confirmed"
        assert [cashier.state_of(each) for each in odd] == ["review", "review"]
        assert hot.of(cashier.currency).paused_at is None


@pytest.mark.node
@pytest.mark.promise("W-29", "F-33")
def test_what_the_node_refuses_alone_keeps_nobody_else_waiting(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    """Such as less than any node relays, by rules that allow it."""
    with node_cashier(node, regtest_world, settings) as cashier:
        cashier.deposit(alice, "3")
        speck = cashier.approved(alice, "0.00000001")
        cashier.run()
        assert cashier.state_of(speck) == "approved"
        assert alarms() == ["node_refused"]
        good = cashier.approved(alice, "0.5")
        cashier.run(minutes=2)
        cashier.run(minutes=2)
        assert cashier.state_of(good) == "broadcast"
        assert cashier.state_of(speck) == "review"
        cashier.finish()
        cashier.demand_paid_once()


class Choosy(Practice):
    """A node that refuses some payments, or all of them, and counts how often asked."""

    def __init__(self, currency: str, refused: set[str] | None) -> None:
        super().__init__(currency)
        self.refused, self.tries = refused, 0

    def build_signed(self, payments: Any, **terms: Any) -> Any:
        self.tries += 1
        if self.refused is None or self.refused & {each.address for each in payments}:
            raise RpcRefused("Transaction amount too small", code=-4)
        return super().build_signed(payments, **terms)


@pytest.mark.promise("W-29", "F-33")
@pytest.mark.parametrize("places", [[0], [149], [7, 8, 77], None])
def test_whom_a_node_refuses_is_found_by_few_tries(
    practice: Cashier, monkeypatch: pytest.MonkeyPatch, places: list[int] | None
) -> None:
    rows = crowd(practice, 150, "0.01")
    refused = [rows[place] for place in places or []]
    addresses = None if places is None else {row.destination for row in refused}
    node = Choosy(practice.currency, addresses)
    monkeypatch.setattr(payouts, "chain_of", lambda _code: node)
    practice.run()
    assert node.tries <= 101
    if places is None:
        assert practice.states() == {"approved": 150}
        assert alarms() == [Trouble.NODE_REFUSED]
        return
    in_review = Withdrawal.objects.filter(state="review").order_by("pk")
    assert list(in_review) == refused
    practice.finish()
    few = len(refused)
    assert practice.states() == {"confirmed": 150 - few, "review": few}
    assert alarms() == []


@pytest.mark.node
@pytest.mark.promise("F-33", "W-31")
def test_what_is_too_much_for_a_node_together_is_paid_by_two(
    node: Node,
    regtest_world: RegtestWorld,
    settings: Any,
    db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as a fee above the node's own limit (-maxtxfee, a tenth of a coin)."""
    # Of enough blocks a node makes a guess of its own.
    monkeypatch.setattr(Bitcoind, "fee_rate", lambda _chain: None)
    with node_cashier(node, regtest_world, settings) as cashier:
        cashier.rules.fee_rate_usual = cashier.rules.fee_rate_max = D("0.09")
        cashier.rules.fee_max = D(1)
        cashier.rules.save()
        cashier.fill("10")
        crowd(cashier, 40, "0.01")
        cashier.run()
        assert cashier.states() == {"broadcast": 20, "approved": 20}
        cashier.finish()
        assert cashier.states() == {"confirmed": 40}
        assert alarms() == []


@pytest.mark.node
@pytest.mark.promise("W-30")
def test_the_address_book_spells_as_the_chain_does(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    with node_cashier(node, regtest_world, settings) as cashier:

        def add(destination: str) -> str:
            return beneficiaries.add(
                member=alice,
                currency=cashier.rules.currency,
                label="mine",
                destination=destination,
                now=cashier.now,
            ).destination

        there = cashier.world.outside_address()
        assert add(there.upper()) == there
        with pytest.raises(beneficiaries.KnownDestination):
            add(there)
        assert add(OLD_SPELLING) != OLD_SPELLING


@pytest.mark.promise("S-40")
def test_it_pays_nobody_who_is_not_in_the_address_book(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "3")
    forged = practice.approved(alice, "1")
    elsewhere = practice.world.outside_address()
    Withdrawal.objects.filter(pk=forged.pk).update(destination=elsewhere)
    practice.finish()
    assert practice.state_of(forged) == "review"
    assert practice.paid(elsewhere) == []
    assert AuditRecord.objects.filter(action="destination_changed").exists()


@pytest.mark.promise("W-8", "S-40")
def test_the_signer_holds_its_own_limit(
    practice: Cashier, alice: Member, settings: Any
) -> None:
    settings.HOT_WALLET_OUT_PER_HOUR = {"btc": D(2)}
    settings.HOT_WALLET_OUT_PER_DAY = {"btc": D(3)}
    practice.deposit(alice, "2000", "10")
    forged = practice.approved(alice, "1000")
    first = practice.approved(alice, "1.5")
    second = practice.approved(alice, "1.2")
    practice.finish()
    assert practice.state_of(first) == "confirmed"
    assert {practice.state_of(forged), practice.state_of(second)} == {"approved"}
    assert alarms() == [Trouble.LIMIT_REACHED]

    practice.run(minutes=61)
    practice.finish()
    assert practice.state_of(second) == "confirmed"
    assert practice.state_of(forged) == "approved"
    late = practice.approved(alice, "1")
    practice.run(minutes=61)
    assert practice.state_of(late) == "approved"  # the day's limit
    practice.run(days=1)
    assert practice.state_of(late) == "broadcast"


@pytest.mark.promise("W-8")
def test_the_signer_refuses_what_was_claimed_beyond_its_limit(
    practice: Cashier, alice: Member, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOT_WALLET_OUT_PER_HOUR = {"btc": D(2)}
    practice.deposit(alice, "2000")
    forged = practice.approved(alice, "1000")
    with monkeypatch.context() as patch:
        patch.setattr(signing, "allowance", lambda *_a, **_k: None)
        patch.setattr(payouts, "_advance", lambda *_a, **_k: None)
        practice.run()
    assert practice.state_of(forged) == "building"
    practice.run()
    assert practice.state_of(forged) == "approved"
    assert practice.payout().state == "given_up"
    assert not PayoutTransaction.objects.exists()
    assert alarms() == [Trouble.LIMIT_REACHED]


@pytest.mark.promise("W-10")
def test_no_more_than_a_share_of_the_wallet_leaves_in_an_hour(
    practice: Cashier, alice: Member, settings: Any
) -> None:
    settings.HOT_WALLET_SHARE_PER_HOUR = {"btc": D("0.25")}
    practice.deposit(alice, "10")  # one coin: its change counts while it waits
    first = practice.approved(alice, "2")
    practice.run()
    second = practice.approved(alice, "0.6")
    practice.run()
    assert alarms() == [Trouble.LIMIT_REACHED]
    practice.world.mine()
    practice.finish()
    assert practice.state_of(first) == "confirmed"
    assert practice.state_of(second) == "approved"
    small = practice.approved(alice, "0.4")
    practice.finish()
    assert practice.state_of(small) == "confirmed"  # 2.4 of 10
    practice.run(minutes=61)
    practice.finish()
    assert practice.state_of(second) == "confirmed"
    practice.demand_paid_once()


@pytest.mark.promise("W-10")
def test_a_database_of_riches_does_not_raise_the_share(
    practice: Cashier, alice: Member, settings: Any
) -> None:
    settings.HOT_WALLET_SHARE_PER_HOUR = {"btc": D("0.5")}
    practice.deposit(alice, "10")
    practice.credit(alice, D(1000))
    large = practice.approved(alice, "6")
    practice.finish()
    assert practice.state_of(large) == "approved"


@pytest.mark.promise("W-10")
def test_change_counts_once_while_its_payout_is_buried(
    practice: Cashier, alice: Member, settings: Any
) -> None:
    settings.HOT_WALLET_SHARE_PER_HOUR = {"btc": D("0.2")}
    ConfirmationTier.objects.create(
        rules=practice.rules, amount_from=0, confirmations=6
    )
    practice.deposit(alice, "10")
    for _ in range(4):
        practice.approved(alice, "0.9")
        practice.run()
        practice.world.mine()  # its change can be spent, and it is not booked yet
    practice.run()
    assert practice.states() == {"broadcast": 2, "approved": 2}


@pytest.mark.promise("F-33")
def test_too_few_coins_keep_the_hold_and_alarm_once(
    cashier: Cashier, alice: Member
) -> None:
    cashier.deposit(alice, "1")
    cashier.credit(alice, D(5))
    large = cashier.approved(alice, "4")
    small = cashier.approved(alice, "0.2")
    cashier.finish()
    assert cashier.state_of(small) == "confirmed"
    assert cashier.state_of(large) == "approved"
    cashier.run(minutes=5)
    assert alarms() == [Trouble.TOO_FEW_COINS]
    assert payouts.why_waiting(cashier.currency)

    cashier.fill("5")
    cashier.finish()
    assert cashier.state_of(large) == "confirmed"
    assert payouts.why_waiting(cashier.currency) == ""


@pytest.mark.promise("F-33", "W-31")
def test_many_are_paid_by_more_than_one_where_one_would_cost_too_much(
    practice: Cashier,
) -> None:
    practice.rules.fee_max = D("0.0001")  # for a thousand bytes
    practice.rules.save()
    crowd(practice, 30, "0.01")
    for _ in range(2):
        practice.finish()
    assert practice.states() == {"confirmed": 30}
    assert Payout.objects.exclude(state="confirmed").count() == 0
    assert alarms() == []


@pytest.mark.promise("F-33", "W-31")
def test_what_many_small_coins_cannot_pay_keeps_nobody_else_waiting(
    practice: Cashier, alice: Member
) -> None:
    practice.rules.fee_max = D("0.0005")
    practice.rules.save()
    practice.deposit(alice, *["0.01"] * 60)
    large = practice.approved(alice, "0.5")
    small = practice.approved(alice, "0.05")
    practice.finish()
    assert practice.state_of(small) == "confirmed"
    assert practice.state_of(large) == "approved"
    assert alarms() == [Trouble.FEE_ABSURD]


@pytest.mark.node
@pytest.mark.promise("F-33")
def test_more_coins_than_a_transaction_can_spend_keep_nobody_else_waiting(
    node: Node, regtest_world: RegtestWorld, settings: Any, alice: Member
) -> None:
    with node_cashier(node, regtest_world, settings) as cashier:
        cashier.deposit(alice, *["0.001"] * 1700)
        large = cashier.approved(alice, "1.6")
        small = cashier.approved(alice, "0.05")
        cashier.finish()
        assert cashier.state_of(small) == "confirmed"
        assert cashier.state_of(large) == "approved"
        assert alarms() == [Trouble.TOO_FEW_COINS]


def test_change_on_its_way_is_no_lack_of_coins(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "5")
    practice.approved(alice, "1")
    practice.run()
    later = practice.approved(alice, "1")
    practice.run()
    assert practice.state_of(later) == "approved"
    assert alarms() == []
    practice.world.mine()
    practice.finish()
    assert practice.state_of(later) == "confirmed"


@pytest.mark.promise("W-31")
@pytest.mark.parametrize("limit", ["fee_rate_max", "fee_max"])
def test_an_absurd_fee_is_refused(practice: Cashier, alice: Member, limit: str) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    setattr(practice.rules, limit, D("0.00000001"))
    practice.rules.save()
    practice.run()
    practice.run(minutes=2)
    assert practice.state_of(waiting) == "approved"
    assert not PayoutTransaction.objects.exists()
    assert alarms() == [Trouble.FEE_ABSURD]
    setattr(practice.rules, limit, D("0.01"))
    practice.rules.save()
    practice.run(minutes=2)
    assert practice.state_of(waiting) == "broadcast"


class Crooked(Practice):
    """A node, or who has its wallet, that builds something else."""

    def __init__(self, currency: str, how: str) -> None:
        super().__init__(currency)
        self._how = how

    def build_signed(self, payments: Any, **terms: Any) -> Any:
        good = super().build_signed(payments, **terms)
        thief = self.outside_address()
        outputs = list(good.outputs)
        inputs = list(good.inputs)
        if self._how == "elsewhere":
            outputs[0] = outputs[0]._replace(address=thief)
        elif self._how == "more":
            outputs[0] = outputs[0]._replace(amount=outputs[0].amount + 1)
        elif self._how == "change":
            outputs[-1] = outputs[-1]._replace(address=thief)
        elif self._how == "twice":
            outputs.append(outputs[0])
        elif self._how == "strange":
            inputs.append(Outpoint("ab" * 32, 0))
        raw = _raw(self._currency, inputs, outputs)
        return replace(good, raw=raw, txid=self.decode(raw).txid)


@pytest.mark.promise("W-12", "S-40")
@pytest.mark.parametrize("how", ["elsewhere", "more", "change", "twice", "strange"])
def test_bytes_that_say_something_else_are_never_sent(
    practice: Cashier, alice: Member, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        patch.setattr(payouts, "chain_of", lambda code: Crooked(code, how))
        practice.run()
        practice.run()
    assert practice.state_of(waiting) == "approved"
    assert not PayoutTransaction.objects.exists()
    assert practice.world.mempool() == []
    assert alarms() == ["unsafe"]

    practice.run()
    assert practice.state_of(waiting) == "approved"
    hot.resume(currency="btc", by="operator:1", reason="x", now=practice.now)
    practice.run()
    assert practice.state_of(waiting) == "broadcast"


# --- The node fails -----------------------------------------------------------------


class Failing(Practice):
    """A node that fails at one call."""

    def __init__(self, currency: str, call: str, error: Exception) -> None:
        super().__init__(currency)
        setattr(self, call, self._fail)
        self._error = error

    def _fail(self, *_args: Any, **_terms: Any) -> Any:
        raise self._error


def fail(
    monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> pytest.MonkeyPatch:
    monkeypatch.setattr(payouts, "chain_of", lambda code: Failing(code, call, error))
    return monkeypatch


@pytest.mark.promise("F-31", "F-33", "W-32")
@pytest.mark.parametrize(
    "failure",
    [
        ("sent_since", NodeUnreachable("away"), "approved", []),
        ("build_signed", NodeUnreachable("away"), "building", []),
        ("build_signed", WalletLocked("locked"), "approved", ["locked"]),
        ("build_signed", RpcRefused("500", code=-1), "approved", ["node_refused"]),
        ("broadcast", NodeUnreachable("away"), "signed", []),
        ("broadcast", RpcRefused("500", code=-1), "signed", ["node_refused"]),
    ],
)
def test_a_node_that_fails_delays(
    practice: Cashier,
    alice: Member,
    monkeypatch: pytest.MonkeyPatch,
    failure: tuple[str, Exception, str, list[str]],
) -> None:
    call, error, state, alarm = failure
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        fail(patch, call, error)
        practice.run()
        practice.run()
    assert practice.state_of(waiting) == state
    assert alarms() == alarm
    assert payouts.why_waiting("btc")
    raw = set(PayoutTransaction.objects.values_list("txid", flat=True))

    practice.run(minutes=2)
    practice.finish()
    assert practice.state_of(waiting) == "confirmed"
    assert raw <= set(PayoutTransaction.objects.values_list("txid", flat=True))
    assert PayoutTransaction.objects.count() == 1
    practice.demand_paid_once()


@pytest.mark.promise("W-32")
def test_an_unwell_node_begins_nothing(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        patch.setattr(Practice, "complaints", lambda _self, *, now: ["behind"])
        practice.run()
    assert practice.state_of(waiting) == "approved"
    practice.run()
    assert practice.state_of(waiting) == "broadcast"


@pytest.mark.promise("F-31", "W-32")
@pytest.mark.parametrize("change", ["frozen", "switched_off", "unwell"])
def test_what_stops_payouts_stops_one_that_was_begun_and_not_signed(
    practice: Cashier, alice: Member, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        fail(patch, "build_signed", NodeUnreachable("away"))
        practice.run()
    assert practice.state_of(waiting) == "building"

    if change == "frozen":
        members.freeze(member=alice, by="member:1", reason="a thief")
    elif change == "switched_off":
        practice.rules.pays_withdrawals = False
        practice.rules.save()
    else:
        complaint = ["the second node has another block"]
        monkeypatch.setattr(Practice, "complaints", lambda _self, *, now: complaint)
    practice.run()
    assert practice.state_of(waiting) == "approved"
    assert not PayoutTransaction.objects.exists()


class Deaf(Practice):
    """A node that does what it is asked, and does not say so."""

    def broadcast(self, raw: str) -> None:
        super().broadcast(raw)
        raise NodeUnreachable("no answer in time")


@pytest.mark.promise("W-21", "F-32", "F-33")
def test_a_time_out_behind_which_the_node_succeeded_pays_once(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3", "3")
    waiting = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        patch.setattr(payouts, "chain_of", Deaf)
        practice.run()
    assert practice.state_of(waiting) == "signed"
    practice.finish()
    assert practice.state_of(waiting) == "confirmed"
    assert PayoutTransaction.objects.count() == 1
    practice.demand_paid_once()


# --- The network does something else ------------------------------------------------


@pytest.mark.promise("W-22", "F-34")
def test_a_payment_that_was_forgotten_is_sent_again(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.evict(sent.txid)
    assert practice.world.mempool() == []
    practice.run()
    assert practice.world.mempool() == [sent.txid]
    practice.finish()
    practice.demand_paid_once()


@pytest.mark.promise("F-35")
def test_a_payment_survives_a_reorganisation(cashier: Cashier, alice: Member) -> None:
    cashier.deposit(alice, "3")
    ConfirmationTier.objects.create(rules=cashier.rules, amount_from=0, confirmations=2)
    waiting = cashier.approved(alice, "1")
    cashier.run()
    cashier.world.mine()
    cashier.run()
    assert Withdrawal.objects.get(pk=waiting.pk).confirmations == 1
    cashier.world.reorganise(1)
    cashier.run()
    assert Withdrawal.objects.get(pk=waiting.pk).confirmations == 0
    cashier.world.mine(2)
    cashier.run()
    assert cashier.state_of(waiting) == "confirmed"
    cashier.demand_paid_once()


@pytest.mark.promise("F-35", "I-11")
@pytest.mark.parametrize("depth", [1, 3, 7])
def test_what_was_confirmed_comes_back_after_a_deep_reorganisation(
    practice: Cashier, alice: Member, depth: int
) -> None:
    practice.deposit(alice, "3")
    practice.world.mine(10)
    waiting = practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.mine(depth)
    practice.run()
    assert practice.state_of(waiting) == "confirmed"
    practice.world.reorganise(depth)
    practice.world.evict(sent.txid)
    practice.world.mine(depth + 1)
    assert practice.paid(waiting.destination) == []
    practice.run()
    practice.world.mine()
    practice.run()
    assert alarms() == []
    practice.demand_paid_once()


@pytest.mark.promise("F-35")
def test_what_waited_long_for_its_block_is_watched_as_long_as_others(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    practice.run()
    practice.run(hours=7)
    practice.world.mine()
    practice.run()
    assert practice.state_of(waiting) == "confirmed"
    practice.world.reorganise(1)
    for txid in practice.world.mempool():
        practice.world.evict(txid)
    practice.run(minutes=10)
    practice.world.mine(2)
    assert practice.paid(waiting.destination) == [1]
    practice.demand_paid_once()


@pytest.mark.promise("F-35")
@pytest.mark.broken_books
def test_what_cannot_come_back_wakes_somebody(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.mine()
    practice.run()
    practice.world.reorganise(1)
    practice.world.replace(sent.txid)
    practice.world.mine(2)
    practice.run()
    practice.run()
    assert practice.payout().problem.startswith("conflict")
    assert len(alarms()) == 2
    assert practice.balance(House.IN_TRANSIT) == 0


@pytest.mark.promise("F-35")
@pytest.mark.parametrize("depth", [1, 4])
def test_what_comes_back_after_all_is_in_trouble_no_more(
    practice: Cashier, alice: Member, depth: int
) -> None:
    ConfirmationTier.objects.create(
        rules=practice.rules, amount_from=0, confirmations=depth
    )
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.mine()
    practice.run()
    practice.world.reorganise(1)
    rival = practice.world.replace(sent.txid)
    practice.world.mine()
    practice.run()
    assert practice.payout().problem.startswith("conflict")

    practice.world.reorganise(1)
    practice.world.evict(rival)
    practice.run()
    practice.world.mine()
    practice.run()
    assert practice.paid(waiting.destination) == [1]
    assert practice.payout().problem == ""


def malleate(raw: str) -> str:
    """Return the same payment under another id, as anybody on the way can."""
    return (bytes.fromhex(raw) + b" ").hex()


@pytest.mark.promise("W-1")
@pytest.mark.parametrize("is_told", [True, False])
def test_a_payment_confirmed_under_another_id_is_ours(
    practice: Cashier, alice: Member, is_told: bool
) -> None:
    practice.deposit(alice, "3", "3")
    waiting = practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.evict(sent.txid)
    twin = malleate(sent.raw)
    practice.world.broadcast(twin)
    practice.world.mine()
    if not is_told:
        HotWallet.objects.update(sent_until=practice.chain.tip().hash)
    practice.finish()
    found = Withdrawal.objects.get(pk=waiting.pk)
    assert (found.state, found.txid) == ("confirmed", practice.chain.decode(twin).txid)
    assert practice.balance(House.NETWORK_FEES) == -sent.fee
    assert alarms() == []
    practice.demand_paid_once()


@pytest.mark.promise("F-34")
@pytest.mark.broken_books
def test_coins_that_went_elsewhere_are_for_a_person(
    practice: Cashier, alice: Member
) -> None:
    practice.deposit(alice, "3", "3")
    waiting = practice.approved(alice, "1")
    practice.run()
    sent = practice.payout().transactions.get()
    practice.world.replace(sent.txid)
    practice.world.mine()
    practice.finish()
    practice.run(days=1)
    assert practice.state_of(waiting) == "broadcast"
    assert practice.payout().problem.startswith("conflict: ")
    assert len(alarms()) == 2  # sent without us, and the payout
    assert practice.paid(waiting.destination) == []
    assert practice.balance(House.IN_TRANSIT) == 1


@pytest.mark.promise("W-23")
def test_a_stuck_payment_is_replaced_and_booked_once(
    cashier: Cashier, alice: Member
) -> None:
    cashier.deposit(alice, "3", "1")
    waiting = cashier.approved(alice, "1")
    cashier.run()
    payout = cashier.payout()
    cashier.run(hours=1)
    assert payout.transactions.count() == 1
    cashier.run(hours=2)
    old, new = payout.transactions.order_by("pk")
    assert new.fee > old.fee
    assert cashier.world.mempool() == [new.txid]
    cashier.finish()
    assert cashier.state_of(waiting) == "confirmed"
    assert Withdrawal.objects.get(pk=waiting.pk).txid == new.txid
    assert cashier.balance(House.NETWORK_FEES) == -new.fee
    cashier.demand_paid_once()


@pytest.mark.promise("W-23")
def test_the_first_may_be_confirmed_after_all(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3", "1")
    waiting = practice.approved(alice, "1")
    practice.run()
    practice.run(hours=3)
    old, new = practice.payout().transactions.order_by("pk")
    practice.world.evict(new.txid)
    practice.world.broadcast(old.raw)
    practice.world.mine()
    practice.finish()
    assert Withdrawal.objects.get(pk=waiting.pk).txid == old.txid
    assert practice.balance(House.NETWORK_FEES) == -old.fee
    practice.demand_paid_once()


def test_an_operator_raises_a_fee(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.run()
    payout = practice.payout()
    for _ in range(2):
        payouts.raise_fee(payout=payout, by="operator:1", reason="a hurry")
    practice.run()
    practice.run()
    assert payout.transactions.count() == 2
    practice.finish()
    with pytest.raises(payouts.NotAwaited):
        payouts.raise_fee(payout=payout, by="operator:1", reason="a hurry")


@pytest.mark.promise("F-33", "W-23")
@pytest.mark.parametrize(
    "error", [WalletLocked("locked"), RpcRefused("Fee exceeds maximum", code=-4)]
)
def test_a_fee_that_cannot_be_raised_keeps_nobody_else_waiting(
    practice: Cashier,
    alice: Member,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    practice.deposit(alice, "3", "3")
    stuck = practice.approved(alice, "1")
    practice.run()
    first = practice.payout()
    other = practice.approved(alice, "1")
    practice.run()
    practice.world.evict(first.transactions.get().txid)
    practice.world.mine()
    with monkeypatch.context() as patch:
        fail(patch, "build_signed", error)
        practice.run(hours=3)
    assert practice.state_of(other) == "confirmed"
    assert practice.state_of(stuck) == "broadcast"
    assert alarms() == [f"fee not raised: {error}"]


def test_a_node_that_replaces_nothing_is_noted(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    practice.run()
    refused = BroadcastRefused("txn-mempool-conflict", code=-26)
    with monkeypatch.context() as patch:
        fail(patch, "broadcast", refused)
        practice.run(hours=3)
        practice.run()
    payout = practice.payout()
    assert payout.problem.startswith("not replaced")
    assert payout.transactions.count() == 2
    assert len(alarms()) == 1
    practice.world.mine()
    practice.run()
    assert practice.state_of(waiting) == "confirmed"
    assert practice.payout().problem == ""


# --- Never a coin twice -------------------------------------------------------------


@pytest.mark.promise("W-24")
def test_no_coin_is_in_two_payouts(practice: Cashier, alice: Member) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.run()
    coin = SpentCoin.objects.get()
    with pytest.raises(IntegrityError):
        SpentCoin.objects.create(
            payout=Payout.objects.create(currency_id="btc", created_at=practice.now),
            currency_id="btc",
            txid=coin.txid,
            vout=coin.vout,
            amount=coin.amount,
        )


@pytest.mark.promise("W-24")
def test_a_node_that_forgot_what_it_spent_does_not_spend_it_again(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    later = practice.approved(alice, "1", to=Withdrawal.objects.get().destination)
    old: list[Coin] = practice.chain.coins()
    practice.run()
    monkeypatch.setattr(Practice, "coins", lambda _self: old)
    practice.run()
    practice.run()
    assert practice.state_of(later) == "approved"
    assert SpentCoin.objects.count() == 1


# --- A database from yesterday ------------------------------------------------------


@pytest.mark.promise("F-41")
def test_a_restored_system_does_not_pay_again(cashier: Cashier, alice: Member) -> None:
    cashier.deposit(alice, "3", "3")
    paid, unpaid = cashier.approved(alice, "1"), cashier.approved(alice, "0.7")
    # Our rows are of before this payment.
    signed = cashier.chain.build_signed(
        [Payment(paid.destination, paid.net)], fee_rate=D("0.001")
    )
    cashier.chain.broadcast(signed.raw)
    cashier.world.mine()

    cashier.run()
    cashier.run()
    assert cashier.state_of(paid) == "review"
    assert cashier.state_of(unpaid) == "approved"
    assert not Payout.objects.exists()
    assert alarms() == ["sent_without_us"]
    assert ForeignSend.objects.get().txid == signed.txid
    assert payouts.why_waiting(cashier.currency)

    hot.resume(
        currency=cashier.currency, by="operator:1", reason="seen", now=cashier.now
    )
    cashier.finish()
    assert cashier.state_of(unpaid) == "confirmed"
    assert Withdrawal.objects.get(pk=paid.pk).doubts == ["looks_paid"]
    assert cashier.paid(paid.destination) == [paid.net]
    with pytest.raises(hot.NotPaused):
        hot.resume(
            currency=cashier.currency, by="operator:1", reason="x", now=cashier.now
        )


@pytest.mark.promise("F-41")
def test_a_restored_payout_is_not_built_again(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3", "3")
    paid = practice.approved(alice, "1")
    with monkeypatch.context() as patch:
        patch.setattr(payouts, "_advance", lambda *_a, **_k: None)
        practice.run()
    assert practice.state_of(paid) == "building"
    signed = practice.chain.build_signed(
        [Payment(paid.destination, paid.net)], fee_rate=D("0.001")
    )
    practice.chain.broadcast(signed.raw)
    practice.finish()
    assert practice.state_of(paid) == "review"
    assert practice.paid(paid.destination) == [1]


# --- Two workers --------------------------------------------------------------------


class Slow(Practice):
    """A node during whose answer something else happens, once."""

    def __init__(self, currency: str, deed: Any) -> None:
        super().__init__(currency)
        self._deed_meanwhile = deed

    def build_signed(self, payments: Any, **terms: Any) -> Any:
        signed = super().build_signed(payments, **terms)
        deed, self._deed_meanwhile = self._deed_meanwhile, None
        if deed:
            deed()
        return signed


@pytest.mark.promise("F-37")
def test_who_lost_the_fence_writes_nothing(
    practice: Cashier, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    waiting = practice.approved(alice, "1")
    other = Practice("btc")

    def another_worker() -> None:
        monkeypatch.setattr(payouts, "chain_of", lambda _code: other)
        payouts.run("btc", now=practice.now)

    slow = Slow("btc", another_worker)
    monkeypatch.setattr(payouts, "chain_of", lambda _code: slow)
    practice.run()
    assert PayoutTransaction.objects.count() == 1
    assert practice.state_of(waiting) == "broadcast"
    assert practice.payout().fence == 2
    practice.finish()
    practice.demand_paid_once()


# --- The audit ----------------------------------------------------------------------


@pytest.mark.broken_books
@pytest.mark.promise("I-11", "I-18", "I-4")
@pytest.mark.parametrize(
    ("sql", "check"),
    [
        (
            "UPDATE wallets_withdrawal SET state = 'signed'",
            "withdrawals_unlike_payouts",
        ),
        (
            "UPDATE wallets_withdrawal SET state = 'broadcast'",
            "withdrawals_unlike_entries",
        ),
        ("UPDATE wallets_withdrawal SET state = 'approved', payout_id = NULL", "locks"),
        ("UPDATE wallets_payout SET fee = fee * 2", "payouts_unlike_entries"),
        ("UPDATE wallets_withdrawal SET net = net - 1, amount = amount - 1", "payouts"),
    ],
)
def test_the_audit_finds_what_does_not_agree(
    practice: Cashier, sql: str, check: str
) -> None:
    from exchange import invariants

    practice.deposit(make_member("carol"), "3")
    crowd(practice, 2, "2")
    practice.finish()
    assert invariants.check_all() == []
    rows.write(sql)
    assert any(check in each.check for each in invariants.check_all())


def test_patience_is_longer_than_a_block() -> None:
    assert timedelta(minutes=30) < payouts.PATIENCE
