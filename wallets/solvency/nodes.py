"""
What the nodes say that we hold: the wallet's coins, and those of cold storage.

A practice chain says nothing: there are no coins behind it. Cold storage is read from
the addresses in the environment, which nobody who holds the database can change. The
wallet's own change counts while it waits for a block, or each payment would look like a
hole for ten minutes; what members send us does not count before it is in one.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from wallets.chains.base import NodeUnreachable, RpcRefused
from wallets.chains.bitcoind import Bitcoind
from wallets.solvency.assets import Holding, Source, Statement

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Node:
    """One coin's node: a Source."""

    currency: str
    chain: Bitcoind
    cold: tuple[str, ...]

    def state(self, *, challenge: str) -> Statement:
        """
        Return what we hold at one block. Hot addresses sign the challenge where their
        kind can. Raises NodeUnreachable, RpcRefused.
        """
        for _ in range(_TRIES):
            tip = self.chain.tip()
            cold = self.chain.unspent_of(self.cold) if self.cold else None
            hot = self.chain.held()
            if self.chain.tip() == tip and (
                cold is None or cold.block_hash == tip.hash
            ):
                break
        else:
            raise NodeUnreachable("The chain moved on each time it was asked.")
        signed = [
            Holding(address, amount, self._signature(address, challenge))
            for address, amount in sorted(hot.items())
        ]
        stored = [
            Holding(address, amount)
            for address, amount in sorted((cold.amounts if cold else {}).items())
        ]
        return Statement(self.currency, tip.height, tip.hash, (*signed, *stored))

    def _signature(self, address: str, challenge: str) -> str:
        try:
            return self.chain.sign_message(address, challenge)
        except RpcRefused:
            return ""  # the kind of address knows no such signature


def sources() -> dict[str, Source]:
    """Return who says what we hold of each coin that has a node."""
    return {
        currency: Node(
            currency,
            Bitcoind(url),
            settings.COLD_ADDRESSES.get(currency, ()),
        )
        for currency, url in settings.CHAIN_URLS.items()
    }
