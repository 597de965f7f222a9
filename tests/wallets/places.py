"""A chain as we see it and the world that pays into it, for tests of what comes in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models.members import Member
from tests.nodes import Node, RegtestWorld
from wallets import addresses, scanner
from wallets.chains.base import Payment
from wallets.chains.practice import Practice
from wallets.models.coins import ConfirmationTier, Rules
from wallets.models.deposits import Deposit

COIN = "ltc"


@dataclass
class Place:
    """The chain of litecoin."""

    chain: Any
    world: Any

    def address(self, member: Member) -> str:
        row = addresses.address_for(member=member, currency=COIN, now=timezone.now())
        return row.address

    def pay(self, member: Member, amount: str) -> str:
        """Send a member coins; return the txid."""
        return str(self.world.pay(Payment(self.address(member), Decimal(amount))))

    def mine(self, blocks: int = 1) -> None:
        self.world.mine(blocks)

    def scan(self) -> int:
        return scanner.scan(COIN, now=timezone.now())

    def wallets(self) -> list[str]:
        """Return the options by which a node begins with its wallets."""
        return ["-wallet=world", f"-wallet={self.chain.url.rpartition('/')[2]}"]

    def deposits(self) -> list[Deposit]:
        return list(Deposit.objects.order_by("pk"))


def rules(*tiers: tuple[str, int], **terms: Any) -> Rules:
    """Set the rules of litecoin: rules(("0", 2), ("10", 6))."""
    terms = {"withdrawal_min": Decimal("0.001")} | terms
    row, _ = Rules.objects.update_or_create(pk=COIN, defaults=terms)
    row.tiers.all().delete()
    for amount, depth in tiers:
        ConfirmationTier.objects.create(
            rules=row, amount_from=Decimal(amount), confirmations=depth
        )
    return row


def practice_place() -> Place:
    practice = Practice(COIN)
    practice.mine(12)
    return Place(practice, practice)


def regtest_place(node: Node, world: RegtestWorld, settings: Any) -> Place:
    chain = node.new_wallet()
    settings.CHAIN_URLS = {COIN: chain.url}
    return Place(chain, world)


@pytest.fixture(params=["practice", pytest.param("node", marks=pytest.mark.node)])
def place(request: pytest.FixtureRequest, db: None, settings: Any) -> Iterator[Place]:
    """Run a test on the practice chain, and again on a real node."""
    if request.param == "practice":
        yield practice_place()
        return
    node = request.getfixturevalue("node")
    yield regtest_place(node, request.getfixturevalue("regtest_world"), settings)
