"""
The node's figures beside the books', at each block.

What differs has a reason that we know, or wakes somebody: a coin that left without us,
a payment that was booked and never came. Other parts of the house that leave a
difference for a while add themselves to `explanations`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Q, Sum

from exchange.lib import audit
from exchange.lib.money import ZERO, plain
from exchange.lib.transactions import transaction
from wallets import payouts, queries, signing
from wallets.chains import NoChain, chain_of
from wallets.chains.base import Chain
from wallets.ledger import House
from wallets.models.deposits import Deposit
from wallets.models.hot import Reconciliation
from wallets.models.treasury import TreasuryMove
from wallets.models.withdrawals import Payout

_State = Deposit.State


def reconcile(currency: str, *, now: datetime) -> Reconciliation | None:
    """
    Compare what the node says the hot wallet holds with the books, and keep the result;
    once for each block. None where it was done, or where something moved meanwhile.

    What is unexplained at two blocks in a row is an alarm: at one, a deposit may have
    been seen by the node and not yet by us. Raises ChainError.
    """
    try:
        chain = chain_of(currency)
    except NoChain:
        return None
    tip = chain.tip()
    done = Reconciliation.objects.filter(currency=currency, block_hash=tip.hash)
    if done.exists():
        return None
    before = _books(currency)
    explained = {why: say(chain, currency) for why, say in explanations.items()}
    on_chain = signing.total(coin.amount for coin in chain.coins())
    if _books(currency) != before or chain.tip() != tip:
        return None
    unexplained = signing.total(
        [on_chain, -before[0], *(-x for x in explained.values())]
    )
    with transaction():
        row = Reconciliation.objects.create(
            currency_id=currency,
            height=tip.height,
            block_hash=tip.hash,
            at=now,
            on_chain=on_chain,
            in_books=before[0],
            explained={why: plain(each) for why, each in explained.items() if each},
            unexplained=unexplained,
        )
        if _is_news(row):
            audit.alarm(
                f"hot_wallet:{currency}",
                "holding_unexplained",
                amount=plain(unexplained),
                height=tip.height,
            )
    return row


def compare_cold(currency: str, *, held: Decimal) -> None:
    """
    Hold what the chain has in cold storage against the books, and wake somebody where
    they differ; not while coins are on their way.
    """
    under_way = TreasuryMove.objects.filter(
        currency=currency, state__in=["signed", "broadcast"]
    )
    unexplained = signing.total([held, queries.house_balance(House.COLD, currency)])
    if unexplained != ZERO and not under_way.exists():
        facts = {"amount": plain(unexplained)}
        audit.alarm(f"cold_storage:{currency}", "holding_unexplained", **facts)


def _books(currency: str) -> tuple[Decimal, int, int]:
    """
    Return what the books say the hot wallet holds, and marks that tell whether anything
    moved.
    """
    with transaction():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        held = -queries.house_balance(House.HOT, currency)
        under_way = Payout.objects.filter(
            currency=currency, state__in=payouts.UNDER_WAY
        )
        fences = under_way.aggregate(sum=Sum("fence"))["sum"] or 0
        return held, under_way.count(), fences


def _is_news(row: Reconciliation) -> bool:
    """Say whether the same is unexplained for the second time, not the third."""
    rows = Reconciliation.objects.filter(currency=row.currency_id).order_by("-pk")
    found = list(rows.values_list("unexplained", flat=True)[:3])
    same = [each == row.unexplained for each in found]
    return row.unexplained != ZERO and same[1:2] == [True] and same[2:3] != [True]


# --- What we know -------------------------------------------------------------------


def _waiting_deposits(_chain: Chain, currency: str) -> Decimal:
    """Deposits that are in a block and not yet deep enough."""
    return _deposits(currency, Q(state=_State.SEEN))


def _small_deposits(_chain: Chain, currency: str) -> Decimal:
    """Deposits that are kept and not credited."""
    return _deposits(currency, Q(state=_State.TOO_SMALL))


def _deposits(currency: str, which: Q) -> Decimal:
    rows = Deposit.objects.filter(which, currency=currency, confirmations__gt=0)
    return Decimal(rows.aggregate(sum=Sum("amount"))["sum"] or 0)


def _payouts_under_way(chain: Chain, currency: str) -> Decimal:
    """
    What payments that are not final have taken: in the mempool, all coins they spend,
    for change that waits for a block is not there yet either.
    """
    taken = []
    awaited = Payout.objects.filter(currency=currency, state__in=payouts.UNDER_WAY)
    for payout in awaited.order_by("pk"):
        seen, _conflict = payouts.look(chain, payout)
        fate = chain.fate(seen.txid) if seen is not None else None
        if seen is None or fate is None:
            continue
        coins = payouts.coins_of(payout)
        taken += [-coins[point] for point in fate.decoded.inputs]
        if fate.confirmations > 0:
            change = set(fate.decoded.outputs) - set(signing.owed_by(payout))
            taken += [amount for _to, amount in change]
    return signing.total(taken)


explanations: dict[str, Callable[[Chain, str], Decimal]] = {
    "deposits": _waiting_deposits,
    "dust": _small_deposits,
    "payouts": _payouts_under_way,
}
