"""
bitcoind and its family (litecoind, dogecoind), over python-bitcoinrpc.

The library's proxy is neither safe to share nor safe to leave alone: a connection that
the server closed breaks it for ever. So each thread has one of its own, made anew after
any failure and when it rested. Reads are tried twice; what is seen by the world is not.

Note [Amounts as text]: the library writes Decimals as floats, exact only below ninety
million coins. We give amounts as text, which the nodes read exactly; the library reads
their answers as Decimals.
"""

from __future__ import annotations

import functools
import http.client
import threading
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

from exchange.lib.money import round_down, unit
from wallets.chains.base import (
    BroadcastRefused,
    ChainError,
    Coin,
    Decoded,
    Fate,
    NodeUnreachable,
    Outpoint,
    Payment,
    Received,
    RpcRefused,
    Sent,
    Sighting,
    Signed,
    Tip,
    TooFewCoins,
    Unspent,
    WalletLocked,
    by_address,
)

_TIMEOUT_SECONDS = 20
_SCAN_TIMEOUT_SECONDS = 900
# The nodes close a connection after thirty seconds, and wait for it before they end.
_REST_SECONDS_MAX = 2
_TARGET_BLOCKS = 6
_APART_MAX = 2  # blocks, of two nodes that see the same chain
_TIP_AGE_MAX = timedelta(minutes=60)
_SATOSHI = unit(8)
# Whose sequence says that a transaction may be replaced (BIP-125).
_REPLACEABLE = 0xFFFFFFFD

# The nodes' numbers for errors (bitcoin/src/rpc/protocol.h).
_METHOD_NOT_FOUND = -32601
_INVALID_ADDRESS_OR_KEY = -5
_INVALID_PARAMETER = -8
_INSUFFICIENT_FUNDS = -6
_WALLET_ERROR = -4
_UNLOCK_NEEDED = -13
_ALREADY_IN_CHAIN = -27
_WARMING_UP = -28
_VERIFY_ERRORS = {-25, -26}
# How they say that inputs do not cover payments and fee: older ones, and Bitcoin Core
# from 25 on where the inputs were chosen by us.
_LACKING = ("insufficient", "preselected coins total amount does not cover")
_NO_ANSWER = {-342, -343}  # the library's own: not JSON, no result

# Of what a wallet tells, what is ours to credit. Young coinbase is "immature", and one
# of a lost block "orphan".
_RECEIVED = {"receive", "generate"}


