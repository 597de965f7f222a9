"""
The practice chain: what a node is to a real coin, in our own database.

For embedded mode, where members try the exchange with nothing configured, and for
tests of what no real node can be made to do. It has blocks, a mempool, replacement by
fee and reorganisations; it has no keys and no work, so that its coins are worth
nothing, and every page that shows it says so. The outside world has coins without end:
`pay` is somebody sending us some.

A real node cannot take part in our transactions, and neither does this one: each of
its deeds is a transaction of its own, and refuses to be called inside another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from exchange.lib.money import round_up
from exchange.lib.states import lock_row
from exchange.lib.transactions import transaction
from wallets.chains.base import (
    BroadcastRefused,
    Coin,
    Decoded,
    Fate,
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
)
from wallets.models.currencies import Currency
from wallets.models.practice import (
    PracticeAddress,
    PracticeBlock,
    PracticeInput,
    PracticeOutput,
    PracticeTransaction,
)

_FEE_RATE = Decimal("0.0001")  # for a thousand bytes
_MARK = "practice1"
_CHECK_BYTES = 5
_UNSIGNED, _SIGNED = "practice-unsigned:", "practice-signed:"


class Practice:
    """The practice chain of one currency."""

    is_practice = True

    def __init__(self, currency: str) -> None:
        self._currency = currency

    # --- Reads ---------------------------------------------------------------------

    def tip(self) -> Tip:
        block = self._blocks().order_by("-height").first()
        if block is None:
            self.mine()
            return self.tip()
        return Tip(block.height, block.hash, block.at)

    def complaints(self, *, now: datetime) -> list[str]:
        return []

    def is_address(self, text: str) -> bool:
        head, _, body = text.partition(_MARK)
        if head != self._currency:
            return False
        try:
            packed = base64.b32decode(body.upper())
        except ValueError:
            return False
        return body == body.lower() and text == self._address(packed[:-_CHECK_BYTES])

    def spelled(self, text: str) -> str:
        return text if self.is_address(text) else ""

    def is_ours(self, address: str) -> bool:
        return PracticeAddress.objects.filter(
            pk=address, currency=self._currency
        ).exists()

    def since(self, block_hash: str, *, depth: int) -> Sighting:
        after, top = self._height(block_hash), self.tip().height
        found = self._outputs(is_change=False).filter(
            Q(height__isnull=True) | Q(height__gt=after)
        )
        return Sighting(
            tuple(self._received(output, top) for output in found),
            self._until(top, depth),
        )

    def sent_since(self, block_hash: str, *, depth: int) -> Sent:
        after, top = self._height(block_hash), self.tip().height
        block = self._blocks().filter(transactions=OuterRef("transaction"))
        ours = PracticeOutput.objects.filter(
            transaction__currency=self._currency,
            transaction__txid=OuterRef("txid"),
            vout=OuterRef("vout"),
            address__in=PracticeAddress.objects.values("pk"),
        )
        spends = (
            PracticeInput.objects.filter(Exists(ours))
            .annotate(height=Subquery(block.values("height")[:1]))
            .filter(Q(height__isnull=True) | Q(height__gt=after))
        )
        txids = spends.values_list("transaction__txid", flat=True)
        return Sent(frozenset(txids), self._until(top, depth))

    def fate(self, txid: str) -> Fate | None:
        row = self._find(txid)
        if row is None:
            return None
        block = row.blocks.filter(is_active=True).order_by("pk").first()
        confirmations = self._confirmations(row, block)
        return Fate(
            confirmations=confirmations,
            is_in_mempool=confirmations == 0 and not row.is_dropped,
            block_hash=block.hash if block else "",
            decoded=self.decode(row.raw),
            conflicts=tuple(other.txid for other in self._rivals(row)),
        )

    def coins(self) -> list[Coin]:
        spenders = PracticeInput.objects.filter(
            txid=OuterRef("transaction__txid"), vout=OuterRef("vout")
        ).filter(
            Q(transaction__is_dropped=False) | Q(transaction__blocks__is_active=True)
        )
        top = self.tip().height
        return [
            Coin(
                Outpoint(output.transaction.txid, output.vout),
                output.address,
                output.amount,
                top + 1 - output.height,
            )
            for output in self._outputs().filter(~Exists(spenders), height__gte=0)
        ]

    def fee_rate(self) -> Decimal | None:
        return _FEE_RATE

    def decode(self, raw: str) -> Decoded:
        try:
            text = bytes.fromhex(raw)
            told = json.loads(text)
            inputs = tuple(Outpoint(txid, vout) for txid, vout in told["inputs"])
            outputs = tuple(
                Payment(address, Decimal(amount)) for address, amount in told["outputs"]
            )
        except (
            *(ValueError, KeyError, TypeError),
            *(ArithmeticError, RecursionError),
        ) as error:
            raise RpcRefused("TX decode failed") from error
        txid = hashlib.sha256(hashlib.sha256(text).digest()).hexdigest()
        return Decoded(txid, inputs, outputs, _size(inputs, outputs))

    # --- Deeds of our wallet -------------------------------------------------------

    def new_address(self) -> str:
        return self._own_address(is_change=False)

    def build_signed(
        self,
        payments: Sequence[Payment],
        *,
        fee_rate: Decimal,
        spend: Sequence[Outpoint] = (),
        avoid: Collection[Outpoint] = (),
    ) -> Signed:
        for payment in payments:
            if not self.is_address(payment.address):
                raise RpcRefused(f"Invalid address: {payment.address}", code=-5)
        others = sorted(
            (c for c in self.coins() if c.outpoint not in {*avoid, *spend}),
            key=lambda coin: -coin.amount,
        )
        inputs = list(spend)
        have = sum((self._value(point) for point in spend), Decimal(0))
        paid = sum((payment.amount for payment in payments), Decimal(0))
        change = Payment(self._own_address(is_change=True), Decimal(0))
        while True:
            size = _size(inputs, [*payments, change])
            fee = round_up(fee_rate * size / 1000, self._unit())
            if inputs and have >= paid + fee:
                break
            if not others:
                raise TooFewCoins(f"{have} at hand for payments of {paid}, fee {fee}")
            coin = others.pop(0)
            inputs.append(coin.outpoint)
            have += coin.amount
        rest = have - paid - fee
        outputs = [*payments, change._replace(amount=rest)] if rest else [*payments]
        raw = _raw(self._currency, inputs, outputs)
        decoded = self.decode(raw)
        return Signed(
            raw, decoded.txid, decoded.inputs, decoded.outputs, fee, decoded.size
        )

    def refusal(self, raw: str) -> str:
        decoded = self.decode(raw)
        known = self._find(decoded.txid)
        if known is not None and not known.is_dropped:
            return ""
        is_there = all(self.is_unspent(point) for point in decoded.inputs)
        return "" if is_there else "bad-txns-inputs-missingorspent"

    def broadcast(self, raw: str) -> None:
        decoded = self.decode(raw)
        with self._deed():
            known = self._find(decoded.txid)
            if known is not None and not known.is_dropped:
                return
            fee = self._fee(decoded)
            self._make_room(decoded, fee)
            self._write(decoded, raw, fee)

    def is_unspent(self, point: Outpoint) -> bool:
        rows = self._not_spent().filter(transaction__txid=point.txid, vout=point.vout)
        has_block = Q(transaction__blocks__is_active=True)
        return rows.filter(has_block | Q(transaction__is_dropped=False)).exists()

    def unspent_of(self, addresses: Sequence[str]) -> Unspent:
        tip = self.tip()
        rows = self._unspent().filter(address__in=list(addresses))
        rows = rows.annotate(height=F("transaction__blocks__height"))
        coins = tuple(
            Coin(
                Outpoint(row.transaction.txid, row.vout),
                row.address,
                row.amount,
                tip.height + 1 - row.height,
            )
            for row in rows.select_related("transaction").order_by("pk")
        )
        return Unspent(tip.hash, coins)

    def _unspent(self) -> QuerySet[Any]:
        """Return the outputs of the chain's blocks that none of them spends."""
        return self._not_spent().filter(transaction__blocks__is_active=True)

    def _not_spent(self) -> QuerySet[Any]:
        """Return the outputs that no block spends, whether they are in one or not."""
        spent = PracticeInput.objects.filter(
            transaction__currency=self._currency,
            transaction__blocks__is_active=True,
            txid=OuterRef("transaction__txid"),
            vout=OuterRef("vout"),
        )
        return PracticeOutput.objects.filter(
            ~Exists(spent), transaction__currency=self._currency
        )

    def unsigned(self, coins: Sequence[Coin], payments: Sequence[Payment]) -> str:
        points = [coin.outpoint for coin in coins]
        return _UNSIGNED + _raw(self._currency, points, payments)

    def finished(self, psbt: str) -> str:
        raw = psbt.removeprefix(_SIGNED)
        if raw == psbt:
            raise RpcRefused("Signatures are missing.")
        self.decode(raw)
        return raw

    def sign_message(self, address: str, message: str) -> str:
        if not self.is_ours(address):
            raise RpcRefused("Private key not available", code=-4)
        text = f"{address}|{message}".encode()
        key = settings.SECRET_KEY.encode()
        return "practice:" + hmac.new(key, text, hashlib.sha256).hexdigest()

    def sign_elsewhere(self, psbt: str) -> str:
        """Have whoever keeps cold storage sign what `unsigned` wrote."""
        return _SIGNED + psbt.removeprefix(_UNSIGNED)

    # --- Deeds of the world outside ------------------------------------------------

    def outside_address(self) -> str:
        """Return a new address that is not ours: somebody's, somewhere."""
        return self._address(secrets.token_bytes(20))

    def pay(self, *payments: Payment) -> str:
        """Have somebody outside send a transaction; return its txid."""
        # Their coins come from nowhere we know.
        coin = Outpoint(secrets.token_hex(32), 0)
        raw = _raw(self._currency, [coin], payments)
        decoded = self.decode(raw)
        with self._deed():
            self._write(decoded, raw, Decimal(0))
        return decoded.txid

    def mine(self, blocks: int = 1) -> Tip:
        """Put what waits in the mempool into a new block, and add empty ones to it."""
        with self._deed():
            for _ in range(blocks):
                top = self._blocks().order_by("-height").first()
                block = PracticeBlock.objects.create(
                    currency_id=self._currency,
                    height=top.height + 1 if top else 0,
                    hash=secrets.token_hex(32),
                    at=timezone.now(),
                )
                block.transactions.add(*self._mempool())
        return self.tip()

    def reorganise(self, depth: int) -> None:
        """
        Let the newest blocks lose. Their transactions wait for a block again; mine as
        many and one more, as the chain that wins would have.
        """
        with self._deed():
            top = self._blocks().order_by("-height").values_list("pk", flat=True)
            PracticeBlock.objects.filter(pk__in=list(top[:depth])).update(
                is_active=False
            )

    def replace(self, txid: str, *payments: Payment) -> str:
        """
        Have whoever sent a transaction that is in no block send its coins elsewhere
        instead: to the payments, or to themselves. Returns the new txid.
        """
        old = self._find(txid)
        if old is None or old.blocks.filter(is_active=True).exists():
            raise RpcRefused("Only what is in no block can be replaced.")
        inputs = self.decode(old.raw).inputs
        back = Payment(self.outside_address(), _total(self.decode(old.raw).outputs))
        raw = _raw(self._currency, inputs, payments or [back])
        decoded = self.decode(raw)
        with self._deed():
            self._drop([old])
            self._write(decoded, raw, Decimal(0))
        return decoded.txid

    def evict(self, txid: str) -> None:
        """Let the mempool forget a transaction, as full ones do with cheap ones."""
        with self._deed():
            self._drop([row for row in self._mempool() if row.txid == txid])

    def resend(self, txid: str) -> None:
        """Let whoever sent a forgotten transaction send it once more."""
        with self._deed():
            rows = PracticeTransaction.objects.filter(currency=self._currency)
            rows.filter(txid=txid).update(is_dropped=False)

    def mempool(self) -> list[str]:
        """Return the ids of the transactions that wait for a block."""
        return [row.txid for row in self._mempool()]

    # --- The chain's rules ---------------------------------------------------------

    @contextmanager
    def _deed(self) -> Iterator[None]:
        """Change the chain, one at a time."""
        with transaction():
            lock_row(Currency(pk=self._currency))
            yield

    def _blocks(self) -> QuerySet[PracticeBlock]:
        return PracticeBlock.objects.filter(currency=self._currency, is_active=True)

    def _height(self, block_hash: str) -> int:
        """Return the height of a block of the chain; -1 where it is none."""
        block = self._blocks().filter(hash=block_hash).order_by("pk").first()
        return block.height if block else -1

    def _until(self, top: int, depth: int) -> str:
        return self._blocks().get(height=max(top + 1 - depth, 0)).hash

    def _find(self, txid: str) -> PracticeTransaction | None:
        rows = PracticeTransaction.objects.filter(currency=self._currency, txid=txid)
        return rows.order_by("pk").first()

    def _mempool(self) -> list[PracticeTransaction]:
        rows = PracticeTransaction.objects.filter(
            currency=self._currency, is_dropped=False
        ).exclude(blocks__is_active=True)
        return [row for row in rows.order_by("pk") if not self._winner(row)]

    def _rivals(self, row: PracticeTransaction) -> list[PracticeTransaction]:
        """Return the other transactions that spend one of its coins."""
        mine = Q()
        for point in self.decode(row.raw).inputs:
            mine |= Q(inputs__txid=point.txid, inputs__vout=point.vout)
        rows = PracticeTransaction.objects.filter(mine, currency=self._currency)
        return list(rows.exclude(pk=row.pk).distinct().order_by("pk"))

    def _winner(self, row: PracticeTransaction) -> PracticeBlock | None:
        """Return the block in which a rival spent its coins, if one did."""
        for rival in self._rivals(row):
            block = rival.blocks.filter(is_active=True).order_by("pk").first()
            if block is not None:
                return block
        return None

    def _confirmations(
        self, row: PracticeTransaction, block: PracticeBlock | None
    ) -> int:
        if block is not None:
            return self.tip().height + 1 - block.height
        winner = self._winner(row)
        return -(self.tip().height + 1 - winner.height) if winner else 0

    def _outputs(self, **kind: bool) -> QuerySet[Any]:
        """What pays our wallet, with height and hash of the block it is in, if any."""
        ours = PracticeAddress.objects.filter(currency=self._currency, **kind)
        block = self._blocks().filter(transactions=OuterRef("transaction"))
        return (
            PracticeOutput.objects.filter(
                transaction__currency=self._currency, address__in=ours.values("pk")
            )
            .select_related("transaction")
            .annotate(
                height=Subquery(block.values("height")[:1]),
                hash=Subquery(block.values("hash")[:1]),
            )
            .order_by("pk")
        )

    def _received(self, output: Any, top: int) -> Received:
        row = output.transaction
        if output.height is None:
            confirmations = self._confirmations(row, None)
        else:
            confirmations = top + 1 - output.height
        return Received(
            txid=row.txid,
            vout=output.vout,
            address=output.address,
            amount=output.amount,
            confirmations=confirmations,
            block_hash=output.hash or "",
            is_gone=confirmations < 0 or (confirmations == 0 and row.is_dropped),
        )

    def _value(self, point: Outpoint) -> Decimal:
        outputs = PracticeOutput.objects.filter(
            transaction__currency=self._currency,
            transaction__txid=point.txid,
            vout=point.vout,
        )
        output = outputs.order_by("pk").first()
        if output is None:
            raise BroadcastRefused("bad-txns-inputs-missingorspent", code=-25)
        return Decimal(output.amount)

    def _fee(self, decoded: Decoded) -> Decimal:
        have = sum((self._value(point) for point in decoded.inputs), Decimal(0))
        if have < _total(decoded.outputs):
            raise BroadcastRefused("bad-txns-in-belowout", code=-26)
        return have - _total(decoded.outputs)

    def _make_room(self, decoded: Decoded, fee: Decimal) -> None:
        """Refuse what spends a coin twice; drop what a higher fee replaces."""
        spends = Q()
        for point in decoded.inputs:
            spends |= Q(inputs__txid=point.txid, inputs__vout=point.vout)
        rivals = (
            PracticeTransaction.objects.filter(spends, currency=self._currency)
            .exclude(txid=decoded.txid)
            .distinct()
            .order_by("pk")
        )
        waiting = []
        for rival in rivals:
            if rival.blocks.filter(is_active=True).exists():
                raise BroadcastRefused("bad-txns-inputs-missingorspent", code=-25)
            if not rival.is_dropped:
                waiting.append(rival)
        if waiting and fee <= sum((rival.fee for rival in waiting), Decimal(0)):
            raise BroadcastRefused("insufficient fee, rejecting replacement", code=-26)
        self._drop(waiting)

    def _drop(self, rows: Iterable[PracticeTransaction]) -> None:
        keys = [row.pk for row in rows]
        PracticeTransaction.objects.filter(pk__in=keys).update(is_dropped=True)

    def _write(self, decoded: Decoded, raw: str, fee: Decimal) -> None:
        row, is_new = PracticeTransaction.objects.update_or_create(
            currency_id=self._currency,
            txid=decoded.txid,
            defaults={"is_dropped": False},
            create_defaults={"raw": raw, "fee": fee, "at": timezone.now()},
        )
        if not is_new:
            return
        PracticeInput.objects.bulk_create(
            PracticeInput(transaction=row, txid=point.txid, vout=point.vout)
            for point in decoded.inputs
        )
        PracticeOutput.objects.bulk_create(
            PracticeOutput(transaction=row, vout=vout, address=to, amount=amount)
            for vout, (to, amount) in enumerate(decoded.outputs)
        )

    def _own_address(self, *, is_change: bool) -> str:
        address = self.outside_address()
        PracticeAddress.objects.create(
            address=address, currency_id=self._currency, is_change=is_change
        )
        return address

    def _address(self, body: bytes) -> str:
        check = hashlib.sha256(self._currency.encode() + body).digest()[:_CHECK_BYTES]
        text = base64.b32encode(body + check).decode().lower()
        return f"{self._currency}{_MARK}{text}"

    def _unit(self) -> Decimal:
        return Currency.objects.get(pk=self._currency).unit


def _raw(currency: str, inputs: Sequence[Outpoint], outputs: Sequence[Payment]) -> str:
    told = {
        "chain": currency,
        "inputs": [[point.txid, point.vout] for point in inputs],
        "outputs": [[address, f"{amount:f}"] for address, amount in outputs],
    }
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode().hex()


def _size(inputs: Sequence[Outpoint], outputs: Sequence[Payment]) -> int:
    """Bytes, as many as a simple transaction of the real thing has."""
    return 10 + 148 * len(inputs) + 34 * len(outputs)


def _total(payments: Iterable[Payment]) -> Decimal:
    return sum((payment.amount for payment in payments), Decimal(0))
