"""What operators find on the chain: paid without us, or gone elsewhere for good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial
from threading import Barrier, get_ident
from typing import Any

import pytest

from accounts.models.members import Member
from accounts.roles import Role
from exchange import invariants
from exchange.lib import states
from exchange.lib.models import AuditRecord
from tests import rows
from tests.makers import make_member
from tests.races.crowd import at_once
from tests.wallets.cashier import Cashier, node_cashier, practice_cashier
from tests.wallets.test_payout_desk import act, hired
from wallets import findings, hot, ledger, payouts, queries, withdrawals
from wallets.chains.base import NodeUnreachable, Payment
from wallets.chains.practice import Practice
from wallets.ledger import House, Move
from wallets.models.coins import ConfirmationTier
from wallets.models.hot import ForeignSend
from wallets.models.withdrawals import Finding, Payout, Withdrawal

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


@pytest.fixture
def practice(db: None) -> Cashier:
    return practice_cashier()


@pytest.fixture
def carol(db: None) -> Member:
    return make_member("carol", is_operator=True)


def deep(cashier: Cashier, depth: int) -> None:
    ConfirmationTier.objects.create(
        rules=cashier.rules, amount_from=0, confirmations=depth
    )


def fresh(row: Withdrawal) -> Withdrawal:
    return Withdrawal.objects.get(pk=row.pk)


# --- Paid without us ------------------------------------------------------------------


def paid_without_us(cashier: Cashier, *paid: Withdrawal) -> str:
    """Restore a system of before a payment that it has made; return the txid."""
    owed = [Payment(row.destination, row.net) for row in paid]
    signed = cashier.chain.build_signed(owed, fee_rate=D("0.001"))
    cashier.chain.broadcast(signed.raw)
    cashier.world.mine()
    cashier.run()
    return str(signed.txid)


def say_paid(
    cashier: Cashier, row: Withdrawal, txid: str, operator: Member
) -> Withdrawal:
    return findings.say_paid(
        withdrawal=row, txid=txid, operator=operator, note="seen", now=cashier.now
    )


@pytest.mark.promise("F-41", "I-11", "S-80")
def test_two_operators_book_what_the_chain_has_once(
    cashier: Cashier, alice: Member, olive: Member, carol: Member
) -> None:
    deep(cashier, 2)
    cashier.deposit(alice, "3", "3")
    row, twin = cashier.approved(alice, "1"), cashier.approved(alice, "0.5", fee="0")
    txid = paid_without_us(cashier, row, twin)
    assert fresh(row).looks_paid

    with pytest.raises(findings.NotPaid):  # one block is not two
        say_paid(cashier, row, txid, olive)
    cashier.world.mine()
    for _ in range(2):
        assert say_paid(cashier, row, txid, olive).state == "review"
    done = say_paid(cashier, row, txid, carol)
    assert (done.state, done.txid, done.payout) == ("confirmed", txid, None)
    with pytest.raises(findings.NotInDoubt):
        say_paid(cashier, row, txid, carol)
    say_paid(cashier, twin, txid, carol)
    say_paid(cashier, twin, txid, olive)

    assert cashier.states() == {"confirmed": 2}
    assert cashier.balance(House.IN_TRANSIT) == 0
    assert cashier.balance(House.FEES) == D("0.001")
    fee = ForeignSend.objects.get().fee
    assert fee is not None
    assert cashier.balance(House.NETWORK_FEES) == -fee
    held = sum((coin.amount for coin in cashier.chain.coins()), D(0))
    assert held == -cashier.balance(House.HOT)
    assert queries.balance(alice.pk, cashier.currency).locked == 0
    assert AuditRecord.objects.filter(action="said_paid").count() == 4


def test_only_the_very_payment_counts(
    practice: Cashier, alice: Member, olive: Member, carol: Member
) -> None:
    deep(practice, 1)
    practice.deposit(alice, "3", "3", "3")
    to = practice.world.outside_address()
    first, ours = practice.approved(alice, "1", to=to), practice.approved(alice, "0.4")
    practice.run()  # pays the first, and ours, by a payout
    practice.world.mine()
    practice.run()
    payout_txid = practice.payout().transactions.get().txid
    second = practice.approved(alice, "1", to=to)
    txid = paid_without_us(practice, second)
    assert fresh(second).looks_paid

    for wrong in ("ab" * 32, payout_txid):
        with pytest.raises(findings.NotPaid):
            say_paid(practice, second, wrong, olive)
    Withdrawal.objects.filter(pk=second.pk).update(net=D("0.9"), fee=D("0.101"))
    with pytest.raises(findings.NotPaid):
        say_paid(practice, fresh(second), txid, olive)
    Withdrawal.objects.filter(pk=second.pk).update(net=1, fee=D("0.001"))
    say_paid(practice, second, txid, olive)
    say_paid(practice, second, txid, carol)

    # It has paid one, and pays no other.
    third = practice.approved(alice, "1", to=to)
    Withdrawal.objects.filter(pk=third.pk).update(state="review", doubts=["looks_paid"])
    say_paid(practice, third, txid, olive)
    with pytest.raises(findings.PaymentClaimed):
        say_paid(practice, third, txid, carol)
    assert fresh(third).state == "review"
    assert fresh(first).state == fresh(ours).state == "confirmed"


@pytest.mark.races
@pytest.mark.broken_books
@pytest.mark.promise("S-72")
def test_it_is_booked_twice_without_lock_and_cause(
    practice: Cashier,
    alice: Member,
    bob: Member,
    carol: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: if this books once, the test below proves nothing."""
    deep(practice, 1)
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    txid = paid_without_us(practice, row)
    practice.approved(alice, "1")  # whose lock is spent, too
    say_paid(practice, row, txid, make_member("oscar", is_operator=True))
    both_have_read, readers = Barrier(2, timeout=30), list[int]()

    def read_together(row: Any) -> Any:
        found = type(row).objects.get(pk=row.pk)
        if get_ident() not in readers:
            readers.append(get_ident())
            both_have_read.wait()
        return found

    def post_each(postings: dict[str, list[Move]], *, at: datetime) -> None:
        ledger.post([move for moves in postings.values() for move in moves], at=at)

    monkeypatch.setattr(states, "lock_row", read_together)
    monkeypatch.setattr(ledger, "post_each", post_each)
    monkeypatch.setattr(findings, "_book_miners", lambda *_of: None)
    at_once(*(partial(say_paid, practice, row, txid, each) for each in (bob, carol)))
    assert queries.balance(alice.pk, "btc").locked == 0


