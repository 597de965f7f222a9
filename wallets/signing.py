"""
The signer: what it may be asked to sign, and whether what was signed says just that.

It trusts neither the rows that ask (they must be in the address book they name, and the
hot wallet has a limit that stands in the environment, not in the database) nor the node
that builds: the bytes are read anew, and compared with what is owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from django.conf import settings
from django.db.models import F, Max, Min

from exchange.lib.errors import UpstreamError
from exchange.lib.money import EXACT, ZERO
from wallets.chains.base import Chain, Decoded, Outpoint, Payment
from wallets.models.coins import Rules
from wallets.models.withdrawals import Payout, PayoutTransaction, SpentCoin, Withdrawal


class FeeAbsurd(UpstreamError):
    """The miners would get more than the rules allow."""


class LimitReached(UpstreamError):
    """The hot wallet has paid out what it may in an hour, or in a day."""


class Unsafe(UpstreamError):
    """The bytes say something else than what is owed: never send them."""

    is_transient = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A transaction that was signed and says what it should."""

    raw: str
    txid: str
    coins: dict[Outpoint, Decimal]  # what it spends
    paid: Decimal  # what others get
    fee: Decimal
    size: int


def fee_rate(chain: Chain, rules: Rules) -> Decimal:
    """
    Return what a thousand virtual bytes shall cost. Raises FeeAbsurd.
    """
    rate = chain.fee_rate() or rules.fee_rate_usual
    demand_sane_rate(rate, rules)
    return rate


def demand_sane_rate(rate: Decimal, rules: Rules) -> None:
    """Raise FeeAbsurd where the rate is above what the rules allow."""
    if rate > rules.fee_rate_max:
        raise FeeAbsurd(f"{rate} for a thousand bytes, {rules.fee_rate_max} allowed")


def doubt_of(chain: Chain, withdrawal: Withdrawal, cold: Collection[str]) -> str:
    """
    Say why a withdrawal must not be paid as it stands; "" where it may be. `cold` is
    what `cold_spellings` says: the same for all of a coin.
    """
    if withdrawal.destination != withdrawal.beneficiary.destination:
        return "not_in_address_book"
    if not chain.is_address(withdrawal.destination):
        return "bad_address"
    if withdrawal.destination in cold or chain.is_ours(withdrawal.destination):
        return "own_address"
    return ""


def is_own(chain: Chain, currency: str, address: str) -> bool:
    """Say whether a sound address is one of the house's, hot or cold."""
    return address in cold_spellings(chain, currency) or chain.is_ours(address)


def cold_spellings(chain: Chain, currency: str) -> frozenset[str]:
    """
    Return where cold storage is, as the environment spells it, which may be as a
    keeper's paper does, and as the chain does.
    """
    cold = settings.COLD_ADDRESSES.get(currency, ())
    return frozenset({*cold, *map(chain.spelled, cold)})


def sign(
    chain: Chain,
    owed: Sequence[Payment],
    *,
    rules: Rules,
    rate: Decimal,
    spend: Mapping[Outpoint, Decimal],
    avoid: Collection[Outpoint],
) -> Checked:
    """
    Have the wallet pay what is owed by one transaction that spends all of `spend` and
    nothing of `avoid`, and check its bytes.

    Raises FeeAbsurd, Unsafe, and what `Chain.build_signed` raises.
    """
    values = {coin.outpoint: coin.amount for coin in chain.coins()} | dict(spend)
    signed = chain.build_signed(owed, fee_rate=rate, spend=[*spend], avoid=avoid)
    told = chain.decode(signed.raw)
    strange = set(told.inputs) - values.keys() | set(told.inputs) & set(avoid)
    if strange or len(set(told.inputs)) != len(told.inputs):
        raise Unsafe(f"{told.txid} spends {strange or 'a coin twice'}")
    if not set(spend) <= set(told.inputs):
        raise Unsafe(f"{told.txid} does not spend what it replaces")
    if not _pays_exactly(chain, told, owed):
        raise Unsafe(f"{told.txid} does not pay what is owed")
    coins = {point: values[point] for point in told.inputs}
    fee = total(coins.values()) - total(amount for _to, amount in told.outputs)
    if fee < ZERO:
        raise Unsafe(f"{told.txid} pays more than it spends")
    if fee > rules.fee_max:
        raise FeeAbsurd(f"{fee} for {told.txid}, {rules.fee_max} allowed")
    paid = total(payment.amount for payment in owed)
    return Checked(signed.raw, told.txid, coins, paid, fee, told.size)


