"""
Payouts: from an approved withdrawal to one that the chain has confirmed, and never two.

Each step is a short transaction, and the chain is asked between them. What we are going
to do is written before it is done, so that whoever comes after a crash asks "did it
happen?": the bytes of a payment are in our rows before the network sees them, and
whatever happens then, it is these bytes that are sent again, or bytes that spend the
same coins.

Note [Whose turn it is]: one worker at a time has a coin, by an advisory lock that ends
with its session. Should two meet all the same (a session that was cut off while its
process slept), each takes a payout by raising its fence, and who finds it raised when
writing writes nothing.

Note [The order of locks]: balances by id first, for `ledger.post_each` comes first in a
transaction; then the payout; then its withdrawals by id. Who cancels a withdrawal locks
the same way, and one that is in a payout can no longer be cancelled, so that nobody
holds it and waits for a balance of ours.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import IntegrityError, connection
from django.utils.translation import gettext_lazy as _

from accounts import notices
from accounts.models.members import Member
from exchange.lib import audit, states
from exchange.lib.errors import Conflict
from exchange.lib.money import ZERO, plain, round_up
from exchange.lib.transactions import transaction, transaction_required
from wallets import hot, ledger, signing
from wallets.chains import NoChain, chain_of
from wallets.chains.base import (
    BroadcastRefused,
    Chain,
    NodeUnreachable,
    Outpoint,
    Payment,
    RpcRefused,
    TooFewCoins,
    WalletLocked,
)
from wallets.hot import Trouble
from wallets.ledger import AVAILABLE, LOCKED, AlreadyPosted, House, Move, Reason
from wallets.models.coins import Rules
from wallets.models.hot import ForeignSend
from wallets.models.treasury import SENT, TreasuryMove
from wallets.models.withdrawals import (
    Payout,
    PayoutTransaction,
    SpentCoin,
    Withdrawal,
)
from wallets.solvency import assets

AT_ONCE = 500
# Of those that wait, how many are looked at for some that can be paid.
_LOOKED_AT = 2000
# So long a payment may wait for a block before its fee is raised, and again.
PATIENCE = timedelta(hours=2)
# So often a node that refused a batch is asked whom of it.
_TRIES_MAX = 100
_STEP = Decimal("1.5")  # a fee is raised by half at least; nodes ask for less
# So long, and so many of the newest, are watched when they are done.
_WATCHED_FOR, _WATCHED = timedelta(hours=6), 50
_WAITED_MAX = timedelta(days=14)  # for a block: what mempools forget after that
# What an input and an output take, and the rest of a transaction: at most.
_INPUT_SIZE, _OUTPUT_SIZE, _REST_SIZE = 150, 43, 60
_SIZE_MAX = 100_000  # nodes relay no larger transaction

_State = Payout.State
_PAUSED = _("Payouts of this coin are paused: somebody is looking into it.")
UNDER_WAY = (_State.BUILDING, _State.SIGNED, _State.BROADCAST)
AWAITED = (_State.SIGNED, _State.BROADCAST)


class NotAwaited(Conflict):
    """The payout waits for no block: it is not signed yet, or done."""

    code = "not_awaited"
    text = _("This payout does not wait for a block.")


class FenceLost(Exception):
    """Another worker has the payout now; whoever gets this writes nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The transaction by which the chain has a payout, whatever id we know it by."""

    txid: str
    fee: Decimal
    confirmations: int


def run(currency: str, *, now: datetime) -> None:
    """
    Bring all payouts of a coin as far as they get at the moment, and begin a new one.

    Safe to run at any time, twice, and after any crash. What keeps withdrawals waiting
    is noted with the hot wallet and not raised.
    """
    try:
        chain = chain_of(currency)
    except NoChain:
        return
    rules = Rules.objects.filter(pk=currency).order_by("pk").first()
    if rules is None:
        return
    with turn(currency) as is_ours:
        if not is_ours:
            return
        with _noting_trouble(currency, now):
            hot.look_for_foreign(chain, currency, now=now)
            _advance_all(chain, rules, now)
            payout = _claim(chain, rules, now)
            if payout is not None:
                _advance(chain, rules, payout, now)


def raise_fee(*, payout: Payout, by: str, reason: str) -> None:
    """
    Ask for a payout's fee to be raised; its worker does it within seconds.

    Raises NotAwaited.
    """
    with transaction():
        fresh = states.lock_row(payout)
        if fresh.state not in AWAITED:
            raise NotAwaited(state=fresh.state)
        fresh.wants_higher_fee = True
        fresh.save(update_fields=["wants_higher_fee"])
        audit.record(by, "asked_for_higher_fee", audit.label(fresh), reason=reason)


def why_waiting(currency: str) -> str:
    """Say why approved withdrawals of a coin wait at the moment; "" where they flow."""
    row = hot.of(currency)
    if row.paused_at is not None:
        return str(_PAUSED)
    return str(Trouble(row.trouble).label) if row.trouble else ""


# --- Whose turn it is ---------------------------------------------------------------


@contextlib.contextmanager
def turn(currency: str) -> Iterator[bool]:
    """Have the coin to ourselves; False where another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_lock(hashtext('payouts'), hashtext(%s))", [currency]
        )
        is_ours = bool(cursor.fetchone()[0])
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_unlock(hashtext('payouts'), hashtext(%s))",
                    [currency],
                )


