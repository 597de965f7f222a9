"""
A hot wallet with coins, members who own them, and withdrawals that were approved.

Withdrawals are written here as their own part would: the funds locked by the ledger,
the row beside them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.money import plain
from exchange.lib.transactions import transaction
from tests.makers import make_member
from tests.nodes import Node, RegtestWorld
from wallets import ledger, payouts, queries
from wallets.chains import chain_of
from wallets.chains.base import Payment
from wallets.ledger import AVAILABLE, LOCKED, House, Move, Reason
from wallets.models.coins import Rules
from wallets.models.withdrawals import Beneficiary, Payout, Withdrawal

_numbers = itertools.count(1)
START = timezone.now().replace(microsecond=0)


class Cashier:
    """A coin whose withdrawals are to be paid, and the world outside."""

    def __init__(self, currency: str, world: Any) -> None:
        self.currency = currency
        self.world = world
        self.chain: Any = chain_of(currency)
        self.now = START
        Rules.objects.filter(pk=currency).delete()  # with the tiers of the seeds
        self.rules = Rules.objects.create(
            currency_id=currency, withdrawal_min=Decimal("0.0001")
        )

    def deposit(self, member: Member, *amounts: str) -> None:
        """Have coins come in for a member, one output each, and be credited."""
        self.fill(*amounts)
        self.credit(member, sum(map(Decimal, amounts), Decimal(0)))

    def fill(self, *amounts: str) -> None:
        """Have coins come in, one output each."""
        to = [self.chain.new_address() for _ in amounts]
        self.world.pay(
            *(Payment(a, Decimal(n)) for a, n in zip(to, amounts, strict=True))
        )
        self.world.mine()

    def credit(self, member: Member, amount: Decimal) -> None:
        """Book coins that came in as a member's."""
        with transaction():
            account = ledger.account_of(member_id=member.pk, currency=self.currency)
            hot = ledger.house(House.HOT, self.currency)
            ends = (hot, AVAILABLE, account, AVAILABLE)
            cause = f"test:{next(_numbers)}"
            move = Move(*ends, amount, Reason.DEPOSIT.value, cause)
            ledger.post([move], at=self.now)

    def approved(
        self, member: Member, net: str, fee: str = "0.001", to: str | None = None
    ) -> Withdrawal:
        """Have a withdrawal of a member that only waits to be paid."""
        address = self.world.outside_address() if to is None else to
        beneficiary, _ = Beneficiary.objects.get_or_create(
            member=member,
            currency_id=self.currency,
            destination=address,
            defaults={
                "label": "mine",
                "state": Beneficiary.State.CONFIRMED,
                "created_at": self.now,
                "usable_from": self.now,
            },
        )
        amount = Decimal(net) + Decimal(fee)
        with transaction():
            row = Withdrawal.objects.create(
                member=member,
                currency_id=self.currency,
                beneficiary=beneficiary,
                destination=address,
                amount=amount,
                net=Decimal(net),
                fee=Decimal(fee),
                value=0,
                state=Withdrawal.State.APPROVED,
                created_at=self.now,
                updated_at=self.now,
            )
            account = ledger.account_of(member_id=member.pk, currency=self.currency)
            cause = f"withdrawal:{row.pk}:placed"
            ends = (account, AVAILABLE, account, LOCKED)
            move = Move(*ends, amount, Reason.WITHDRAWAL_PLACED.value, cause)
            ledger.post_once(cause, [move], at=self.now)
        return row

    def run(self, **later: int) -> None:
        """Let the worker work, so much later than before."""
        self.now += timedelta(**later)
        payouts.run(self.currency, now=self.now)

    def finish(self) -> None:
        """Let all that waits be paid and confirmed."""
        for _ in range(3):
            self.run()
            self.world.mine()
        self.run()

    def state_of(self, withdrawal: Withdrawal) -> str:
        return str(Withdrawal.objects.get(pk=withdrawal.pk).state)

    def states(self) -> Counter[str]:
        rows = Withdrawal.objects.filter(currency=self.currency)
        return Counter(rows.values_list("state", flat=True))

    def payout(self) -> Payout:
        """Return the newest payout."""
        found = Payout.objects.filter(currency=self.currency).order_by("-pk").first()
        assert found is not None
        return found

    def balance(self, purpose: House) -> Decimal:
        """Return what one of the house's accounts holds, by its entries."""
        return queries.house_balance(purpose, self.currency)

    def paid(self, address: str) -> list[Decimal]:
        """Walk the chain's blocks: what was paid to an address."""
        return [
            amount
            for decoded in self._walk()
            for to, amount in decoded.outputs
            if to == address
        ]

    def demand_paid_once(self) -> None:
        """
        I-11: by the blocks, every confirmed withdrawal was paid once and everybody else
        nothing, and what we still hold is what the books say.
        """
        rows = Withdrawal.objects.filter(currency=self.currency)
        walked = [pay for decoded in self._walk() for pay in decoded.outputs]
        for row in rows:
            wanted = 1 if row.state == Withdrawal.State.CONFIRMED else 0
            here = walked.count(Payment(row.destination, row.net))
            assert here == wanted, (row, row.state, here)
        held = sum((coin.amount for coin in self.chain.coins()), Decimal(0))
        assert held == -self.balance(House.HOT)

    def _walk(self) -> Iterator[Any]:
        if self.chain.is_practice:
            from wallets.models.practice import PracticeTransaction

            rows = PracticeTransaction.objects.filter(
                currency=self.currency, blocks__is_active=True
            )
            for row in rows.order_by("pk"):
                yield self.chain.decode(row.raw)
            return
        for height in range(110, self.chain.tip().height + 1):
            block = self.chain._read("getblock", self._hash(height), 2)
            for told in block["tx"]:
                yield self.chain.decode(told["hex"])

    def _hash(self, height: int) -> str:
        return str(self.chain._read("getblockhash", height))


def practice_cashier(currency: str = "btc") -> Cashier:
    """Return a cashier of the practice chain, which is its own world outside."""
    world = chain_of(currency)
    world.mine(2)  # type: ignore[attr-defined]
    return Cashier(currency, world)


@contextmanager
def node_cashier(
    node: Node, world: RegtestWorld, settings: Any, currency: str = "ltc"
) -> Iterator[Cashier]:
    """Have a cashier with a new wallet on a node."""
    wallet = node.new_wallet()
    settings.CHAIN_URLS = {currency: wallet.url}
    yield Cashier(currency, world)


def crowd(cashier: Cashier, count: int, each: str = "0.1") -> list[Withdrawal]:
    """Return the withdrawals of so many members, with coins for them in the wallet."""
    amount = Decimal(each) + Decimal("0.001")
    cashier.fill(plain(amount * count))
    found = []
    for _ in range(count):
        member = make_member(f"payee{next(_numbers)}")
        cashier.credit(member, amount)
        found.append(cashier.approved(member, each))
    return found