@pytest.mark.races
@pytest.mark.promise("S-80", "S-72")
def test_two_words_at_once_book_it_once(
    practice: Cashier, alice: Member, olive: Member, carol: Member
) -> None:
    deep(practice, 1)
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    txid = paid_without_us(practice, row)
    others = [make_member(f"operator{n}", is_operator=True) for n in range(4)]
    words = [partial(say_paid, practice, row, txid, each) for each in (olive, *others)]
    at_once(*words)
    assert fresh(row).state == "confirmed"
    assert practice.balance(House.IN_TRANSIT) == 0
    assert queries.balance(alice.pk, "btc").locked == 0


@pytest.mark.promise("S-80", "F-41")
def test_what_looks_paid_is_given_back_only_by_two(
    practice: Cashier, alice: Member, olive: Member, carol: Member
) -> None:
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    paid_without_us(practice, row)
    now = practice.now

    def refuse(operator: Member) -> Withdrawal:
        return withdrawals.refuse(withdrawal=row, operator=operator, note="x", now=now)

    def deny(operator: Member) -> None:
        findings.say_unpaid(withdrawal=row, operator=operator, note="x", now=now)

    with pytest.raises(withdrawals.LooksPaid):
        withdrawals.cancel(withdrawal=row, by=f"member:{alice.pk}", now=now)
    with pytest.raises(withdrawals.LooksPaid):
        refuse(olive)
    with pytest.raises(findings.OwnMoney):
        deny(alice)
    deny(olive)
    with pytest.raises(withdrawals.LooksPaid):  # nobody agrees with themselves
        refuse(olive)
    with pytest.raises(withdrawals.LooksPaid):
        withdrawals.approve(withdrawal=row, operator=olive, note="x", now=now)

    # It looks paid once more: what was said before says nothing of that.
    Withdrawal.objects.filter(pk=row.pk).update(doubts=["looks_paid", "looks_paid"])
    with pytest.raises(withdrawals.LooksPaid):
        refuse(carol)
    deny(olive)
    assert refuse(carol).state == "refused"
    assert queries.balance(alice.pk, "btc").locked == 0


