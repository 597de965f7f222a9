"""
The treasury: how much of a coin is kept hot, and how it goes cold and comes back.

The hot wallet has a band, in the operator's rules. Above it a sweep to cold storage is
proposed, below it a refill; by the machine, or by an operator. Two operators have to
want it. A sweep is signed by the hot wallet, and pays an address of the environment,
never one of the database. A refill is a PSBT that whoever keeps cold storage signs
elsewhere and brings back: it must be, to the last unit, the one that was approved.

From the signed bytes on it goes as with payouts: they are in our rows before the
network has them, and it is these bytes that are sent again. It works in the same turn
as the payouts of the coin, and what it spends stands in the same table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib import audit, states
from exchange.lib.errors import Conflict, Invalid, NotAllowed, Refused
from exchange.lib.money import ZERO, is_multiple, plain, round_down, round_up
from exchange.lib.transactions import savepoint, transaction, transaction_required
from wallets import addresses, hot, ledger, payouts, queries, reconcile, signing
from wallets.chains import NoChain, chain_of
from wallets.chains.base import (
    BroadcastRefused,
    Chain,
    ChainError,
    Coin,
    Decoded,
    Fate,
    NodeUnreachable,
    Outpoint,
    Payment,
    TooFewCoins,
)
from wallets.ledger import AVAILABLE, House, Move, Reason
from wallets.models.coins import Rules
from wallets.models.deposits import DepositAddress
from wallets.models.hot import HotWallet
from wallets.models.treasury import SENT, TreasuryMove
from wallets.models.withdrawals import SpentCoin, Withdrawal

Kind = TreasuryMove.Kind
_State = TreasuryMove.State
OPEN = (_State.PROPOSED, _State.APPROVED, _State.SIGNED, _State.BROADCAST)
# What a refill pays is worth so many fees, or it is not planned, and smaller change
# goes to the miners: nodes do not relay a payment with an output so small, and what
# cold storage has signed cannot be undone.
_WORTH_FEES = 2


class NoColdStorage(Refused):
    """The environment names no address of cold storage for this coin."""

    code = "no_cold_storage"
    text = _("No cold storage is set up for this coin.")


class BadMove(Invalid):
    """An amount that cannot be moved, or more digits than the coin has."""

    code = "bad_move"
    text = _("Please give an amount that the coin can have.")


class OneAtATime(Conflict):
    """Another move of this coin is under way."""

    code = "one_move_at_a_time"
    text = _("Another move of this coin is under way. Finish or cancel it first.")


class OwnProposal(NotAllowed):
    """Two people have to want it."""

    code = "own_proposal"
    text = _("Somebody else has to approve what you proposed.")


class NotLost(Refused):
    """What was signed may still be confirmed."""

    code = "not_lost"
    text = _(
        "It may still be confirmed: no other transaction of its coins is deep enough."
    )


class NotSigned(Refused):
    """What was brought back is not what was approved, or not signed. Facts: why."""

    code = "not_signed"
    text = _("This is not the approved transaction, signed.")


class Holdings(NamedTuple):
    """What the books say we hold of a coin, and the band of the hot wallet."""

    hot: Decimal  # without what is signed away and waits for a block
    cold: Decimal
    waiting: Decimal  # approved withdrawals that are not signed
    low: Decimal
    high: Decimal  # 0: no upper end

    @property
    def middle(self) -> Decimal:
        return (self.low + self.high) / 2 if self.high else self.low


def holdings(currency: str) -> Holdings:
    """Return what we hold of a coin, by the books."""
    rules = Rules.objects.filter(pk=currency).order_by("pk").first()
    waiting = Withdrawal.objects.filter(
        currency=currency, state__in=[Withdrawal.State.APPROVED]
    ).aggregate(sum=Sum("net"))["sum"]
    return Holdings(
        hot=signing.total(
            -queries.house_balance(each, currency)
            for each in (House.HOT, House.IN_TRANSIT)
        ),
        cold=-queries.house_balance(House.COLD, currency),
        waiting=Decimal(waiting or ZERO),
        low=rules.hot_min if rules else ZERO,
        high=rules.hot_max if rules else ZERO,
    )


def cold_addresses(currency: str) -> tuple[str, ...]:
    """Return where cold storage is. Raises NoColdStorage."""
    found: tuple[str, ...] = settings.COLD_ADDRESSES.get(currency, ())
    if not found:
        raise NoColdStorage(currency=currency)
    return found


def _main_cold(chain: Chain, currency: str) -> str:
    """Return where sweeps go, as the chain spells it: signed bytes are compared so."""
    written = cold_addresses(currency)[0]
    if not (address := chain.spelled(written)):
        raise signing.Unsafe(f"{written} is no address of this chain")
    return address


def demand_sound(currency: str, amount: Decimal) -> None:
    """Raise NoColdStorage, BadMove or OneAtATime where this cannot be proposed."""
    cold_addresses(currency)
    rules = Rules.objects.select_related("currency").filter(pk=currency)
    found = rules.order_by("pk").first()
    if found is None or not amount > ZERO:
        raise BadMove
    if not is_multiple(amount, found.currency.unit):
        raise BadMove
    if TreasuryMove.objects.filter(currency=currency, state__in=OPEN).exists():
        raise OneAtATime(currency=currency)


# --- From the wish to the approval --------------------------------------------------


@transaction_required
def propose(
    *,
    currency: str,
    kind: TreasuryMove.Kind,
    amount: Decimal,
    operator: Member | None,
    reason: str,
    now: datetime,
) -> TreasuryMove:
    """
    Propose a move; by nobody, where the machine does. In the transaction of the desk's
    form.

    Raises NoColdStorage, BadMove, OneAtATime.
    """
    demand_sound(currency, amount)
    by = f"operator:{operator.pk}" if operator else "system"
    try:
        with savepoint():
            move = TreasuryMove.objects.create(
                currency_id=currency,
                kind=kind,
                amount=amount,
                proposer=operator,
                created_at=now,
                updated_at=now,
            )
    except IntegrityError as error:
        raise OneAtATime(currency=currency) from error
    facts = {"kind": str(kind), "amount": plain(amount), "reason": reason}
    audit.record(by, "treasury_proposed", audit.label(move), **facts)
    return move


def approve(
    *, move: TreasuryMove, operator: Member, reason: str, now: datetime
) -> TreasuryMove:
    """
    Add an operator's word. What the machine proposed becomes theirs, and waits for
    another; what another proposed is approved, and the worker goes on with it.

    Raises OwnProposal, IllegalMove.
    """
    by = f"operator:{operator.pk}"
    with transaction():
        fresh = states.lock_row(move)
        fresh.updated_at = now
        if fresh.proposer_id is None and fresh.state == _State.PROPOSED:
            fresh.proposer = operator
            fresh.save(update_fields=["proposer", "updated_at"])
            facts = {"reason": reason}
            audit.record(by, "treasury_wanted", audit.label(fresh), **facts)
            return fresh
        if fresh.proposer_id == operator.pk:
            raise OwnProposal
        fresh.save(update_fields=["updated_at"])
        return states.advance(
            fresh, "approve", by=by, approver=operator.pk, reason=reason
        )


def cancel(*, move: TreasuryMove, by: str, reason: str, now: datetime) -> TreasuryMove:
    """
    Give a move up: while nothing is signed, or where the chain shows that its coins
    went elsewhere for good. Nothing is booked before it is confirmed, so that there is
    nothing to undo. Raises IllegalMove, NotLost, ChainError.
    """
    is_signed = move.state in SENT
    if is_signed and not _is_lost(move, now):
        raise NotLost
    with transaction():
        TreasuryMove.objects.filter(pk=states.lock_row(move).pk).update(updated_at=now)
        verb = "lose" if is_signed else "cancel"
        return states.advance(move, verb, by=by, reason=reason)


def _is_lost(move: TreasuryMove, now: datetime) -> bool:
    """
    Say whether another transaction of its coins is as deep as anything must be.

    Of cold storage's coins our wallet knows no other transaction, only how deep the
    block is that rules ours out. What the network never took from us, nobody else has:
    there it is enough that a coin of it is spent.
    """
    chain = chain_of(move.currency_id)
    if chain.complaints(now=now):
        return False
    _txid, fate = _look(chain, move)
    if fate is None:
        never_taken = move.state == _State.SIGNED
        coins = _planned_coins(move)
        return never_taken and not all(chain.is_unspent(coin) for coin in coins)
    return -fate.confirmations >= _deepest(Rules.objects.get(pk=move.currency_id))


def _deepest(rules: Rules) -> int:
    tiers = rules.tiers.order_by("-confirmations").values_list("confirmations")[:1]
    return next((depth for (depth,) in tiers), 1)


def bring_back(
    *, move: TreasuryMove, psbt: str, by: str, now: datetime
) -> TreasuryMove:
    """
    Take what cold storage has signed; it is sent within seconds.

    It must spend the coins of the plan and no others, and pay its outputs and no
    others; and be good to be sent, with signatures that hold and no date of its own:
    once it is written down, it is these bytes or none. Raises NotSigned, IllegalMove,
    BroadcastRefused, NodeUnreachable.
    """
    chain = chain_of(move.currency_id)
    if not move.psbt:
        raise NotSigned(why="it is not planned yet")
    try:
        raw = chain.finished("".join(psbt.split()))
        told = chain.decode(raw)
    except NodeUnreachable:
        raise
    except ChainError as error:
        raise NotSigned(why=str(error)) from error
    coins = _planned_coins(move)
    if not _is_plan(move, told):
        raise NotSigned(why=f"{told.txid} is another transaction")
    if why := chain.refusal(raw):
        raise BroadcastRefused(why)
    return _commit(move, raw, told.txid, coins, move.fee, by=by, now=now)


# --- The worker ---------------------------------------------------------------------


def run(currency: str, *, now: datetime) -> None:
    """
    Propose what is needed, plan refills and sign sweeps that are approved, and follow
    what was signed.

    Safe to run at any time, twice, and after any crash.
    """
    try:
        chain = chain_of(currency)
        cold_addresses(currency)
    except (NoChain, NoColdStorage):
        return
    rules = Rules.objects.select_related("currency").filter(pk=currency)
    found = rules.order_by("pk").first()
    if found is None:
        return
    _plan_due(currency, now)
    with payouts.turn(currency) as is_ours:
        if not is_ours:
            return
        open_moves = TreasuryMove.objects.filter(currency=currency, state__in=OPEN)
        move = open_moves.order_by("pk").first()
        if move is None:
            _propose_needed(found, now)
            return
        try:
            if move.state == _State.APPROVED and move.kind == Kind.SWEEP:
                move = _sweep(chain, found, move, now)
            if move.state in SENT:
                _follow(chain, found, move, now)
        except NodeUnreachable:
            return  # its scanner says so
        except (ChainError, signing.FeeAbsurd, signing.Unsafe) as error:
            _note_problem(move, str(error))


def _plan_due(currency: str, now: datetime) -> None:
    """
    Plan a refill that was approved; outside of the turn, since reading cold storage can
    take minutes. What cannot be planned waits for an operator who gives it up.
    """
    due = TreasuryMove.objects.filter(
        currency=currency,
        kind=Kind.REFILL,
        state=_State.APPROVED,
        psbt="",
        problem="",
    )
    move = due.order_by("pk").first()
    if move is None:
        return
    try:
        plan, psbt, fee = _plan_refill(move)
    except NodeUnreachable:
        return  # its scanner says so
    except (BadMove, ChainError, signing.FeeAbsurd, signing.Unsafe) as error:
        _note_problem(move, str(error))
        return
    with transaction():
        fresh = states.lock_row(move)
        if fresh.state == _State.APPROVED and not fresh.psbt:
            fresh.plan, fresh.psbt, fresh.fee, fresh.updated_at = plan, psbt, fee, now
            fresh.save(update_fields=["plan", "psbt", "fee", "updated_at"])


def _propose_needed(rules: Rules, now: datetime) -> None:
    """Propose what brings the hot wallet into the middle of its band."""
    held, unit = holdings(rules.pk), rules.currency.unit
    is_short = HotWallet.objects.filter(
        pk=rules.pk, trouble=HotWallet.Trouble.TOO_FEW_COINS
    ).exists()
    if held.high and held.hot > held.high:
        amount, kind = round_down(held.hot - held.middle, unit), Kind.SWEEP
        why = "hot_wallet_too_full"
    elif held.hot < held.low or is_short:
        wanted = max(held.middle, held.waiting + rules.fee_max) - held.hot
        most = round_down(held.cold - rules.fee_max, unit)
        amount = min(round_up(wanted, unit), most)
        kind, why = Kind.REFILL, "hot_wallet_too_empty"
    else:
        return
    if amount <= ZERO:
        return
    with transaction():
        move = propose(
            currency=rules.pk,
            kind=kind,
            amount=amount,
            operator=None,
            reason=why,
            now=now,
        )
        audit.alarm(audit.label(move), why, amount=plain(amount), held=plain(held.hot))


def _sweep(
    chain: Chain, rules: Rules, move: TreasuryMove, now: datetime
) -> TreasuryMove:
    """Have the hot wallet pay cold storage, and write down what was signed."""
    if hot.of(rules.pk).paused_at is not None or chain.complaints(now=now):
        return move  # the alarm is the payouts', or the scanner's
    owed = [Payment(_main_cold(chain, rules.pk), move.amount)]
    coins = {coin.outpoint: coin.amount for coin in chain.coins()}
    signed = signing.sign(
        chain,
        owed,
        rules=rules,
        rate=signing.fee_rate(chain, rules),
        spend={},
        avoid=payouts.spent_of(rules.pk, coins),
    )
    told = chain.decode(signed.raw)
    move.plan = _written(signed.coins, told.outputs)
    return _commit(
        move, signed.raw, signed.txid, signed.coins, signed.fee, by="system", now=now
    )


def _commit(
    move: TreasuryMove,
    raw: str,
    txid: str,
    coins: dict[Outpoint, Decimal],
    fee: Decimal,
    *,
    by: str,
    now: datetime,
) -> TreasuryMove:
    """Write the signed bytes down: from here on their coins are spent."""
    with transaction():
        fresh = states.lock_row(move)
        if fresh.state in SENT:
            return fresh  # the plan was signed before, if with other bytes
        if fresh.state == _State.APPROVED:
            fresh.plan, fresh.raw, fresh.txid = move.plan, raw, txid
            fresh.fee, fresh.updated_at = fee, now
            fresh.save()
        signed = states.advance(fresh, "sign", by=by, txid=txid)
        SpentCoin.objects.bulk_create(
            SpentCoin(
                treasury_move=signed,
                currency_id=move.currency_id,
                txid=point.txid,
                vout=point.vout,
                amount=amount,
            )
            for point, amount in coins.items()
        )
        return signed


def _follow(chain: Chain, rules: Rules, move: TreasuryMove, now: datetime) -> None:
    """Send what was signed, see it confirmed, and book it."""
    txid, fate = _look(chain, move)
    if fate is None or not fate.is_alive:
        try:
            chain.broadcast(move.raw)
        except BroadcastRefused as error:
            _note_problem(move, str(error))
            return
    if move.state == _State.SIGNED:
        with transaction():
            move = states.advance(move, "send", by="system", txid=move.txid)
    is_late = now - move.updated_at > payouts.PATIENCE
    if is_late and fate is not None and fate.confirmations <= 0:
        _note_problem(move, "It has waited long for a block: its fee may be too low.")
    if fate is not None and fate.confirmations >= _deepest(rules):
        _confirm(move, txid, now)


def _look(chain: Chain, move: TreasuryMove) -> tuple[str, Fate | None]:
    """Return what became of a move, and under which id: its own, or a twin's (W-1)."""
    fate = chain.fate(move.txid)
    if fate is None or fate.is_alive:
        return move.txid, fate
    for txid in fate.conflicts:
        twin = chain.fate(txid)
        if twin is not None and twin.is_alive and _is_plan(move, twin.decoded):
            return txid, twin
    return move.txid, fate