def allowance(
    currency: str, *, free: Mapping[Outpoint, Decimal], now: datetime
) -> Decimal | None:
    """
    Return what the hot wallet may still pay out, by the limits of the environment and
    by what was signed; None where there is no limit. `free` are its coins that no
    payout spends.
    """
    hour = timedelta(hours=1)
    limits = (
        (settings.HOT_WALLET_OUT_PER_HOUR, hour),
        (settings.HOT_WALLET_OUT_PER_DAY, timedelta(days=1)),
    )
    left = [
        limit[currency] - _paid_since(currency, now - span)
        for limit, span in limits
        if currency in limit
    ]
    if (share := settings.HOT_WALLET_SHARE_PER_HOUR.get(currency)) is not None:
        paid = _paid_since(currency, now - hour)
        held = [*free.values(), _change_awaited(currency, free), paid]
        with localcontext(EXACT):
            left.append(share * total(held) - paid)
    return max(min(left), ZERO) if left else None


def demand_within_limits(
    currency: str, paid: Decimal, *, free: Mapping[Outpoint, Decimal], now: datetime
) -> None:
    """Raise LimitReached where paying so much more is too much."""
    left = allowance(currency, free=free, now=now)
    if left is not None and paid > left:
        raise LimitReached(f"{paid} {currency} to be paid out, {left} allowed")


def payout_paid_by(chain: Chain, currency: str, told: Decoded) -> Payout | None:
    """
    Return the payout that a transaction, whatever its id, is a payment of: it spends
    coins of that payout and no others, and pays what is owed. None where there is none.
    """
    spent = SpentCoin.objects.filter(
        currency=currency,
        txid__in={point.txid for point in told.inputs},
        payout__isnull=False,
    ).select_related("payout")
    payouts = {
        Outpoint(coin.txid, coin.vout): coin.payout for coin in spent if coin.payout
    }
    if not told.inputs or not set(told.inputs) <= payouts.keys():
        return None
    found = {payouts[point] for point in told.inputs}
    if len(found) != 1:
        return None
    (payout,) = found
    return payout if _pays_exactly(chain, told, owed_by(payout)) else None


def owed_by(payout: Payout) -> list[Payment]:
    """Return what a payout has to pay, in the order of its withdrawals."""
    rows = payout.withdrawals.order_by("pk")
    return [Payment(*row) for row in rows.values_list("destination", "net")]


def _pays_exactly(chain: Chain, told: Decoded, owed: Sequence[Payment]) -> bool:
    """Say whether each payment is made once, and the rest, one output, is ours."""
    rest = Counter(told.outputs)
    rest.subtract(Counter(owed))
    if any(count < 0 for count in rest.values()):
        return False
    change = list(rest.elements())
    return len(change) <= 1 and all(chain.is_ours(to) for to, _amount in change)


def _paid_since(currency: str, since: datetime) -> Decimal:
    """Sum what was signed, each payout once, however often its fee was raised."""
    signed = (
        PayoutTransaction.objects.filter(payout__currency=currency)
        .values("payout")
        .annotate(first_at=Min("at"), out=Max(F("paid") + F("fee")))
        .filter(first_at__gt=since)
    )
    return total(row["out"] for row in signed)


def _change_awaited(currency: str, free: Iterable[Outpoint]) -> Decimal:
    """
    Sum what comes back to us from payouts that wait for a block. Of one that is in a
    block, if not deep enough yet, the change is a coin like others.
    """
    awaited = Payout.objects.filter(
        currency=currency, state__in=[Payout.State.SIGNED, Payout.State.BROADCAST]
    )
    awaited = awaited.exclude(withdrawals__confirmations__gt=0)
    awaited = awaited.exclude(transactions__txid__in={point.txid for point in free})
    spent = SpentCoin.objects.filter(payout__in=awaited)
    left = (
        PayoutTransaction.objects.filter(payout__in=awaited)
        .values("payout")
        .annotate(out=Max(F("paid") + F("fee")))
    )
    came = total(spent.values_list("amount", flat=True))
    return total([came, *(-row["out"] for row in left)])


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum; the usual 28 digits are fewer than an amount may have."""
    with localcontext(EXACT):
        return sum(amounts, ZERO)
