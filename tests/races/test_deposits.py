"""Two scanners, one deposit: it is credited once; two callers, one address."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.transactions import transaction
from tests.races.crowd import at_once
from tests.wallets.places import COIN, Place, practice_place, rules
from wallets import addresses, ledger, queries, scanner
from wallets.ledger import AVAILABLE, House, Move, Reason
from wallets.models.deposits import Deposit, DepositAddress
from wallets.models.ledger import Entry

pytestmark = pytest.mark.races

SCANNERS = 4


@pytest.fixture
def place(db: None) -> Place:
    found = practice_place()
    rules(("0", 1))
    return found


@pytest.mark.broken_books
@pytest.mark.promise("I-12")
def test_it_is_credited_often_without_lock_and_posting(
    place: Place, alice: Member
) -> None:
    """The control: if this credits once, the tests below prove nothing."""
    rules(("0", 2))
    place.pay(alice, "1")
    place.mine()
    place.scan()
    everybody_has_read = Barrier(SCANNERS, timeout=30)

    def credit_naively() -> None:
        deposit = Deposit.objects.get()
        everybody_has_read.wait()
        if deposit.state != "seen":
            return
        with transaction():
            mine = ledger.account_of(member_id=alice.pk, currency=COIN)
            ends = (ledger.house(House.HOT, COIN), AVAILABLE, mine, AVAILABLE)
            cause = f"deposit:{deposit.pk}:1"
            move = Move(*ends, deposit.amount, Reason.DEPOSIT.value, cause)
            ledger.post([move], at=timezone.now())

    at_once(*[credit_naively] * SCANNERS)

    assert queries.balance(alice.pk, COIN).available == SCANNERS


@pytest.mark.promise("I-12", "W-27")
@pytest.mark.parametrize("meeting", [False, True])
def test_many_scanners_credit_once(
    place: Place,
    alice: Member,
    bob: Member,
    monkeypatch: pytest.MonkeyPatch,
    meeting: bool,
) -> None:
    """By turns; and, where no turn were taken, by the rows alone."""
    if meeting:
        monkeypatch.setattr(scanner, "_lock_turn", lambda scan: None)
    for round_ in range(4):
        for member in (bob, alice):
            place.pay(member, f"1.{round_}")
        place.mine()
        at_once(*[place.scan] * SCANNERS)
    place.scan()

    for member in (alice, bob):
        assert queries.balance(member.pk, COIN).available == Decimal("4.6")
    assert {(row.state, row.credits) for row in place.deposits()} == {("credited", 1)}
    assert Entry.objects.count() == 8


def test_two_callers_get_one_address(
    place: Place, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_has_asked = Barrier(SCANNERS, timeout=30)
    make: Callable[[Any], str] = type(place.chain).new_address

    def together(self: Any) -> str:
        everybody_has_asked.wait()
        return make(self)

    monkeypatch.setattr(type(place.chain), "new_address", together)
    ask = partial(
        addresses.address_for, member=alice, currency=COIN, now=timezone.now()
    )
    given = at_once(*[ask] * SCANNERS)

    (only,) = DepositAddress.objects.all()
    assert set(given) == {only}