def _confirm(move: TreasuryMove, txid: str, now: datetime) -> None:
    """Book that coins changed the wallet, and what the miners got, once."""
    currency, cause = move.currency_id, f"treasury:{move.pk}"
    hot_account = ledger.house(House.HOT, currency)
    cold_account = ledger.house(House.COLD, currency)
    # Custody accounts are minus what is held: who gets coins, goes down.
    is_sweep = move.kind == Kind.SWEEP
    sender = hot_account if is_sweep else cold_account
    target = cold_account if is_sweep else hot_account
    moves = [_entry(target, sender, move.amount, Reason.SWEEP, cause)]
    if move.fee > ZERO:
        miners = ledger.house(House.NETWORK_FEES, currency)
        moves.append(_entry(miners, sender, move.fee, Reason.NETWORK_FEE, cause))
    with transaction():
        fresh = states.lock_row(move)
        if fresh.state == _State.CONFIRMED:
            return
        ledger.post_once(cause, moves, at=now)
        TreasuryMove.objects.filter(pk=fresh.pk).update(updated_at=now)
        states.advance(fresh, "confirm", by="system", txid=txid)


def _entry(
    source: int, target: int, amount: Decimal, reason: Reason, cause: str
) -> Move:
    return Move(source, AVAILABLE, target, AVAILABLE, amount, reason.value, cause)


