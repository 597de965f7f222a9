"""
Looks through a chain for what was paid to us.

A scan asks the chain outside of any transaction and then writes what it heard, in short
ones. It asks for everything since the block where the last scan ended, less a depth
below which nothing is expected to change; so what is told twice is met again, and
recognised by its row. No notification is needed, and one only makes it look sooner.

A node that is not well is heard, and not believed: no money moves by its word. One that
loads its chain anew, or was set back to a copy of last week, has lost every payment
since; it must neither take those back nor freeze their owners.

Note [Turns]: what one scan heard may be older than what another has written. Each takes
a turn first, and whoever finds that somebody else has taken one since stops writing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Greatest

from exchange.lib import audit
from exchange.lib.states import lock_row
from exchange.lib.transactions import transaction
from wallets import addresses, deposits
from wallets.chains import NoChain, chain_of
from wallets.chains.base import Chain, ChainError, Fate, Outpoint, Received
from wallets.deposits import Policy, State
from wallets.models.deposits import Deposit, DepositAddress, Scan

log = logging.getLogger(__name__)

DEPTH = 100  # blocks; no reorganisation is expected to reach deeper
_AT_ONCE = 100  # deposits written in one transaction
_FORGOTTEN_AFTER = timedelta(days=14)  # by mempools (-mempoolexpiry)


class _Overtaken(Exception):
    """Somebody else has begun to scan since."""


def scan(currency: str, *, now: datetime) -> int:
    """
    Scan one chain; return how many outputs were told.

    A node that is away or unwell is written down, and looked for again the next time.
    """
    try:
        chain = chain_of(currency)
    except NoChain:
        return 0
    scan = _take_turn(currency)
    try:
        complaints = chain.complaints(now=now)
        tip = chain.tip()
        if tip.height < scan.height:
            complaints.append(f"the node is at {tip.height}, and was at {scan.height}")
        sighting = chain.since(scan.block_hash, depth=DEPTH)
        told = {Outpoint(r.txid, r.vout): r for r in sighting.received}
        told |= _fates(chain, currency, told, now)
    except ChainError as error:
        _note(currency, str(error), now=now)
        return 0
    try:
        _write(scan, list(told.values()), is_believed=not complaints, now=now)
        _finish(scan, sighting.until, tip.height, now)
    except _Overtaken:
        log.info("%s: another scan has begun since", currency)
        return 0
    if forgotten := _forgotten(currency, told):
        complaints.append(f"its wallet forgot {forgotten} credited deposits: rescan it")
    _note(currency, "; ".join(complaints), now=now)
    return len(told)


def _take_turn(currency: str) -> Scan:
    with transaction():
        Scan.objects.get_or_create(currency_id=currency)
        Scan.objects.filter(pk=currency).update(turn=F("turn") + 1)
        return Scan.objects.get(pk=currency)


def _fates(
    chain: Chain, currency: str, told: Mapping[Outpoint, Received], now: datetime
) -> dict[Outpoint, Received]:
    """Ask after the deposits that are open or young, and that the chain left out."""
    waiting = Q(state=State.SEEN) | Q(state=State.CREDITED, confirmations__lt=DEPTH)
    # What is gone for good is asked for no more; if it comes again, it is told.
    lately = Q(confirmations__gt=-DEPTH, seen_at__gt=now - _FORGOTTEN_AFTER)
    rows = Deposit.objects.filter(
        waiting | Q(state=State.GONE) & lately, currency=currency
    )
    fates: dict[str, Fate | None] = {}
    found = {}
    for deposit in rows.order_by("pk"):
        point = Outpoint(deposit.txid, deposit.vout)
        if point in told:
            continue
        if deposit.txid not in fates:
            fates[deposit.txid] = chain.fate(deposit.txid)
        fate = fates[deposit.txid]
        if fate is None and deposit.state == State.CREDITED:
            continue  # no chain makes a wallet forget what it had
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


def _forgotten(currency: str, told: Mapping[Outpoint, Received]) -> int:
    """Count the young credited deposits of which nothing is told, not even a fate."""
    rows = Deposit.objects.filter(
        currency=currency, state=State.CREDITED, confirmations__lt=DEPTH
    )
    return sum(Outpoint(*row) not in told for row in rows.values_list("txid", "vout"))


def _write(
    scan: Scan, told: Sequence[Received], *, is_believed: bool, now: datetime
) -> None:
    for start in range(0, len(told), _AT_ONCE):
        part = told[start : start + _AT_ONCE]
        _take_in(scan, part, is_believed=is_believed, now=now)
        if is_believed:
            _take_back(scan, [r for r in part if r.is_gone], now)


def _take_in(
    scan: Scan, part: Sequence[Received], *, is_believed: bool, now: datetime
) -> None:
    policy = Policy(scan.currency_id)
    with transaction():
        _lock_turn(scan)
        _add_new(scan.currency_id, part, policy, now)
        rows = _lock_deposits(scan.currency_id, part)
        news = {Outpoint(r.txid, r.vout): r for r in part}
        deposits.notice((row, news[point]) for point, row in rows.items())
        if is_believed:
            fresh = _lock_deposits(scan.currency_id, part)
            deposits.credit_due(fresh.values(), policy, now=now)


def _take_back(scan: Scan, gone: Sequence[Received], now: datetime) -> None:
    for told in gone:
        with transaction():
            _lock_turn(scan)
            for deposit in _lock_deposits(scan.currency_id, [told]).values():
                deposits.take_back(deposit, now=now)


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
    new = (
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
    Deposit.objects.bulk_create(new, ignore_conflicts=True)
    used = [row.pk for row in owners.values()]
    DepositAddress.objects.filter(pk__in=used, is_used=False).update(is_used=True)


def _lock_deposits(currency: str, part: Sequence[Received]) -> dict[Outpoint, Deposit]:
    points = {Outpoint(r.txid, r.vout) for r in part}
    rows = (
        Deposit.objects.select_for_update(no_key=True, of=("self",))
        .select_related("member")
        .filter(currency=currency, txid__in={r.txid for r in part})
        .order_by("pk")
    )
    found = {Outpoint(row.txid, row.vout): row for row in rows}
    return {point: row for point, row in found.items() if point in points}


def _finish(scan: Scan, until: str, height: int, now: datetime) -> None:
    with transaction():
        _lock_turn(scan)
        Scan.objects.filter(pk=scan.pk).update(
            block_hash=until, height=Greatest(F("height"), height), scanned_at=now
        )


def _lock_turn(scan: Scan) -> None:
    if lock_row(scan).turn != scan.turn:
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
