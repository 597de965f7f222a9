"""
The whole way of a coin: in from the chain, through a trade, out to the chain again, and
the books against the node at the end. On the practice chain and on a real node.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange import invariants
from tests.accounts.mailbox import token
from tests.makers import fund
from tests.markets.desk import Desk
from tests.wallets.places import COIN, Place, place, rules
from tests.wallets.test_withdrawals import make_proof
from wallets import (
    beneficiaries,
    ledger,
    payouts,
    queries,
    reconcile,
    valuation,
    withdrawals,
)
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Withdrawal
from wallets.withdrawals import Source

__all__ = ["place"]

D = Decimal


def held(member: Member, currency: str = COIN) -> list[Decimal]:
    row = queries.balance(member.pk, currency)
    return [row.available, row.locked]


@pytest.mark.promise("I-11", "I-12", "I-13")
def test_a_coin_comes_in_is_traded_and_leaves(
    place: Place,
    alice: Member,
    bob: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: D(1)])
    IdentityLevel.objects.update(withdrawal_24h=D(100), withdrawal_30d=D(100))
    rules(("0", 2), withdrawal_fee=D("0.01"), automatic_up_to=D(5))
    now = timezone.now()

    # In: alice deposits three coins.
    place.pay(alice, "3")
    place.mine(2)
    place.scan()
    assert held(alice) == [3, 0]

    # Through: bob buys one of them.
    fund(bob, "1000 cny")
    desk = Desk("ltccny")
    desk.sell(alice, "1", at="500")
    desk.buy(bob, "1", at="500")
    desk.run()
    bought = held(bob)[0]
    assert bought == 1 - queries.house_balance(ledger.House.FEES, COIN)
    assert held(alice) == [2, 0]

    # Out: bob withdraws half a coin; somebody looks at his first one.
    destination = place.world.outside_address()
    withdrawal = _ask(bob, destination, "0.5", now)
    assert withdrawal.doubts == ["new_beneficiary"]
    withdrawals.approve(withdrawal=withdrawal, operator=olive, note="ok", now=now)
    _pay(place, now)
    withdrawal.refresh_from_db()
    assert (withdrawal.state, withdrawal.net) == ("confirmed", D("0.49"))
    fate = place.chain.fate(withdrawal.txid)
    paid = [p.amount for p in fate.decoded.outputs if p.address == destination]
    assert paid == [D("0.49")]
    assert held(bob) == [bought - D("0.5"), 0]

    # And the books agree with the node, to the last unit.
    place.scan()
    found = reconcile.reconcile(COIN, now=now)
    assert found is not None
    assert found.unexplained == 0
    assert invariants.check_all() == []


def _ask(member: Member, destination: str, amount: str, now: datetime) -> Withdrawal:
    row = beneficiaries.add(
        member=member,
        currency=Currency.objects.get(pk=COIN),
        label="my phone",
        destination=destination,
        now=now,
    )
    row = beneficiaries.confirm(token(member.email, "confirm"), row.pk)
    return withdrawals.place(
        member=member,
        beneficiary=row,
        amount=D(amount),
        source=Source(proof=make_proof(member)),
        now=timezone.now(),
    )


def _pay(place: Place, now: datetime) -> None:
    for round_ in range(4):
        payouts.run(COIN, now=now + timedelta(minutes=round_))
        place.mine()