def _note_problem(move: TreasuryMove, words: str) -> None:
    """Write down what an operator must look into, and wake one, once."""
    with transaction():
        fresh = states.lock_row(move)
        if fresh.problem == words[:200]:
            return
        fresh.problem = words[:200]
        fresh.save(update_fields=["problem"])
        audit.alarm(audit.label(fresh), "treasury_in_trouble", problem=words[:200])


# --- The plan of a refill -----------------------------------------------------------


def _plan_refill(move: TreasuryMove) -> tuple[dict[str, object], str, Decimal]:
    """
    Choose coins of cold storage, the largest first, and write the transaction down:
    the amount to the hot wallet, the rest back to where it came from.
    """
    currency = move.currency_id
    chain, cold = chain_of(currency), cold_addresses(currency)
    rules = Rules.objects.select_related("currency").get(pk=currency)
    rate = signing.fee_rate(chain, rules)
    unspent = chain.unspent_of(cold)
    spent = payouts.spent_of(currency, {each.outpoint: ZERO for each in unspent.coins})
    coins: list[Coin] = []
    for coin in sorted(unspent.coins, key=lambda each: -each.amount):
        if coin.outpoint in spent:
            continue
        coins.append(coin)
        have = signing.total(each.amount for each in coins)
        size = payouts.size_of(inputs=len(coins), outputs=2)
        fee = round_up(rate * size / 1000, rules.currency.unit)
        if have >= move.amount + fee:
            break
    else:
        raise TooFewCoins("Cold storage has not that much.")
    if move.amount < _WORTH_FEES * fee:
        raise BadMove
    rest = have - move.amount - fee
    if rest < _WORTH_FEES * fee:
        fee, rest = fee + rest, ZERO
    if fee > rules.fee_max:
        raise signing.FeeAbsurd(f"{fee} for a refill, {rules.fee_max} allowed")
    to_hot = Payment(chain.new_address(), move.amount)
    outputs = [to_hot]
    if rest:
        outputs.append(Payment(_main_cold(chain, currency), rest))
    plan = _written({each.outpoint: each.amount for each in coins}, outputs)
    return plan, chain.unsigned(coins, outputs), fee