class Bitcoind:
    """
    A node, and the wallet on it that the path of the address names:
    `http://user:password@host:port/wallet/hot`.
    """

    is_practice = False

    def __init__(
        self,
        url: str,
        *,
        second_url: str = "",
        timeout_seconds: int = _TIMEOUT_SECONDS,
    ) -> None:
        self.url = url
        self._second = Bitcoind(second_url) if second_url else None
        self._timeout_seconds = timeout_seconds
        self._threads = threading.local()

    @functools.cached_property
    def _scanner(self) -> Bitcoind:
        """The same node, for what takes minutes."""
        return Bitcoind(self.url, timeout_seconds=_SCAN_TIMEOUT_SECONDS)

    # --- Reads ---------------------------------------------------------------------

    def tip(self) -> Tip:
        chain = self._read("getblockchaininfo")
        header = self._read("getblockheader", chain["bestblockhash"])
        at = datetime.fromtimestamp(header["time"], UTC)
        return Tip(header["height"], header["hash"], at)

    def complaints(self, *, now: datetime) -> list[str]:
        chain = self._read("getblockchaininfo")
        found = []
        if chain.get("initialblockdownload"):
            found.append("the node is still loading the chain")
        behind = chain["headers"] - chain["blocks"]
        if behind > 1:
            found.append(f"the node is {behind} blocks behind")
        age = now - self.tip().at
        if chain["chain"] == "main" and age > _TIP_AGE_MAX:
            found.append(f"no block for {age.total_seconds() // 60:.0f} minutes")
        return [*found, *self._disagreement()]

    def _disagreement(self) -> list[str]:
        """Say how the second node, where there is one, sees another chain (W-5)."""
        if self._second is None:
            return []
        try:
            height, theirs = self.tip().height, self._second.tip().height
            if abs(height - theirs) > _APART_MAX:
                return [f"we are at {height}, the second node is at {theirs}"]
            # The newest blocks may be on their way, or lose to each other.
            shared = max(min(height, theirs) - _APART_MAX, 0)
            mine = self._read("getblockhash", shared)
            if self._second._read("getblockhash", shared) != mine:
                return [f"the second node has another block {shared}"]
        except ChainError as error:
            return [f"the second node cannot be asked: {error}"]
        return []

    def is_address(self, text: str) -> bool:
        return text != "" and self.spelled(text) == text

    def spelled(self, text: str) -> str:
        # Of one script there are many spellings: bech32 in capitals, as QR codes have
        # it, and Litecoin's old addresses of scripts. `decode` tells one of them. What
        # has no script (MWEB) is in no output at all.
        told = self._read("validateaddress", text)
        return str(told["address"]) if told.get("scriptPubKey") else ""

    def is_ours(self, address: str) -> bool:
        try:
            told = self._read("getaddressinfo", address)
        except RpcRefused as error:
            if error.code != _METHOD_NOT_FOUND:
                raise
            told = self._read("validateaddress", address)  # Dogecoin
        return bool(told["ismine"] or told["iswatchonly"])

    def since(self, block_hash: str, *, depth: int) -> Sighting:
        told = self._list_since(block_hash, depth)
        rows: dict[Outpoint, dict[str, Any]] = {}
        # What a reorganisation removed may be in a block again: then that counts.
        for row in [*told.get("removed", ()), *told["transactions"]]:
            if row["category"] in _RECEIVED and "vout" in row:
                rows[Outpoint(row["txid"], row["vout"])] = row
        waiting = self._mempool_of(rows.values())
        received = tuple(_received(row, waiting) for row in rows.values())
        return Sighting(received, told["lastblock"])

    def sent_since(self, block_hash: str, *, depth: int) -> Sent:
        told = self._list_since(block_hash, depth)
        rows = [*told.get("removed", ()), *told["transactions"]]
        sent = frozenset(row["txid"] for row in rows if row["category"] == "send")
        return Sent(sent, told["lastblock"])

    def fate(self, txid: str) -> Fate | None:
        try:
            told = self._read("gettransaction", txid, True)
        except RpcRefused as error:
            if error.code == _INVALID_ADDRESS_OR_KEY:
                return None
            raise
        confirmations = told["confirmations"]
        return Fate(
            confirmations=confirmations,
            is_in_mempool=confirmations == 0 and txid in self._mempool_of([told]),
            block_hash=told.get("blockhash", ""),
            decoded=self.decode(told["hex"]),
            conflicts=tuple(told.get("walletconflicts", ())),
        )

    def coins(self) -> list[Coin]:
        return [
            Coin(
                Outpoint(row["txid"], row["vout"]),
                row.get("address", ""),
                row["amount"],
                row["confirmations"],
            )
            for row in self._read("listunspent", 1)
            if row["spendable"]
        ]

    def held(self) -> dict[str, Decimal]:
        """
        Return what the wallet holds, by address: what is confirmed, and change of its
        own that waits for a block.
        """
        rows = self._read("listunspent", 0)
        return by_address(
            (row.get("address", ""), row["amount"])
            for row in rows
            if row["spendable"] and (row["confirmations"] > 0 or row.get("safe"))
        )

    def is_unspent(self, point: Outpoint) -> bool:
        # Of what a reorganisation took out of its block, only the mempool knows.
        asked = (self._read("gettxout", *point, waits) for waits in (False, True))
        return any(told is not None for told in asked)

    def unspent_of(self, addresses: Sequence[str]) -> Unspent:
        wanted = [f"addr({address})" for address in addresses]
        try:
            told = self._scanner._read("scantxoutset", "start", wanted)
        except RpcRefused as error:
            if error.code != _INVALID_PARAMETER:
                raise
            # Somebody else's scan is in progress: it is to be asked again.
            raise NodeUnreachable(str(error)) from error
        if not told["success"]:
            raise RpcRefused("The scan of unspent outputs was broken off.")
        coins = tuple(
            Coin(
                Outpoint(row["txid"], row["vout"]),
                row["desc"].partition("(")[2].partition(")")[0],
                Decimal(row["amount"]),
                told["height"] + 1 - row["height"],
            )
            for row in told["unspents"]
        )
        return Unspent(told["bestblock"], coins)

    def fee_rate(self) -> Decimal | None:
        try:
            rate = self._read("estimatesmartfee", _TARGET_BLOCKS).get("feerate")
        except RpcRefused as error:
            if error.code != _METHOD_NOT_FOUND:
                raise
            rate = self._read("estimatefee", _TARGET_BLOCKS)
        return Decimal(rate) if rate is not None and rate > 0 else None

    def decode(self, raw: str) -> Decoded:
        told = self._read("decoderawtransaction", raw)
        return Decoded(
            txid=told["txid"],
            inputs=tuple(Outpoint(row["txid"], row["vout"]) for row in told["vin"])
            if all("vout" in row for row in told["vin"])
            else (),  # a coinbase spends nothing
            outputs=tuple(
                Payment(_address(row["scriptPubKey"]), Decimal(row["value"]))
                for row in told["vout"]
            ),
            size=told.get("vsize", told["size"]),
        )

    # --- Deeds ---------------------------------------------------------------------

    def new_address(self) -> str:
        return str(self._call("getnewaddress"))

    def build_signed(
        self,
        payments: Sequence[Payment],
        *,
        fee_rate: Decimal,
        spend: Sequence[Outpoint] = (),
        avoid: Collection[Outpoint] = (),
    ) -> Signed:
        coins = {coin.outpoint: coin for coin in self.coins()}
        chosen = list(spend)
        others = [
            coin
            for coin in sorted(coins.values(), key=lambda coin: -coin.amount)
            if coin.outpoint not in avoid and coin.outpoint not in set(spend)
        ]
        have = sum((self._value(point, coins) for point in spend), Decimal(0))
        needed = sum((payment.amount for payment in payments), Decimal(0))
        while True:
            while have < needed or not chosen:
                if not others:
                    raise TooFewCoins(f"{have} at hand for payments of {needed}")
                coin = others.pop(0)
                chosen.append(coin.outpoint)
                have += coin.amount
            try:
                raw = self._sign(chosen, payments, fee_rate)
            except TooFewCoins:
                needed = (
                    have + _SATOSHI
                )  # the fee, too, wants to be paid: one more coin
                continue
            return self._signed(raw, have)

    def refusal(self, raw: str) -> str:
        try:
            (told,) = self._read("testmempoolaccept", [raw])
        except RpcRefused as error:
            if error.code != _METHOD_NOT_FOUND:
                raise
            return ""  # Dogecoin
        if told["allowed"] or self._is_known(raw):
            return ""
        return str(told["reject-reason"])

    def broadcast(self, raw: str) -> None:
        try:
            self._call("sendrawtransaction", raw)
        except RpcRefused as error:
            if error.code == _ALREADY_IN_CHAIN or "already" in str(error):
                return
            if error.code in _VERIFY_ERRORS:
                if self._is_known(raw):
                    return
                raise BroadcastRefused(str(error), code=error.code) from error
            raise

    def sign_message(self, address: str, message: str) -> str:
        return str(self._call("signmessage", address, message))

    def unsigned(self, coins: Sequence[Coin], payments: Sequence[Payment]) -> str:
        spent = _inputs([coin.outpoint for coin in coins])
        made = self._call("createpsbt", spent, _outputs(payments), 0, True)
        # What is spent, for who signs without a chain at hand.
        return str(self._call("utxoupdatepsbt", made))

    def finished(self, psbt: str) -> str:
        final = self._call("finalizepsbt", psbt)
        if not final["complete"]:
            raise RpcRefused("Signatures are missing.")
        return str(final["hex"])

    # --- Building ------------------------------------------------------------------

    def _sign(
        self, inputs: list[Outpoint], payments: Sequence[Payment], fee_rate: Decimal
    ) -> str:
        """By PSBT where the node has it, by raw transactions where it has not."""
        try:
            return self._sign_psbt(inputs, payments, fee_rate)
        except RpcRefused as error:
            if error.code != _METHOD_NOT_FOUND:
                raise
        return self._sign_raw(inputs, payments, fee_rate)

    def _sign_psbt(
        self, inputs: list[Outpoint], payments: Sequence[Payment], fee_rate: Decimal
    ) -> str:
        options = {
            "add_inputs": False,
            "feeRate": _text(round_down(fee_rate, _SATOSHI)),
            "replaceable": True,
            "lockUnspents": False,
        }
        made = self._fund(
            "walletcreatefundedpsbt", _inputs(inputs), _outputs(payments), 0, options
        )
        signed = self._call("walletprocesspsbt", made["psbt"])
        final = self._call("finalizepsbt", signed["psbt"])
        if not final["complete"]:
            raise RpcRefused("the wallet did not sign all inputs")
        return str(final["hex"])

    def _sign_raw(
        self, inputs: list[Outpoint], payments: Sequence[Payment], fee_rate: Decimal
    ) -> str:
        """
        Dogecoin knows no PSBT, and its fundrawtransaction adds inputs as it likes: the
        change is ours to reckon, from the size of a first signature without it.
        """
        have = sum((self._value(point) for point in inputs), Decimal(0))
        paid = sum((payment.amount for payment in payments), Decimal(0))
        change = Payment(str(self._call("getrawchangeaddress")), _SATOSHI)
        trial = self._signed_raw(inputs, [*payments, change])
        fee = fee_rate * self.decode(trial).size / 1000
        rest = round_down(have - paid - fee, _SATOSHI) if have > paid + fee else None
        if rest is None:
            raise TooFewCoins(f"{have} at hand for payments of {paid}, fee {fee}")
        if rest < self._dust():
            return self._signed_raw(inputs, payments)  # the miner's
        return self._signed_raw(inputs, [*payments, change._replace(amount=rest)])

    def _signed_raw(self, inputs: list[Outpoint], payments: Sequence[Payment]) -> str:
        spent = [row | {"sequence": _REPLACEABLE} for row in _inputs(inputs)]
        raw = self._call("createrawtransaction", spent, _outputs_of_old(payments))
        try:
            signed = self._call("signrawtransactionwithwallet", raw)
        except RpcRefused as error:
            if error.code != _METHOD_NOT_FOUND:
                raise
            signed = self._call("signrawtransaction", raw)
        if not signed["complete"]:
            raise RpcRefused("the wallet did not sign all inputs")
        return str(signed["hex"])

    def _dust(self) -> Decimal:
        """Return the smallest change worth an output: what spending it would cost."""
        return Decimal(self._read("getnetworkinfo")["relayfee"])

    def _fund(self, method: str, *parameters: Any) -> Any:
        try:
            return self._call(method, *parameters)
        except RpcRefused as error:
            is_short = error.code in {_INSUFFICIENT_FUNDS, _WALLET_ERROR}
            if is_short and any(words in str(error).lower() for words in _LACKING):
                raise TooFewCoins(str(error)) from error
            raise

    def _signed(self, raw: str, have: Decimal) -> Signed:
        decoded = self.decode(raw)
        paid = sum((payment.amount for payment in decoded.outputs), Decimal(0))
        return Signed(
            raw,
            decoded.txid,
            decoded.inputs,
            decoded.outputs,
            have - paid,
            decoded.size,
        )

    def _value(
        self, point: Outpoint, coins: dict[Outpoint, Coin] | None = None
    ) -> Decimal:
        """Return what an output is worth, spent by another of our payments or not."""
        if coins and point in coins:
            return coins[point].amount
        told = self._read("gettransaction", point.txid, True)
        return self.decode(told["hex"]).outputs[point.vout].amount

    def _list_since(self, block_hash: str, depth: int) -> dict[str, Any]:
        """Ask what the wallet did since a block; since ever, where it is unknown."""
        try:
            told = self._read("listsinceblock", block_hash, depth, True, True)
        except RpcRefused as error:
            if error.code != _INVALID_ADDRESS_OR_KEY:
                raise
            told = self._read("listsinceblock", "", depth, True, True)
        return dict(told)

    # --- Asking --------------------------------------------------------------------

    def _mempool_of(self, rows: Collection[dict[str, Any]]) -> set[str]:
        """Return the mempool's transactions, where some row could be one of them."""
        if not any(row["confirmations"] == 0 for row in rows):
            return set()
        return set(self._read("getrawmempool"))

    def _is_known(self, raw: str) -> bool:
        """Say whether a transaction that was refused is in the chain or the mempool."""
        fate = self.fate(self.decode(raw).txid)
        return fate is not None and fate.is_alive

    def _read(self, method: str, *parameters: Any) -> Any:
        """Ask for what may be asked twice."""
        try:
            return self._call(method, *parameters)
        except NodeUnreachable:
            return self._call(method, *parameters)

    def _call(self, method: str, *parameters: Any) -> Any:
        line = self._line()
        try:
            return line.ask(method, *parameters)
        except JSONRPCException as error:
            if error.code in _NO_ANSWER:
                self._threads.line = None  # the rest of an answer is still in it
            raise _translated(method, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._threads.line = None
            raise NodeUnreachable(f"{method}: {error!r}") from error

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._threads, "line", None)
        if line is None or line.has_rested():
            line = self._threads.line = _Line(self.url, self._timeout_seconds)
        return line