@pytest.mark.promise("F-41")
def test_what_waits_for_a_reviewer_is_doubted_too(
    practice: Cashier, alice: Member
) -> None:
    """It may have been approved, and paid, since the rows at hand were written."""
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    Withdrawal.objects.filter(pk=row.pk).update(state="review", doubts=["large"])
    paid_without_us(practice, row)
    practice.run()
    assert fresh(row).doubts == ["large", "looks_paid"]


def test_operators_book_it_at_their_desk(
    practice: Cashier, alice: Member, olive: Member, carol: Member, bob: Member
) -> None:
    deep(practice, 1)
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    txid = paid_without_us(practice, row)
    risk, finance = hired(olive, Role.RISK), hired(carol, Role.FINANCE)
    support = hired(bob, Role.SUPPORT)

    def say(browser: Any, txid: str) -> int:
        form = {"action": "say_paid", "_selected_action": [row.pk], "reason": "seen"}
        path = "/admin/wallets/withdrawal/"
        return int(browser.post(path, form | {"txid": txid}).status_code)

    assert say(support, txid) == 403
    assert say(risk, "nonsense") == 200
    assert say(risk, txid) == 302
    shown = finance.get(f"/admin/wallets/withdrawal/{row.pk}/change/").content.decode()
    for action in ("say_paid", "say_unpaid", "refuse"):
        assert f'value="{action}"' in shown
    assert act(finance, Withdrawal, "refuse", row, "no") == 302
    assert fresh(row).state == "review"
    assert say(finance, txid) == 302
    assert fresh(row).state == "confirmed"
    assert Finding.objects.filter(txid=txid).count() == 2


# --- Gone elsewhere -------------------------------------------------------------------


def give_back(cashier: Cashier, payout: Payout, operator: Member) -> Payout:
    return findings.give_back(
        payout=payout, operator=operator, note="stolen", now=cashier.now
    )


def gone_elsewhere(cashier: Cashier, monkeypatch: pytest.MonkeyPatch) -> Payout:
    """Have a payout signed, and its coins taken by whoever has the keys, too."""

    def away(_raw: str) -> None:
        raise NodeUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(cashier.chain), "broadcast", lambda _self, raw: away(raw))
        cashier.run()
    payout = cashier.payout()
    assert payout.state == "signed"
    thief = Payment(cashier.world.outside_address(), D("0.2"))
    coins = [*payouts.coins_of(payout)]
    stolen = cashier.chain.build_signed([thief], fee_rate=D("0.001"), spend=coins)
    cashier.chain.broadcast(stolen.raw)
    cashier.world.mine()
    cashier.run(minutes=2)
    return cashier.payout()