def _written(
    coins: dict[Outpoint, Decimal], outputs: Sequence[Payment]
) -> dict[str, object]:
    return {
        "coins": [[*point, plain(amount)] for point, amount in coins.items()],
        "outputs": [[to, plain(amount)] for to, amount in outputs],
    }


def _planned(move: TreasuryMove) -> list[Payment]:
    return [Payment(to, Decimal(amount)) for to, amount in move.plan["outputs"]]


def _is_plan(move: TreasuryMove, told: Decoded) -> bool:
    """Say whether a transaction spends the coins of the plan and pays its outputs."""
    is_paid = list(told.outputs) == _planned(move)
    return is_paid and sorted(told.inputs) == sorted(_planned_coins(move))


def _planned_coins(move: TreasuryMove) -> dict[Outpoint, Decimal]:
    rows = move.plan.get("coins", ())
    return {Outpoint(txid, vout): Decimal(amount) for txid, vout, amount in rows}


# --- What others ask ----------------------------------------------------------------


def install() -> None:
    """Tell the payouts, the scanner and the reconciliation what is ours."""
    hot.knowers.append(_known_txids)
    hot.twins.append(_is_twin)
    addresses.house_addresses.append(_is_refilled)
    reconcile.explanations["treasury"] = _under_way


def _known_txids(currency: str, txids: Collection[str]) -> set[str]:
    moves = TreasuryMove.objects.filter(currency=currency, txid__in=list(txids))
    moves = moves.exclude(state=_State.CANCELLED)  # lost: should it come, it is news
    return set(moves.values_list("txid", flat=True))