class _Line:
    """One connection to a node, closed with whoever held it."""

    def __init__(self, url: str, timeout_seconds: int) -> None:
        self._connection = _connection(url, timeout_seconds)
        self._proxy = AuthServiceProxy(url, None, timeout_seconds, self._connection)
        self._used_at = time.monotonic()

    def ask(self, method: str, *parameters: Any) -> Any:
        answer = getattr(self._proxy, method)(*parameters)
        self._used_at = time.monotonic()
        return answer

    def has_rested(self) -> bool:
        """Say whether it was idle for so long that the node may have closed it."""
        return time.monotonic() - self._used_at > _REST_SECONDS_MAX

    def __del__(self) -> None:
        self._connection.close()


def _translated(method: str, error: JSONRPCException) -> ChainError:
    text = f"{method}: {error.message}"
    if error.code in _NO_ANSWER or error.code == _WARMING_UP:
        return NodeUnreachable(text)
    if error.code == _UNLOCK_NEEDED:
        return WalletLocked(text)
    return RpcRefused(text, code=error.code or 0)


def _connection(url: str, timeout_seconds: int) -> http.client.HTTPConnection:
    """Open what the library would open, and would not let us close."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    port = parts.port or (443 if secure else 80)
    return kind(parts.hostname or "", port, timeout=timeout_seconds)


def _received(row: dict[str, Any], mempool: set[str]) -> Received:
    confirmations = row["confirmations"]
    is_waiting = confirmations == 0 and row["txid"] in mempool
    return Received(
        txid=row["txid"],
        vout=row["vout"],
        address=row.get("address", ""),
        amount=Decimal(row["amount"]),
        confirmations=confirmations,
        block_hash=row.get("blockhash", "") if confirmations > 0 else "",
        is_gone=confirmations <= 0 and not is_waiting,
    )


def _address(script: dict[str, Any]) -> str:
    """Return whom an output pays; empty where that is no one address."""
    found = script.get("addresses") or [script.get("address", "")]
    return found[0] if len(found) == 1 else ""


def _inputs(points: Sequence[Outpoint]) -> list[dict[str, Any]]:
    return [{"txid": point.txid, "vout": point.vout} for point in points]


def _outputs(payments: Sequence[Payment]) -> list[dict[str, str]]:
    return [{payment.address: _text(payment.amount)} for payment in payments]


def _outputs_of_old(payments: Sequence[Payment]) -> dict[str, str]:
    return {payment.address: _text(payment.amount) for payment in payments}


def _text(amount: Decimal) -> str:
    return f"{amount:f}"
