"""One balance, one limit, two members: many transfers at the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from threading import Barrier

import pytest
from django.utils import timezone

from accounts import members
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from exchange.lib.errors import ExchangeError
from tests.makers import fund
from tests.races.crowd import at_once, count
from tests.races.test_withdrawals import beneficiary, limit
from tests.races.test_withdrawals import place as withdraw
from tests.wallets.places import COIN
from tests.wallets.test_transfers import key_of
from tests.wallets.test_withdrawals import make_proof
from wallets import queries, transfers, valuation, withdrawals
from wallets.ledger import InsufficientFunds
from wallets.models.transfers import Transfer
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import LimitReached, ProofUsed, Source

__all__ = ["beneficiary"]  # a fixture

pytestmark = [pytest.mark.races, pytest.mark.broken_books]

THREADS = 50
D = Decimal


@pytest.fixture(autouse=True)
def _worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: D(1)])


@pytest.fixture
def key(alice: Member) -> ApiToken:
    """Alice's, who has ten coins."""
    fund(alice, f"10 {COIN}")
    return key_of(alice)


def pay(token: ApiToken, to: Member, amount: str, client_id: str = "") -> Transfer:
    return transfers.place(
        sender=token.member,
        recipient=to.sn,
        currency=COIN,
        amount=D(amount),
        source=Source(token=token),
        client_id=client_id or None,
        now=timezone.now(),
    )


def has(member: Member) -> Decimal:
    return queries.balance(member.pk, COIN).available


@pytest.mark.promise("R-36", "R-50")
def test_what_is_only_looked_at_is_passed(key: ApiToken) -> None:
    """The control: if these do not pass, the tests below prove nothing."""
    limit("3")
    everybody_has_read = Barrier(4, timeout=30)

    def look() -> tuple[bool, bool]:
        left = withdrawals.left_of(key.member, now=timezone.now())
        is_there = has(key.member) >= 10
        everybody_has_read.wait()
        return left.day >= 1, is_there

    assert at_once(*[look] * 4).count((True, True)) == 4  # of three, and of one


@pytest.mark.promise("R-36", "S-36")
def test_a_limit_holds_when_fifty_race_for_it(key: ApiToken, bob: Member) -> None:
    limit("3")
    results = at_once(*[partial(pay, key, bob, "1")] * THREADS)
    assert count(results, Transfer) == 3
    assert count(results, LimitReached) == THREADS - 3
    assert [has(key.member), has(bob)] == [7, 3]


@pytest.mark.promise("R-50", "S-72")
def test_a_balance_is_paid_once_by_fifty(key: ApiToken, bob: Member) -> None:
    limit("1000")
    results = at_once(*[partial(pay, key, bob, "3")] * THREADS)
    assert count(results, Transfer) == 3
    assert count(results, InsufficientFunds) == THREADS - 3
    assert [has(key.member), has(bob)] == [1, 9]


@pytest.mark.promise("R-2", "I-15")
def test_one_id_pays_once_for_fifty(key: ApiToken, bob: Member) -> None:
    limit("1000")
    results = at_once(*[partial(pay, key, bob, "1", "a")] * THREADS)
    assert count(results, Transfer) == THREADS
    assert Transfer.objects.count() == 1
    assert has(bob) == 1


@pytest.mark.promise("R-36", "S-36")
def test_transfers_and_withdrawals_race_for_one_limit(
    beneficiary: Beneficiary, bob: Member
) -> None:
    limit("3")
    key = key_of(beneficiary.member)
    deeds: list[Callable[[], Transfer | Withdrawal]] = [
        partial(pay, key, bob, "1"),
        partial(withdraw, beneficiary, "1"),
    ]
    kinds = Counter(map(type, at_once(*deeds * (THREADS // 2))))
    transferred, withdrawn = kinds[Transfer], kinds[Withdrawal]
    assert transferred + withdrawn == 3
    assert kinds[LimitReached] == THREADS - 3
    assert has(bob) == transferred
    assert queries.balance(beneficiary.member_id, COIN).locked == withdrawn


@pytest.mark.promise("S-30", "S-72")
def test_one_code_is_raced_for_by_both(beneficiary: Beneficiary, bob: Member) -> None:
    limit("1000")
    source = Source(proof=make_proof(beneficiary.member))
    now = timezone.now()

    def transfer() -> Transfer:
        return transfers.place(
            sender=beneficiary.member,
            recipient=bob.sn,
            currency=COIN,
            amount=D(1),
            source=source,
            now=now,
        )

    def pay_out() -> Withdrawal:
        return withdrawals.place(
            member=beneficiary.member,
            beneficiary=beneficiary,
            amount=D(1),
            source=source,
            now=now,
        )

    deeds: list[Callable[[], Transfer | Withdrawal]] = [transfer, pay_out]
    kinds = Counter(map(type, at_once(*deeds * 10)))
    assert kinds[Transfer] + kinds[Withdrawal] == 1
    assert kinds[ProofUsed] == 19


@pytest.mark.promise("R-36", "S-72")
def test_two_who_pay_each_other_end(key: ApiToken, bob: Member) -> None:
    limit("1000")
    fund(bob, f"10 {COIN}")
    back = key_of(bob)
    deeds = [partial(pay, key, bob, "1"), partial(pay, back, key.member, "1")]
    results = at_once(*deeds * (THREADS // 2))
    assert count(results, Transfer) + count(results, ExchangeError) == THREADS
    assert count(results, InsufficientFunds) == count(results, ExchangeError)
    assert has(key.member) + has(bob) == 20


def test_nobody_is_paid_who_is_just_being_closed(key: ApiToken, bob: Member) -> None:
    """Whichever comes first: who is closed was not paid afterwards."""
    limit("1000")

    def close() -> str:
        members.close(member=bob, by="test", reason="test", now=timezone.now())
        return "closed"

    deeds: list[Callable[[], Transfer | str]] = [partial(pay, key, bob, "0.1")] * 20
    kinds = Counter(map(type, at_once(*deeds, close)))
    assert kinds[str] == 1
    assert kinds[Transfer] + kinds[transfers.UnknownRecipient] == 20
    with pytest.raises(transfers.UnknownRecipient):
        pay(key, bob, "0.1")