@contextlib.contextmanager
def _noting_trouble(currency: str, now: datetime) -> Iterator[None]:
    """Note what the chain raises, and why it lets withdrawals wait."""
    try:
        yield
    except NodeUnreachable:
        hot.note_trouble(currency, Trouble.NODE_AWAY, now=now)
    except WalletLocked:
        hot.note_trouble(currency, Trouble.LOCKED, now=now, resting=True)
    except RpcRefused:
        hot.note_trouble(currency, Trouble.NODE_REFUSED, now=now, resting=True)


def _advance_all(chain: Chain, rules: Rules, now: datetime) -> None:
    rows = Payout.objects.filter(currency=rules.pk, state__in=UNDER_WAY)
    for payout in rows.order_by("pk"):
        _advance(chain, rules, payout, now)
    done = Payout.objects.filter(currency=rules.pk, state=_State.CONFIRMED)
    # Since they were booked, not begun: some have waited long for their block.
    young = done.filter(
        created_at__gt=now - _WAITED_MAX,
        withdrawals__updated_at__gt=now - _WATCHED_FOR,
    ).distinct()
    for payout in young.order_by("-pk")[:_WATCHED]:
        _watch(chain, payout)


def _watch(chain: Chain, payout: Payout) -> None:
    """
    Send a payout again that a deep reorganisation took out of its block. The books stay
    as they are: it will be in a block again, or somebody is told that it cannot.
    """
    seen, conflict = look(chain, payout)
    if conflict:
        _note_problem(payout, f"conflict: {conflict}")
    elif seen is None:
        _broadcast(chain, payout)
    elif payout.problem:
        with transaction():
            _drop_problem(_lock_ours(payout))


def _advance(chain: Chain, rules: Rules, payout: Payout, now: datetime) -> None:
    """Bring one payout as far as it gets; where we lose it, to another worker."""
    with contextlib.suppress(FenceLost):
        taken = _take(payout)
        if taken is not None and taken.state == _State.BUILDING:
            taken = _build(chain, rules, taken, now)
        if taken is not None and taken.state in AWAITED:
            _follow(chain, rules, taken, now)


def _take(payout: Payout) -> Payout | None:
    """Take the work on a payout over; None where somebody is writing it."""
    with transaction():
        fresh = lock_free(payout)
        if fresh is None or fresh.state not in UNDER_WAY:
            return None
        fresh.fence += 1
        fresh.save(update_fields=["fence"])
        return fresh


def lock_free(payout: Payout) -> Payout | None:
    """Lock a payout that nobody has locked; None where somebody has."""
    rows = Payout.objects.select_for_update(no_key=True, skip_locked=True)
    return rows.filter(pk=payout.pk).order_by("pk").first()