@pytest.mark.promise("F-34", "I-11", "S-80")
def test_what_went_elsewhere_for_good_is_given_back_by_two(
    cashier: Cashier,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deep(cashier, 3)
    cashier.deposit(alice, "3", "3")
    row = cashier.approved(alice, "1")
    free = cashier.approved(alice, "0.5", fee="0")
    payout = gone_elsewhere(cashier, monkeypatch)
    assert payout.problem.startswith("conflict: ")

    with pytest.raises(findings.NotLost):  # one block is not three
        give_back(cashier, payout, olive)
    cashier.world.mine(2)
    with pytest.raises(findings.OwnMoney):
        give_back(cashier, payout, alice)
    for _ in range(2):
        assert give_back(cashier, payout, olive).state == "signed"
    assert cashier.balance(House.IN_TRANSIT) == D("1.5")
    assert give_back(cashier, payout, bob).state == "lost"
    with pytest.raises(payouts.NotAwaited):
        give_back(cashier, cashier.payout(), bob)

    found = fresh(row)
    assert (found.state, found.doubts, found.payout, found.txid) == (
        *("review", ["given_back"], None, ""),
    )
    assert cashier.balance(House.IN_TRANSIT) == cashier.balance(House.FEES) == 0
    assert queries.balance(alice.pk, cashier.currency).locked == D("1.501")
    assert invariants.check_all() == []

    # It is paid again, once two have approved it; or the money goes back.
    now = cashier.now
    withdrawals.cancel(withdrawal=free, by=f"member:{alice.pk}", now=now)
    for operator in (olive, bob):
        withdrawals.approve(withdrawal=found, operator=operator, note="", now=now)
    hot.resume(currency=cashier.currency, by="operator:1", reason="x", now=now)
    cashier.finish()
    assert fresh(row).state == "confirmed"
    assert cashier.paid(row.destination) == [row.net]
    assert cashier.paid(free.destination) == []
    assert cashier.balance(House.IN_TRANSIT) == 0
    assert cashier.balance(House.FEES) == D("0.001")
    assert queries.balance(alice.pk, cashier.currency).locked == 0


def test_what_may_still_be_confirmed_is_not_given_back(
    practice: Cashier, alice: Member, olive: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    practice.run()
    payout = practice.payout()
    with pytest.raises(findings.NotLost):
        give_back(practice, payout, olive)
    monkeypatch.setattr(Practice, "fate", _away)
    with pytest.raises(findings.NoAnswer):
        give_back(practice, payout, olive)
    monkeypatch.undo()
    practice.finish()
    with pytest.raises(payouts.NotAwaited):
        give_back(practice, practice.payout(), olive)


def _away(*_args: Any) -> Any:
    raise NodeUnreachable("away")


def test_a_payment_that_the_other_does_not_touch_may_still_come(
    practice: Cashier, alice: Member, olive: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A higher fee has added a coin, and it is this coin only that went elsewhere."""
    practice.deposit(alice, "1.0002", "3")
    practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    practice.world.mine(6)
    strangers = [practice.chain.decode(row.raw) for row in payout.transactions.all()]
    real = Practice.decode
    mine = {each.txid: each for each in strangers}

    def decode(self: Practice, raw: str) -> Any:
        told = real(self, raw)
        return told if told.txid not in mine else _elsewhere(told)

    monkeypatch.setattr(Practice, "decode", decode)
    with pytest.raises(findings.NotLost):
        give_back(practice, payout, olive)
    assert not Finding.objects.exists()


def _elsewhere(told: Any) -> Any:
    from dataclasses import replace

    from wallets.chains.base import Outpoint

    return replace(told, inputs=(Outpoint("cd" * 32, 0),))


@pytest.mark.races
@pytest.mark.promise("S-72")
def test_three_words_at_once_give_it_back_once(
    practice: Cashier, alice: Member, bob: Member, olive: Member, monkeypatch: Any
) -> None:
    practice.deposit(alice, "3")
    row = practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    practice.world.mine(6)
    carol = make_member("carol", is_operator=True)
    at_once(*(partial(give_back, practice, payout, each) for each in (bob, olive)))
    if practice.payout().state != "lost":  # both words came first
        give_back(practice, payout, carol)
    with pytest.raises(payouts.NotAwaited):
        give_back(practice, practice.payout(), carol)
    assert fresh(row).returns == 1
    assert practice.balance(House.IN_TRANSIT) == 0


def test_operators_give_it_back_at_their_desk(
    practice: Cashier,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    practice.world.mine(6)
    carol = make_member("carol")
    engineer = hired(carol, Role.ENGINEER)
    desks = [hired(olive, Role.RISK), hired(bob, Role.FINANCE)]
    assert act(engineer, Payout, "give_back", payout, "x") == 403
    path = f"/admin/wallets/payout/{payout.pk}/change/"
    assert 'value="give_back"' in desks[0].get(path).content.decode()
    for desk in desks:
        assert practice.payout().state == "signed"
        assert act(desk, Payout, "give_back", payout, "stolen") == 302
    assert practice.payout().state == "lost"


@pytest.mark.broken_books
def test_the_audit_finds_what_came_back_without_a_trace(
    practice: Cashier,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    practice.deposit(alice, "3")
    practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    practice.world.mine(6)
    give_back(practice, payout, bob)
    give_back(practice, payout, olive)
    assert invariants.check_all() == []
    for sql, check in (
        ("UPDATE wallets_withdrawal SET returns = 2", "withdrawals_unlike_entries"),
        ("UPDATE wallets_withdrawal SET returns = 0", "withdrawals_unlike_entries"),
        ("UPDATE wallets_withdrawal SET payout_id = NULL, state = 'signed'", "payouts"),
    ):
        with rows.planted(sql):
            found = {each.__name__ for _id, each in invariants.CHECKS if each()}
        assert any(check in each for each in found), sql


@pytest.mark.promise("W-5", "S-80")
def test_an_unwell_node_says_nothing_for_good(
    practice: Cashier,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that was led away sees coins spent that are not, and payments made."""
    deep(practice, 1)
    practice.deposit(alice, "3", "3")
    practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    paid = practice.approved(alice, "0.4")
    hot.resume(currency="btc", by="operator:1", reason="x", now=practice.now)
    txid = paid_without_us(practice, paid)

    complaint = ["the second node has another block"]
    with monkeypatch.context() as patch:
        patch.setattr(Practice, "complaints", lambda _self, *, now: complaint)
        for operator in (bob, olive):
            with pytest.raises(findings.NoAnswer):
                give_back(practice, payout, operator)
            with pytest.raises(findings.NoAnswer):
                say_paid(practice, paid, txid, operator)
    for operator in (bob, olive):
        give_back(practice, payout, operator)
        say_paid(practice, paid, txid, operator)
    assert practice.states() == {"confirmed": 1, "review": 1}


@pytest.mark.promise("I-11", "F-35", "S-80")
def test_what_was_given_back_and_comes_after_all_is_not_paid_again(
    practice: Cashier,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reorganisation deeper than any tier takes the other transaction away again."""
    deep(practice, 3)
    practice.world.mine(10)
    practice.deposit(alice, "3", "3")
    row = practice.approved(alice, "1")
    payout = gone_elsewhere(practice, monkeypatch)
    practice.world.mine(2)
    for operator in (bob, olive):
        assert give_back(practice, payout, operator).state in {"signed", "lost"}
    hot.resume(currency="btc", by="operator:1", reason="x", now=practice.now)
    practice.run()
    assert hot.of("btc").paused_at is None  # the lost one is not there

    practice.world.reorganise(3)
    for txid in practice.world.mempool():
        practice.world.evict(txid)
    sent = payout.transactions.get()
    practice.world.broadcast(sent.raw)
    practice.world.mine(4)
    assert practice.paid(row.destination) == [row.net]
    for operator in (bob, olive):
        withdrawals.approve(
            withdrawal=row, operator=operator, note="", now=practice.now
        )
    practice.finish()
    assert practice.paid(row.destination) == [row.net]
    assert fresh(row).looks_paid

    for operator in (bob, olive):
        say_paid(practice, row, sent.txid, operator)
    assert practice.states() == {"confirmed": 1}
    assert practice.balance(House.IN_TRANSIT) == 0
    practice.demand_paid_once()
