"""
Looks through a chain for what was paid to us.

A scan asks the chain outside of any transaction and then writes what it heard, in short
ones. It asks for everything since the block where the last scan ended, less a depth
below which nothing is expected to change; so what is told twice is met again, and
recognised by its row. No notification is needed, and one only makes it look sooner.

Note [Turns]: what one scan heard may be older than what another has written. Each takes
a turn first, and whoever finds that somebody else has taken one since stops writing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db.models import F, Q

from exchange.lib import audit
from exchange.lib.states import lock_row
from exchange.lib.transactions import transaction
from wallets import addresses
from wallets.chains import NoChain, chain_of
from wallets.chains.base import Chain, ChainError, Outpoint, Received
from wallets.deposits import Policy, State, follow
from wallets.models.currencies import Currency
from wallets.models.deposits import Deposit, DepositAddress, Scan

log = logging.getLogger(__name__)

DEPTH = 100  # blocks; no reorganisation is expected to reach deeper
_AT_ONCE = 100  # deposits written in one transaction


class _Overtaken(Exception):
    """Somebody else has begun to scan since."""


def scan_all(*, now: datetime) -> int:
    """Scan every coin that has a chain here; return how many outputs were told."""
    coins = Currency.objects.filter(kind=Currency.Kind.COIN).order_by("sort_order")
    return sum(scan(code, now=now) for code in coins.values_list("code", flat=True))


def scan(currency: str, *, now: datetime) -> int:
    """
    Scan one chain; return how many outputs were told.

    A node that is away or unwell is written down, and looked for again the next time.
    """
    try:
        chain = chain_of(currency)
    except NoChain:
        return 0
    turn, start = _take_turn(currency)
    try:
        complaints = chain.complaints(now=now)
        tip = chain.tip()
        sighting = chain.since(start, depth=DEPTH)
        told = {Outpoint(r.txid, r.vout): r for r in sighting.received}
        told |= _fates(chain, currency, told)
    except ChainError as error:
        _note(currency, str(error), now=now)
        return 0
    try:
        _write(currency, turn, list(told.values()), now)
        _finish(currency, turn, sighting.until, tip.height, now)
    except _Overtaken:
        log.info("%s: another scan has begun since", currency)
        return 0
    _note(currency, "; ".join(complaints), now=now)
    return len(told)


def _take_turn(currency: str) -> tuple[int, str]:
    with transaction():
        Scan.objects.get_or_create(currency_id=currency)
        Scan.objects.filter(pk=currency).update(turn=F("turn") + 1)
        row = Scan.objects.get(pk=currency)
    return row.turn, row.block_hash


def _fates(
    chain: Chain, currency: str, told: dict[Outpoint, Received]
) -> dict[Outpoint, Received]:
    """Ask after the deposits that are open or young, and that the chain left out."""
    open_or_young = Q(state__in=[State.SEEN, State.GONE]) | Q(
        state=State.CREDITED, confirmations__lt=DEPTH
    )
    rows = Deposit.objects.filter(open_or_young, currency=currency).order_by("pk")
    found = {}
    for deposit in rows:
        point = Outpoint(deposit.txid, deposit.vout)
        if point in told:
            continue
        fate = chain.fate(deposit.txid)
        found[point] = Received(
            txid=deposit.txid,
            vout=deposit.vout,
            address=deposit.address,
            amount=deposit.amount,
            confirmations=fate.confirmations if fate else 0,
            block_hash=fate.block_hash if fate else "",
            is_gone=fate is None
            or fate.confirmations < 0
            or (fate.confirmations == 0 and not fate.is_in_mempool),
        )
    return found


def _write(currency: str, turn: int, told: Sequence[Received], now: datetime) -> None:
    policy = Policy(currency)
    for start in range(0, len(told), _AT_ONCE):
        part = told[start : start + _AT_ONCE]
        with transaction():
            _lock_turn(currency, turn)
            _add_new(currency, part, policy, now)
            rows = _lock_deposits(currency, part)
            for received in part:
                if deposit := rows.get(Outpoint(received.txid, received.vout)):
                    follow(deposit, received, policy, now=now)


def _add_new(
    currency: str, part: Sequence[Received], policy: Policy, now: datetime
) -> None:
    known = _lock_deposits(currency, part)
    fresh = [r for r in part if Outpoint(r.txid, r.vout) not in known and r.amount > 0]
    if not fresh:
        return
    rows = DepositAddress.objects.filter(
        currency=currency, address__in={r.address for r in fresh}
    )
    owners = {row.address: row for row in rows.order_by("pk")}
    Deposit.objects.bulk_create(
        Deposit(
            currency_id=currency,
            member_id=owners[r.address].member_id if r.address in owners else None,
            address=r.address,
            txid=r.txid,
            vout=r.vout,
            amount=r.amount,
            state=State.SEEN if r.amount >= policy.minimum else State.TOO_SMALL,
            required=policy.required(r.amount),
            seen_at=now,
        )
        for r in fresh
        if r.address in owners or not addresses.is_houses(currency, r.address)
    )
    used = [row.pk for row in owners.values()]
    DepositAddress.objects.filter(pk__in=used, is_used=False).update(is_used=True)


def _lock_deposits(currency: str, part: Sequence[Received]) -> dict[Outpoint, Deposit]:
    rows = (
        Deposit.objects.select_for_update(no_key=True, of=("self",))
        .select_related("member")
        .filter(currency=currency, txid__in={r.txid for r in part})
        .order_by("pk")
    )
    return {Outpoint(row.txid, row.vout): row for row in rows}


def _finish(currency: str, turn: int, until: str, height: int, now: datetime) -> None:
    with transaction():
        _lock_turn(currency, turn)
        Scan.objects.filter(pk=currency).update(
            block_hash=until, height=height, scanned_at=now
        )


def _lock_turn(currency: str, turn: int) -> None:
    row = lock_row(Scan(pk=currency))
    if row.turn != turn:
        raise _Overtaken


def _note(currency: str, problem: str, *, now: datetime) -> None:
    """Write down what is wrong with a node, and say it once."""
    problem = problem[:200]
    with transaction():
        row = lock_row(Scan(pk=currency))
        if row.problem == problem:
            return
        if problem and not row.problem:
            row.problem_since = now
            audit.alarm(f"chain:{currency}", "chain_unwell", problem=problem)
        if not problem:
            row.problem_since = None
            audit.record("system", "chain_well", f"chain:{currency}")
        row.problem = problem
        row.save(update_fields=["problem", "problem_since"])