@transaction_required
def _lock_ours(payout: Payout) -> Payout:
    """Lock a payout that we took. Raises FenceLost where another has taken it since."""
    fresh = states.lock_row(payout)
    if fresh.fence != payout.fence:
        raise FenceLost
    return fresh


# --- Claim --------------------------------------------------------------------------


def _claim(chain: Chain, rules: Rules, now: datetime) -> Payout | None:
    """Begin a payout of the oldest approved withdrawals that can be paid now."""
    currency = rules.pk
    row = hot.of(currency)
    rests = row.try_at is not None and row.try_at > now
    if row.paused_at is not None or rests or not rules.pays_withdrawals:
        return None
    # Nothing leaves while an account is frozen: its owner may have done it in time.
    waiting = Withdrawal.objects.filter(
        currency=currency,
        state=Withdrawal.State.APPROVED,
        member__state=Member.State.ACTIVE,
    ).order_by("pk")
    if not waiting.exists():
        hot.note_well(currency)
        return None
    if (closed := _closed(chain, currency, now)) is not None:
        hot.note_trouble(currency, closed, now=now)
        return None
    try:
        rate = signing.fee_rate(chain, rules)
    except signing.FeeAbsurd:
        hot.note_trouble(currency, Trouble.FEE_ABSURD, now=now)
        return None
    picked, trouble = _pick(chain, rules, list(waiting[:_LOOKED_AT]), rate, now)
    if trouble is not None:
        hot.note_trouble(currency, trouble, now=now)
    elif picked and row.try_at is None:
        hot.note_well(
            currency
        )  # what signing ran into is over when something is signed
    return _begin(currency, picked, now)


def _closed(chain: Chain, currency: str, now: datetime) -> Trouble | None:
    """Say why nothing of a coin may be signed at the moment, whoever waits."""
    if chain.complaints(now=now):
        return Trouble.NODE_UNWELL
    return Trouble.UNCOVERED if assets.is_uncovered(currency) else None


def _pick(
    chain: Chain,
    rules: Rules,
    waiting: Sequence[Withdrawal],
    rate: Decimal,
    now: datetime,
) -> tuple[list[int], Trouble | None]:
    """
    Choose whom to pay, the oldest first, and say what is in the way of the others. One
    that is too large for what is there, or needs more coins than a transaction can
    spend, does not keep the smaller ones waiting. No two go to one address: a
    transaction of two equal payments could not be told from one.
    """
    currency = rules.pk
    coins = _free_coins(chain, currency)
    spending = rate * _INPUT_SIZE / 1000
    # What the largest one, two, three… of the coins can pay: so wallets choose them.
    worth = sorted((amount - spending for amount in coins.values()), reverse=True)
    rest = rate * _REST_SIZE / 1000
    reach = [sum_ - rest for sum_ in itertools.accumulate(w for w in worth if w > ZERO)]
    owed = ZERO
    each_costs = rate * _OUTPUT_SIZE / 1000
    left = signing.allowance(currency, free=coins, now=now)
    picked: list[int] = []
    addresses: set[str] = set()
    trouble: Trouble | None = None
    for one in waiting:
        if len(picked) == AT_ONCE or one.destination in addresses:
            continue
        if left is not None and one.net > left:
            trouble = Trouble.LIMIT_REACHED
            continue
        inputs = bisect.bisect_left(reach, owed + one.net + each_costs) + 1
        size = size_of(inputs=inputs, outputs=len(picked) + 2)
        if inputs > len(reach):
            trouble = trouble or _shortage(currency, UNDER_WAY)
        elif size > _SIZE_MAX:
            trouble = trouble or (None if picked else Trouble.TOO_FEW_COINS)
        elif rate * size / 1000 > rules.fee_max:
            trouble = trouble or (None if picked else Trouble.FEE_ABSURD)
        else:
            owed += one.net + each_costs
            left = None if left is None else left - one.net
            picked.append(one.pk)
            addresses.add(one.destination)
    return picked, trouble


