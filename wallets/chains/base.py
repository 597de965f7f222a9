"""
What the exchange asks of a chain, whichever node keeps it.

Three kinds of calls, kept apart because they fail differently. *Reads* may be repeated.
*Deeds* that touch only our own wallet (`new_address`, `build_signed`) may be repeated,
too: at worst an address or a signature is never used. `broadcast` is the one deed seen
by the world, and takes finished bytes, so that repeating it sends the same payment.

Amounts are Decimals in the coin's unit. A txid is 64 hexadecimal digits. Nothing here
may be called inside a transaction of ours: a node can take seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from exchange.lib.errors import UpstreamError


class ChainError(UpstreamError):
    """A node did not do what was asked."""


class NodeUnreachable(ChainError):
    """No answer, or none in time: what was asked may have been done or not."""


class RpcRefused(ChainError):
    """The node answered with an error. `code` is the node's own number for it."""

    is_transient = False

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class WalletLocked(ChainError):
    """The node's wallet is encrypted, and nobody has unlocked it."""


class TooFewCoins(ChainError):
    """The wallet's free coins do not cover the payments and the fee."""


class BroadcastRefused(RpcRefused):
    """The network does not take these bytes: an input is spent, the fee too low."""


class Outpoint(NamedTuple):
    """An output of a transaction; as an input, what it spends."""

    txid: str
    vout: int


class Payment(NamedTuple):
    """An amount to an address: one output."""

    address: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block."""

    height: int
    hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Received:
    """
    An output that pays an address of our wallet.

    confirmations   0 in the mempool; negative where another transaction that spends the
                    same coins was confirmed that many blocks ago
    is_gone         neither in a block nor in the mempool: replaced, or forgotten
    """

    txid: str
    vout: int
    address: str
    amount: Decimal
    confirmations: int
    block_hash: str = ""
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """What came in since some block, and where to begin the next time."""

    received: tuple[Received, ...]
    until: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What our wallet spent since some block, and where to begin the next time."""

    txids: frozenset[str]
    until: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the bytes of a transaction say."""

    txid: str
    inputs: tuple[Outpoint, ...]
    outputs: tuple[Payment, ...]  # the place is the vout
    size: int  # virtual bytes: what its fee is measured by


@dataclass(frozen=True, slots=True)
class Fate:
    """
    What became of a transaction of our wallet.

    conflicts   other transactions that spend one of its inputs: a fee bump, or the same
                payment under another id
    """

    confirmations: int
    is_in_mempool: bool
    block_hash: str
    decoded: Decoded
    conflicts: tuple[str, ...]

    @property
    def is_alive(self) -> bool:
        """Say whether a block has it, or the mempool."""
        return self.confirmations > 0 or self.is_in_mempool


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that our wallet can spend."""

    outpoint: Outpoint
    address: str
    amount: Decimal
    confirmations: int


@dataclass(frozen=True, slots=True)
class Unspent:
    """What the chain has at some addresses, as of a block."""

    block_hash: str
    coins: tuple[Coin, ...]

    @property
    def amounts(self) -> dict[str, Decimal]:
        """By address."""
        return by_address((coin.address, coin.amount) for coin in self.coins)


def by_address(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Sum amounts that are at the same address."""
    found: dict[str, Decimal] = {}
    for address, amount in amounts:
        found[address] = found.get(address, Decimal(0)) + amount
    return found


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction ready to be broadcast. `raw` is its bytes, in hexadecimal."""

    raw: str
    txid: str
    inputs: tuple[Outpoint, ...]
    outputs: tuple[Payment, ...]
    fee: Decimal
    size: int


class Chain(Protocol):
    """
    A chain and our wallet on it. Every call may raise NodeUnreachable or RpcRefused.
    """

    is_practice: bool  # no real coins: pages say so

    def tip(self) -> Tip:
        """Return the newest block."""

    def complaints(self, *, now: datetime) -> list[str]:
        """Say what is wrong with the node; an empty list when it is well."""

    def is_address(self, text: str) -> bool:
        """
        Say whether the text is an address of this very network, spelled as the chain
        spells what an output pays.
        """

    def spelled(self, text: str) -> str:
        """
        Return an address of this very network as `is_address` wants it; "" where the
        text is none, or none that an output can name.
        """

    def is_ours(self, address: str) -> bool:
        """Say whether our wallet holds the key of a sound address."""

    def since(self, block_hash: str, *, depth: int) -> Sighting:
        """
        Return all outputs to our wallet in the mempool, in blocks after the given one,
        and in blocks that a reorganisation removed since; "" for all there ever were.

        `until` of the answer is the block `depth` below the tip, so that whatever has
        fewer confirmations is told again. A block the node does not know any more
        means all there ever were, too: telling twice is harmless. Some nodes say
        nothing of what another transaction displaced: who waits for an output that is
        not told asks for its fate.
        """

    def sent_since(self, block_hash: str, *, depth: int) -> Sent:
        """
        Return all transactions that spend coins of our wallet, in the mempool and in
        blocks, from where `since` would begin; whoever had them signed.
        """

    def fate(self, txid: str) -> Fate | None:
        """Return what became of a transaction; None when our wallet knows it not."""

    def coins(self) -> list[Coin]:
        """
        Return what our wallet could spend: what is confirmed. Young change is left
        alone, because the payment that made it may still be replaced.
        """

    def fee_rate(self) -> Decimal | None:
        """
        Return what a thousand virtual bytes cost to be confirmed within some six
        blocks; None when the node cannot say.
        """

    def decode(self, raw: str) -> Decoded:
        """Read the bytes of a transaction, by the node and not by who made them."""

    def new_address(self) -> str:
        """Return an address never returned before."""

    def build_signed(
        self,
        payments: Sequence[Payment],
        *,
        fee_rate: Decimal,
        spend: Sequence[Outpoint] = (),
        avoid: Collection[Outpoint] = (),
    ) -> Signed:
        """
        Build and sign, and do not send, one transaction with all the payments, no two
        to one address.

        The inputs of `spend` are all spent; of our other coins as many as needed, but
        none of `avoid`. It can be replaced by one with a higher fee (BIP-125). Raises
        TooFewCoins, WalletLocked.
        """

    def refusal(self, raw: str) -> str:
        """
        Say why the network would not take finished bytes as things are; "" where it
        would, or has them, or where the node is too old to know.
        """

    def broadcast(self, raw: str) -> None:
        """
        Hand finished bytes to the network; well done, too, when it has them already.

        Raises BroadcastRefused when they cannot become part of the chain as it is.
        """

    def is_unspent(self, point: Outpoint) -> bool:
        """
        Say whether there is this output, anybody's, in a block or waiting for one, and
        no block has spent it.
        """

    def unspent_of(self, addresses: Sequence[str]) -> Unspent:
        """
        Return what the chain has at addresses that may be anybody's. A node reads all
        unspent outputs for it: minutes on a large chain.
        """

    def unsigned(self, coins: Sequence[Coin], payments: Sequence[Payment]) -> str:
        """
        Write down, for somebody else to sign, a transaction that spends these coins and
        makes these payments: a PSBT, as text. What is left over is the miners'.
        """

    def finished(self, psbt: str) -> str:
        """
        Return the bytes, in hexadecimal, of a PSBT that others have signed. Raises
        RpcRefused where it is none, or signatures are missing.
        """

    def sign_message(self, address: str, message: str) -> str:
        """Prove that our wallet holds an address, by a signature over a text."""
