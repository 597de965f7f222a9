"""
The hot wallet's own state: why it does not pay at the moment, and what it sent without
us.

Trouble passes by itself; it is tried again. A pause is lifted by an operator alone: it
comes where something happened that we cannot explain, and signing on could pay twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from exchange.lib import audit, states
from exchange.lib.errors import Conflict
from exchange.lib.money import plain
from exchange.lib.transactions import transaction, transaction_required
from wallets import signing
from wallets.chains.base import Chain, Decoded
from wallets.models.hot import ForeignSend, HotWallet
from wallets.models.treasury import TreasuryMove
from wallets.models.withdrawals import Payout, PayoutTransaction, Withdrawal

Trouble = HotWallet.Trouble
Pause = HotWallet.Pause
State = Withdrawal.State

# What nobody need come for: a node that is away is its scanner's alarm.
_QUIET = {Trouble.NODE_AWAY, Trouble.NODE_UNWELL}
_AGAIN_AFTER = timedelta(minutes=1)
# So far below the tip we look again at what was sent.
_DEPTH = 100


class NotPaused(Conflict):
    """There is nothing to resume."""

    code = "not_paused"
    text = _("The payouts of this currency are not paused.")


def of(currency: str) -> HotWallet:
    """Return the hot wallet's row of a coin, making it on first touch."""
    return HotWallet.objects.get_or_create(currency_id=currency)[0]


def note_trouble(
    currency: str, trouble: HotWallet.Trouble, *, now: datetime, resting: bool = False
) -> None:
    """
    Say why withdrawals of a coin wait, and wake somebody, once. `resting` lets nothing
    be tried for a minute.
    """
    with transaction():
        row = states.lock_row(of(currency))
        row.try_at = now + _AGAIN_AFTER if resting else None
        is_news = row.trouble != trouble
        if is_news:
            row.trouble, row.trouble_since = trouble, now
        row.save(update_fields=["trouble", "trouble_since", "try_at"])
        if is_news and trouble not in _QUIET:
            audit.alarm(_subject(currency), "payouts_wait", why=trouble.value)


def note_well(currency: str) -> None:
    """Say that nothing keeps withdrawals of a coin waiting any more."""
    HotWallet.objects.filter(pk=currency).exclude(trouble="").update(
        trouble="", trouble_since=None, try_at=None
    )


@transaction_required
def pause(
    currency: str, why: HotWallet.Pause, *, now: datetime, **facts: object
) -> None:
    """Let nothing more be signed until an operator has looked; wake one."""
    row = states.lock_row(of(currency))
    if row.paused_at is None:
        row.paused_at, row.paused_why = now, why
        row.save(update_fields=["paused_at", "paused_why"])
    audit.alarm(_subject(currency), "payouts_paused", why=why.value, **facts)


def resume(*, currency: str, by: str, reason: str, now: datetime) -> None:
    """
    Let payouts go on, what the wallet sent without us having been looked at.

    Raises NotPaused.
    """
    with transaction():
        row = states.lock_row(of(currency))
        if row.paused_at is None:
            raise NotPaused(currency=currency)
        row.paused_at, row.paused_why = None, ""
        row.save(update_fields=["paused_at", "paused_why"])
        waiting = ForeignSend.objects.filter(currency=currency, accepted_at=None)
        txids = sorted(waiting.values_list("txid", flat=True))
        waiting.update(accepted_at=now, accepted_by=by)
        audit.record(
            by, "resumed_payouts", _subject(currency), reason=reason, accepted=txids
        )


def look_for_foreign(chain: Chain, currency: str, *, now: datetime) -> None:
    """
    Hold what the wallet sent against our rows; pause where they do not know it.

    A system that was restored from a backup finds here what it has paid since, before
    it pays anything: withdrawals that look like it are for a person to decide.
    """
    row = of(currency)
    # First the chain, then the rows: ours are written before the chain hears of them.
    sent = chain.sent_since(row.sent_until, depth=_DEPTH)
    found = []
    for txid in sorted(_unknown(currency, sent.txids)):
        fate = chain.fate(txid)
        if fate is None or (_is_lost(currency, txid) and not fate.is_alive):
            continue
        is_twin = any(is_one(chain, currency, fate.decoded) for is_one in twins)
        outputs = [[to, plain(amount)] for to, amount in fate.decoded.outputs]
        found.append((txid, outputs, is_twin))
    with transaction():
        for txid, outputs, is_twin in found:
            ForeignSend.objects.get_or_create(
                currency_id=currency,
                txid=txid,
                defaults={
                    "outputs": outputs,
                    "found_at": now,
                    "accepted_at": now if is_twin else None,
                    "accepted_by": "system" if is_twin else "",
                },
            )
        foreign = [(txid, outputs) for txid, outputs, is_twin in found if not is_twin]
        if foreign:
            txids = [txid for txid, _outputs in foreign]
            pause(currency, Pause.SENT_WITHOUT_US, now=now, txids=txids)
            paid = {
                (to, amount) for _txid, outputs in foreign for to, amount in outputs
            }
            _doubt_what_looks_paid(currency, paid, now)
        HotWallet.objects.filter(pk=currency).update(sent_until=sent.until)


def known_txids(currency: str, txids: Collection[str]) -> set[str]:
    """
    Return those of the transactions that are payouts of ours. One that was given back
    is none any more: should the chain have it after all, it must not be paid again.
    """
    ours = PayoutTransaction.objects.filter(
        payout__currency=currency, txid__in=list(txids)
    ).exclude(payout__state=Payout.State.LOST)
    return set(ours.values_list("txid", flat=True))


def _is_lost(currency: str, txid: str) -> bool:
    payouts = PayoutTransaction.objects.filter(
        payout__currency=currency, txid=txid, payout__state=Payout.State.LOST
    )
    moves = TreasuryMove.objects.filter(
        currency=currency, txid=txid, state=TreasuryMove.State.CANCELLED
    )
    return payouts.exists() or moves.exists()


# Who else has the wallet send something says here which transactions are theirs.
knowers = [known_txids]


def _pays_a_payout(chain: Chain, currency: str, told: Decoded) -> bool:
    return signing.payout_paid_by(chain, currency, told) is not None


# And here whether one is theirs by its coins and outputs, under another id (W-1).
twins: list[Callable[[Chain, str, Decoded], bool]] = [_pays_a_payout]


def _unknown(currency: str, txids: Collection[str]) -> set[str]:
    seen = ForeignSend.objects.filter(currency=currency, txid__in=list(txids))
    unknown = set(txids) - set(seen.values_list("txid", flat=True))
    for knows in knowers:
        unknown -= knows(currency, unknown)
    return unknown


def _doubt_what_looks_paid(
    currency: str, paid: set[tuple[str, str]], now: datetime
) -> None:
    # Those in review, too: they may have been approved since our rows were written.
    waiting = Withdrawal.objects.filter(
        currency=currency,
        state__in=[State.REVIEW, State.APPROVED, State.BUILDING],
        destination__in={to for to, _amount in paid},
    ).order_by("pk")
    for each in waiting:
        if (each.destination, plain(Decimal(each.net))) not in paid:
            continue
        fresh = states.advance(each, "doubt", by="system", doubt="looks_paid")
        if each.state == State.REVIEW and fresh.state == State.REVIEW:
            fresh.doubts = [*fresh.doubts, "looks_paid"]
            fresh.save(update_fields=["doubts"])
            audit.record("system", "doubt", audit.label(fresh), doubt="looks_paid")
        Withdrawal.objects.filter(pk=each.pk).update(updated_at=now)


def _subject(currency: str) -> str:
    return f"hot_wallet:{currency}"