def _shortage(currency: str, states: Sequence[Payout.State]) -> Trouble | None:
    """
    Name what a lack of coins means: nothing yet while they, or change, are on their way
    by payouts in one of these states, or by a move between our wallets.
    """
    payouts = Payout.objects.filter(currency=currency, state__in=states)
    moves = TreasuryMove.objects.filter(currency=currency, state__in=SENT)
    is_coming = payouts.exists() or moves.exists()
    return None if is_coming else Trouble.TOO_FEW_COINS


def _begin(currency: str, picked: Sequence[int], now: datetime) -> Payout | None:
    with transaction():
        claimed = lock_waiting(picked)
        if not claimed:
            return None
        payout = Payout.objects.create(currency_id=currency, created_at=now)
        keys = [each.pk for each in claimed]
        rows = Withdrawal.objects.filter(pk__in=keys)
        states.advance_all(rows, "build", by="system", payout=payout.pk)
        rows.update(updated_at=now)
    return payout


def lock_waiting(ids: Sequence[int]) -> list[Withdrawal]:
    """Lock those of the withdrawals that still wait and that nobody has locked."""
    rows = Withdrawal.objects.select_for_update(no_key=True, skip_locked=True)
    waiting = rows.filter(pk__in=ids, state=Withdrawal.State.APPROVED)
    return list(waiting.order_by("pk"))


def size_of(*, inputs: int, outputs: int) -> int:
    """Return about how many virtual bytes a transaction takes, rather too many."""
    return inputs * _INPUT_SIZE + outputs * _OUTPUT_SIZE + _REST_SIZE


def _free_coins(chain: Chain, currency: str) -> dict[Outpoint, Decimal]:
    """Return the wallet's coins that no payout of ours has spent."""
    coins = {coin.outpoint: coin.amount for coin in chain.coins()}
    for point in spent_of(currency, coins):
        coins.pop(point, None)
    return coins


def spent_of(currency: str, coins: Mapping[Outpoint, Decimal]) -> set[Outpoint]:
    """Return those of the coins that something of ours spends."""
    spent = SpentCoin.objects.filter(
        currency=currency, txid__in={point.txid for point in coins}
    )
    return {Outpoint(*row) for row in spent.values_list("txid", "vout")}


# --- Build and sign -----------------------------------------------------------------


def _build(chain: Chain, rules: Rules, payout: Payout, now: datetime) -> Payout | None:
    """
    Sign a payout's transaction and write it down, or give the payout up. It may have
    been begun a while ago, before a node went away: what stops others stops it, too.
    """
    if hot.of(payout.currency_id).paused_at is not None:
        return None
    closed = _closed(chain, payout.currency_id, now)
    if closed is not None or not rules.pays_withdrawals:
        _give_up(payout, now)
        if closed is not None:
            hot.note_trouble(payout.currency_id, closed, now=now)
        return None
    _set_doubtful_apart(chain, payout, now)
    rows = list(payout.withdrawals.order_by("pk"))
    if not rows:
        _give_up(payout, now)
        return None
    owed = [Payment(each.destination, each.net) for each in rows]
    try:
        signed = _sign(chain, rules, payout, owed, now=now)
    except TooFewCoins:
        trouble = _shortage(payout.currency_id, AWAITED)
    except signing.FeeAbsurd:
        trouble = Trouble.FEE_ABSURD
    except signing.LimitReached:
        trouble = Trouble.LIMIT_REACHED
    except WalletLocked:
        trouble = Trouble.LOCKED
    except signing.Unsafe as error:
        _give_up(payout, now, unsafe=str(error))
        return None
    except RpcRefused:
        refused, is_well = _refused_of(chain, rules, payout)
        if is_well and not refused and len(rows) > 1:
            # Together they are too much, as where a fee is above the node's own limit.
            _let_half_wait(payout, now)
            return _build(chain, rules, payout, now)
        _set_refused_apart(payout, refused, now)
        trouble = None if refused else Trouble.NODE_REFUSED
    else:
        signed_payout = _commit(payout, rows, signed, now)
        if hot.of(payout.currency_id).try_at is not None:
            hot.note_well(payout.currency_id)
        return signed_payout
    _give_up(payout, now)
    if trouble is not None:
        hot.note_trouble(payout.currency_id, trouble, now=now, resting=True)
    return None


