"""
A litecoind of our own, on regtest: a descendant of Bitcoin Core with the same RPC.

One node serves a session of tests. Each test has a hot wallet of its own on it, and
the world outside is one wallet more, with coins enough.
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests import services
from wallets.chains.base import NodeUnreachable, Payment
from wallets.chains.bitcoind import Bitcoind

_READY_SECONDS_MAX = 60
_names = itertools.count(1)


class Node:
    """A running litecoind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, wallet: str = "") -> str:
        path = f"/wallet/{wallet}" if wallet else ""
        return f"http://pixiu:regtest@127.0.0.1:{self._port}{path}"

    def start(self, *options: str) -> None:
        """Start the node and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                services.LITECOIND,
                "-regtest",
                f"-datadir={self._folder}",
                "-server",
                "-listen=0",
                "-dnsseed=0",
                f"-rpcport={self._port}",
                "-rpcuser=pixiu",
                "-rpcpassword=regtest",
                "-keypool=10",
                "-fallbackfee=0.0001",
                "-nodebuglogfile",
                "-mempoolreplacement=1",  # as in bitcoind; litecoind's default is no
                # Never: from height 432 on, a block would want one that pegs in.
                "-vbparams=mweb:-2:0",
                # It ends once it has closed what is idle: thirty seconds, unless told.
                "-rpcservertimeout=5",
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while True:
            try:
                Bitcoind(self.url()).tip()
                return
            except NodeUnreachable:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)  # a program starts; nothing tells us when it has

    def stop(self) -> None:
        """End it as an operator would: all it knows is on its disk."""
        Bitcoind(self.url())._call("stop")
        assert self._process is not None
        self._process.wait(_READY_SECONDS_MAX)
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_wallet(self) -> Bitcoind:
        """Make a wallet on the node and return the chain as it sees it."""
        name = f"hot{next(_names)}"
        Bitcoind(self.url())._call("createwallet", name)
        return Bitcoind(self.url(name))


class RegtestWorld:
    """The world outside, on regtest: whoever pays us, and the miners."""

    def __init__(self, node: Node) -> None:
        Bitcoind(node.url())._call("createwallet", "world")
        self._rpc = Bitcoind(node.url("world"))
        self.mine(110)

    def outside_address(self) -> str:
        return self._rpc.new_address()

    def pay(self, *payments: Payment) -> str:
        outputs = {to: f"{amount:f}" for to, amount in payments}
        txid = self._rpc._call("sendmany", "", outputs, 0, "", [], True)
        self._settle()
        return str(txid)

    def mine(self, blocks: int = 1) -> None:
        # To somebody new, or a block that lost might be made again, byte for byte.
        self._rpc._call("generatetoaddress", blocks, self._rpc.new_address())

    def reorganise(self, depth: int) -> None:
        height = self._rpc.tip().height
        lost = self._rpc._call("getblockhash", height - depth + 1)
        self._rpc._call("invalidateblock", lost)

    def replace(self, txid: str, *payments: Payment) -> str:
        old = self._rpc.fate(txid)
        assert old is not None
        inputs = list(old.decoded.inputs)
        paid = sum((payment.amount for payment in old.decoded.outputs), Decimal(0))
        rest = paid - sum((p.amount for p in payments), Decimal(0)) - Decimal("0.01")
        back = Payment(self._rpc.new_address(), rest)
        raw = self._rpc._signed_raw(inputs, [*payments, back])
        self._rpc.broadcast(raw)
        self._settle()
        return self._rpc.decode(raw).txid

    def _settle(self) -> None:
        """Wait until every wallet of the node has heard what the node knows."""
        self._rpc._call("syncwithvalidationinterfacequeue")

    def mempool(self) -> list[str]:
        return list(self._rpc._read("getrawmempool"))


@contextmanager
def running(folder: Path) -> Iterator[Node]:
    """Have a node for the length of a block."""
    node = Node(folder)
    node.start()
    try:
        yield node
    finally:
        node.kill()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a litecoind on regtest; for tests marked `node`."""
    with running(tmp_path_factory.mktemp("litecoind")) as found:
        yield found


@pytest.fixture(scope="session")
def regtest_world(node: Node) -> RegtestWorld:
    """Return who pays and mines on that node."""
    return RegtestWorld(node)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