def _is_twin(_chain: Chain, currency: str, told: Decoded) -> bool:
    """Say whether a transaction is a move of ours under another id."""
    txids = {point.txid for point in told.inputs}
    moves = TreasuryMove.objects.filter(coins__currency=currency, coins__txid__in=txids)
    signed = moves.filter(state__in=[*SENT, _State.CONFIRMED]).distinct()
    return any(_is_plan(move, told) for move in signed)


def _is_refilled(currency: str, address: str) -> bool:
    """Say whether a refill pays that address of the hot wallet."""
    if DepositAddress.objects.filter(currency=currency, address=address).exists():
        return False
    refills = TreasuryMove.objects.filter(currency=currency, kind=Kind.REFILL)
    return any(
        address == to
        for plan in refills.exclude(plan={}).values_list("plan", flat=True)
        for to, _amount in plan["outputs"]
    )


def _under_way(chain: Chain, currency: str) -> Decimal:
    """What moves that are not booked yet have taken from the node's hot wallet."""
    changed = []
    moves = TreasuryMove.objects.filter(currency=currency, state__in=SENT)
    for move in moves.order_by("pk"):
        _txid, fate = _look(chain, move)
        if fate is None or not fate.is_alive:
            continue
        if move.kind == Kind.SWEEP:
            changed += [-amount for amount in _planned_coins(move).values()]
        if fate.confirmations > 0:
            outputs = fate.decoded.outputs
            changed += [amount for to, amount in outputs if chain.is_ours(to)]
    return signing.total(changed)