def _set_doubtful_apart(chain: Chain, payout: Payout, now: datetime) -> None:
    """
    Hand what must not be paid as it stands to a person, and let wait whose owner was
    frozen; the others go on.
    """
    cold = signing.cold_spellings(chain, payout.currency_id)
    doubts = [
        (each, doubt)
        for each in payout.withdrawals.select_related("beneficiary").order_by("pk")
        if (doubt := signing.doubt_of(chain, each, cold))
    ]
    frozen = payout.withdrawals.exclude(member__state=Member.State.ACTIVE)
    if not doubts and not frozen.exists():
        return
    with transaction():
        _lock_ours(payout)
        for each, doubt in doubts:
            states.advance(each, "doubt", by="system", doubt=doubt)
            Withdrawal.objects.filter(pk=each.pk).update(updated_at=now)
            if doubt == "not_in_address_book":
                audit.alarm(audit.label(each), "destination_changed")
        frozen.update(updated_at=now)
        states.advance_all(frozen, "requeue", by="system")


def _set_refused_apart(
    payout: Payout, refused: Sequence[Withdrawal], now: datetime
) -> None:
    """Hand those that the node refuses to sign, each alone, to a person."""
    with transaction():
        _lock_ours(payout)
        for each in refused:
            states.advance(each, "doubt", by="system", doubt="not_signed")
            Withdrawal.objects.filter(pk=each.pk).update(updated_at=now)


def _let_half_wait(payout: Payout, now: datetime) -> None:
    """Let the younger half of a payout's withdrawals wait for the next one."""
    with transaction():
        rows = states.lock_rows(_lock_ours(payout).withdrawals.all())
        younger = [each.pk for each in rows[max(len(rows) // 2, 1) :]]
        waiting = Withdrawal.objects.filter(pk__in=younger)
        states.advance_all(waiting, "requeue", by="system")
        waiting.update(updated_at=now)


def _refused_of(
    chain: Chain, rules: Rules, payout: Payout
) -> tuple[list[Withdrawal], bool]:
    """
    Find by halves what a node refuses alone, and say whether it signs anything: where
    it refuses all of them, nothing is found, since it is the node that needs a person.

    Each try is some calls, while nobody else's turn comes. What so many tries have not
    found, those of the next batch do.
    """
    rate = chain.fee_rate() or rules.fee_rate_usual
    coins = {coin.outpoint: coin.amount for coin in chain.coins()}
    avoid = spent_of(payout.currency_id, coins)
    refused: list[Withdrawal] = []
    is_well = False
    groups = _halves(list(payout.withdrawals.order_by("pk")))
    tries = 0
    while groups and tries < _TRIES_MAX:
        group, tries = groups.pop(), tries + 1
        owed = [Payment(each.destination, each.net) for each in group]
        try:
            chain.build_signed(owed, fee_rate=rate, avoid=avoid)
        except RpcRefused:
            if len(group) == 1:
                refused += group
            else:
                groups += _halves(group)
        except TooFewCoins:
            continue
        else:
            is_well = True
    return (sorted(refused, key=lambda each: each.pk) if is_well else []), is_well


def _halves(rows: list[Withdrawal]) -> list[list[Withdrawal]]:
    """Cut in two, the younger ones first: what is popped are the older ones."""
    middle = len(rows) // 2
    return [half for half in (rows[middle:], rows[:middle]) if half]


def _sign(
    chain: Chain,
    rules: Rules,
    payout: Payout,
    owed: Sequence[Payment],
    *,
    now: datetime,
) -> signing.Checked:
    rate = signing.fee_rate(chain, rules)
    currency = payout.currency_id
    coins = {coin.outpoint: coin.amount for coin in chain.coins()}
    avoid = spent_of(currency, coins)
    free = {point: coins[point] for point in coins.keys() - avoid}
    signed = signing.sign(chain, owed, rules=rules, rate=rate, spend={}, avoid=avoid)
    signing.demand_within_limits(currency, signed.paid, free=free, now=now)
    return signed


def _give_up(payout: Payout, now: datetime, *, unsafe: str = "") -> None:
    """Let a payout go that nothing was signed for: its withdrawals wait again."""
    with transaction():
        fresh = _lock_ours(payout)
        fresh.withdrawals.update(updated_at=now)
        states.advance_all(fresh.withdrawals.all(), "requeue", by="system")
        states.advance(fresh, "give_up", by="system", why=unsafe)
        if unsafe:
            hot.pause(fresh.currency_id, hot.Pause.UNSAFE, now=now, what=unsafe)


def _commit(
    payout: Payout, rows: Sequence[Withdrawal], signed: signing.Checked, now: datetime
) -> Payout:
    """Write what was signed into our rows and the books: from here on it is spent."""
    with _fenced_by_coins(), transaction():
        _post(_signed_postings(payout.currency_id, rows), now)
        fresh = _lock_ours(payout)
        _write_down(fresh, signed, now)
        ours = fresh.withdrawals.all()
        paid = states.advance_all(ours, "sign", by="system", txid=signed.txid)
        if [each.pk for each in paid] != [each.pk for each in rows]:
            raise FenceLost
        fresh.withdrawals.update(updated_at=now)
        return states.advance(fresh, "sign", by="system", txid=signed.txid)


@contextlib.contextmanager
def _fenced_by_coins() -> Iterator[None]:
    """Lose to another worker who wrote one of the coins into another payout."""
    try:
        yield
    except IntegrityError as error:
        raise FenceLost from error


def _signed_postings(
    currency: str, rows: Sequence[Withdrawal]
) -> dict[str, list[Move]]:
    members = {each.member_id for each in rows}
    accounts = ledger.accounts_of(member_ids=members, currencies=[currency])
    in_transit = ledger.house(House.IN_TRANSIT, currency)
    fees = ledger.house(House.FEES, currency)
    postings = {}
    for each in rows:
        cause = each.cause("signed")
        account = accounts[each.member_id, currency]
        parts = (
            (in_transit, each.net, Reason.WITHDRAWAL_SIGNED),
            (fees, each.fee, Reason.WITHDRAWAL_FEE),
        )
        postings[cause] = [
            Move(account, LOCKED, target, AVAILABLE, amount, reason.value, cause)
            for target, amount, reason in parts
            if amount > ZERO
        ]
    return postings


def _post(postings: dict[str, list[Move]], now: datetime) -> None:
    """Post, or find that another worker has. Raises FenceLost."""
    try:
        ledger.post_each(postings, at=now)
    except AlreadyPosted as error:
        raise FenceLost from error


def _write_down(payout: Payout, signed: signing.Checked, now: datetime) -> None:
    PayoutTransaction.objects.create(
        payout=payout,
        txid=signed.txid,
        raw=signed.raw,
        paid=signed.paid,
        fee=signed.fee,
        size=signed.size,
        at=now,
    )
    known = coins_of(payout)
    SpentCoin.objects.bulk_create(
        SpentCoin(
            payout=payout,
            currency_id=payout.currency_id,
            txid=point.txid,
            vout=point.vout,
            amount=amount,
        )
        for point, amount in signed.coins.items()
        if point not in known
    )


def coins_of(payout: Payout) -> dict[Outpoint, Decimal]:
    """Return what a payout spends, by all of its transactions."""
    rows = payout.coins.order_by("pk").values_list("txid", "vout", "amount")
    return {Outpoint(txid, vout): amount for txid, vout, amount in rows}


# --- Send and follow ----------------------------------------------------------------


def _follow(chain: Chain, rules: Rules, payout: Payout, now: datetime) -> None:
    """Send a signed payout, see it confirmed, and help where it is stuck."""
    seen, conflict = look(chain, payout)
    if conflict:
        # Only a person can tell what to do: nothing is paid back here, nor paid again.
        _note_problem(payout, f"conflict: {conflict}")
        return
    if seen is None and _broadcast(chain, payout):
        seen, _conflict = look(chain, payout)
    if seen is not None:
        link = "" if chain.is_practice else rules.link_to(seen.txid)
        payout = _note_sent(payout, seen, link, now)
        if seen.confirmations >= required(rules, payout):
            _confirm(payout, seen, now)
        if seen.confirmations > 0:
            return
    newest = payout.transactions.order_by("-pk").first()
    is_late = newest is not None and now - newest.at > PATIENCE
    if newest is not None and (payout.wants_higher_fee or is_late):
        _bump(chain, rules, payout, newest, now)


def look(chain: Chain, payout: Payout) -> tuple[Seen | None, str]:
    """
    Return how the chain has a payout, in a block or else in the mempool: by one of our
    transactions, or by one that somebody made of it (W-1). And, where there is one, the
    id of the transaction that took its coins for good and paid somebody else.
    """
    waiting = None
    rivals = set(_foreign_since(payout))
    own = {row.txid: row.fee for row in payout.transactions.order_by("-pk")}
    for txid, fee in own.items():
        fate = chain.fate(txid)
        if fate is None:
            continue
        if fate.confirmations > 0:
            return Seen(txid, fee, fate.confirmations), ""
        if fate.is_in_mempool:
            waiting = waiting or Seen(txid, fee, 0)
        rivals |= set(fate.conflicts)
    coins = coins_of(payout)
    for txid in sorted(rivals - own.keys()):
        fate = chain.fate(txid)
        if fate is None or not coins.keys() & set(fate.decoded.inputs):
            continue
        if signing.payout_paid_by(chain, payout.currency_id, fate.decoded) == payout:
            fee = signing.total(coins[point] for point in fate.decoded.inputs)
            fee -= signing.total(amount for _to, amount in fate.decoded.outputs)
            if fate.confirmations > 0:
                return Seen(txid, fee, fate.confirmations), ""
            if fate.is_in_mempool:
                waiting = waiting or Seen(txid, fee, 0)
        elif fate.confirmations > 0:
            return None, txid
    return waiting, ""


def _foreign_since(payout: Payout) -> list[str]:
    rows = ForeignSend.objects.filter(
        currency=payout.currency_id, found_at__gte=payout.created_at
    )
    return list(rows.values_list("txid", flat=True))


def _broadcast(chain: Chain, payout: Payout) -> bool:
    """
    Hand a payout to the network, the transaction with the highest fee first; say
    whether it took one.
    """
    refusal = ""
    for row in payout.transactions.order_by("-pk"):
        try:
            chain.broadcast(row.raw)
        except BroadcastRefused as error:
            refusal = refusal or str(error)
        else:
            return True
    _note_problem(payout, f"refused: {refusal}"[:200])
    return False


def _note_sent(payout: Payout, seen: Seen, link: str, now: datetime) -> Payout:
    """Write down that the network has a payout, and how deep it is buried."""
    with transaction():
        fresh = _lock_ours(payout)
        rows = fresh.withdrawals.order_by("pk")
        rows = rows.select_related("member", "beneficiary")
        if fresh.state == _State.SIGNED:
            for each in states.advance_all(rows, "send", by="system"):
                _tell_sent(each, seen.txid, link)
            rows.update(updated_at=now)
            fresh = states.advance(fresh, "send", by="system")
        changed = rows.exclude(confirmations=seen.confirmations)
        changed.update(confirmations=seen.confirmations, updated_at=now)
        _drop_problem(fresh)
    return fresh


def _drop_problem(payout: Payout) -> None:
    """Let go what was in the way of a payout that the chain has now."""
    if payout.problem.startswith(("refused", "conflict")):
        payout.problem = ""
        payout.save(update_fields=["problem"])


def _tell_sent(withdrawal: Withdrawal, txid: str, link: str) -> None:
    notices.tell(
        withdrawal.member,
        notices.Event.WITHDRAWAL_SENT,
        net=plain(withdrawal.net),
        currency=withdrawal.currency_id.upper(),
        label=withdrawal.beneficiary.label,
        destination=withdrawal.destination,
        txid=txid,
        explorer=link,
    )


def required(rules: Rules, payout: Payout) -> int:
    """Return how deep a payout must be buried: as its largest payment would be."""
    largest = max(payout.withdrawals.values_list("net", flat=True))
    tiers = rules.tiers.filter(amount_from__lte=largest).order_by("-amount_from")
    return next(iter(tiers.values_list("confirmations", flat=True)[:1]), 1)


def _confirm(payout: Payout, seen: Seen, now: datetime) -> None:
    """Book that the coins have left, and what the miners got, once."""
    currency = payout.currency_id
    rows = list(payout.withdrawals.order_by("pk"))
    hot_account = ledger.house(House.HOT, currency)
    in_transit = ledger.house(House.IN_TRANSIT, currency)
    postings = {
        cause: [_leaving(in_transit, hot_account, each.net, _SENT, cause)]
        for each in rows
        if (cause := f"withdrawal:{each.pk}:sent")
    }
    cause = f"payout:{payout.pk}:sent"
    miners = ledger.house(House.NETWORK_FEES, currency)
    postings[cause] = (
        [_leaving(miners, hot_account, seen.fee, Reason.NETWORK_FEE, cause)]
        if seen.fee > ZERO
        else []
    )
    with transaction():
        _post(postings, now)
        fresh = _lock_ours(payout)
        ours = fresh.withdrawals.all()
        states.advance_all(ours, "confirm", by="system", txid=seen.txid)
        fresh.withdrawals.update(updated_at=now, confirmations=seen.confirmations)
        fee = plain(seen.fee)
        states.advance(fresh, "confirm", by="system", txid=seen.txid, fee=fee)


_SENT = Reason.WITHDRAWAL_SENT


def _leaving(
    source: int, target: int, amount: Decimal, reason: Reason, cause: str
) -> Move:
    return Move(source, AVAILABLE, target, AVAILABLE, amount, reason.value, cause)


# --- A higher fee -------------------------------------------------------------------


def _bump(
    chain: Chain,
    rules: Rules,
    payout: Payout,
    newest: PayoutTransaction,
    now: datetime,
) -> None:
    """
    Replace a payout's transaction by one with a higher fee that spends all its coins,
    so that of the two one is confirmed at most. The old one stays in our rows.
    """
    currency = payout.currency_id
    if hot.of(currency).paused_at is not None:
        return
    before = newest.fee * 1000 / newest.size
    usual = chain.fee_rate() or rules.fee_rate_usual
    rate = round_up(max(usual, before * _STEP), rules.currency.unit)
    coins = {coin.outpoint: coin.amount for coin in chain.coins()}
    try:
        signing.demand_sane_rate(rate, rules)
        signed = signing.sign(
            chain,
            signing.owed_by(payout),
            rules=rules,
            rate=rate,
            spend=coins_of(payout),
            avoid=spent_of(currency, coins) - coins_of(payout).keys(),
        )
    except (
        *(signing.FeeAbsurd, signing.Unsafe),
        *(TooFewCoins, WalletLocked, RpcRefused),
    ) as error:
        # It goes on waiting, and the others go on.
        _note_problem(payout, f"fee not raised: {error}"[:200])
        return
    with _fenced_by_coins(), transaction():
        fresh = _lock_ours(payout)
        _write_down(fresh, signed, now)
        fresh.wants_higher_fee = False
        fresh.save(update_fields=["wants_higher_fee"])
        audit.record("system", "raised_fee", audit.label(fresh), txid=signed.txid)
    try:
        chain.broadcast(signed.raw)
    except BroadcastRefused as error:
        # A node that replaces nothing: the first one goes on waiting.
        _note_problem(payout, f"not replaced: {error}"[:200])


def _note_problem(payout: Payout, words: str) -> None:
    """Write down what an operator must look into, and wake one, once."""
    with transaction():
        fresh = _lock_ours(payout)
        if fresh.problem == words and not fresh.wants_higher_fee:
            return
        is_news = fresh.problem != words
        fresh.problem, fresh.wants_higher_fee = words, False
        fresh.save(update_fields=["problem", "wants_higher_fee"])
        if is_news:
            audit.alarm(audit.label(fresh), "payout_in_trouble", problem=words)
