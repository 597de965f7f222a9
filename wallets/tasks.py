"""
Jobs of the wallets. Each is safe to run twice, and side by side.

Note [What expires]: one worker does them all. What sends a job for each coin expires
before it is sent again, so that nothing piles up behind a node that hangs; the jobs it
sent do not, or the coins behind that one would never have their turn.
"""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from exchange.lib.errors import Busy
from wallets import payouts, reconcile, scanner, treasury
from wallets.chains.base import ChainError
from wallets.queries import coin_codes
from wallets.solvency import publish

_PATIENT = 600  # seconds: many nodes may hang


@shared_task(name="wallets.scan_chains", expires=3)
def scan_chains(**_ignored: object) -> None:
    """Have every coin looked through, each by a job of its own."""
    for currency in coin_codes():
        scan_chain.delay(currency=currency)


@shared_task(name="wallets.scan_chain", expires=_PATIENT)
def scan_chain(*, currency: str, **_ignored: object) -> int:
    """Look for what was paid to us in one coin."""
    return scanner.scan(currency, now=timezone.now())


@shared_task(name="wallets.prove_solvency", expires=600)
def prove_solvency(**_ignored: object) -> int:
    """Publish the proof of today, unless it is there or another run is at it."""
    now = timezone.now()
    if not publish.is_due(now=now):
        return 0
    try:
        publish.prove(now=now)
    except Busy:
        return 0
    return 1


@shared_task(name="wallets.pay_out", expires=5)
def pay_out(**_ignored: object) -> None:
    """Have the payouts of every coin looked after, each by a job of its own."""
    for currency in coin_codes():
        pay_out_coin.delay(currency=currency)


@shared_task(name="wallets.pay_out_coin", expires=_PATIENT)
def pay_out_coin(*, currency: str, **_ignored: object) -> None:
    """Bring the payouts of a coin as far as they get."""
    payouts.run(currency, now=timezone.now())


@shared_task(name="wallets.balance_wallets", expires=30)
def balance_wallets(**_ignored: object) -> None:
    """Have our own wallets of every coin looked after, each by a job of its own."""
    for currency in coin_codes():
        balance_wallet.delay(currency=currency)


@shared_task(name="wallets.balance_wallet", expires=_PATIENT)
def balance_wallet(*, currency: str, **_ignored: object) -> None:
    """Bring the moves between our own wallets of a coin as far as they get."""
    treasury.run(currency, now=timezone.now())


@shared_task(name="wallets.reconcile", expires=60)
def reconcile_hot_wallets(**_ignored: object) -> int:
    """Hold what the nodes say we have against the books."""
    done = 0
    for currency in coin_codes():
        try:
            found = reconcile.reconcile(currency, now=timezone.now())
        except ChainError:
            continue  # its scanner says so
        done += found is not None
    return done
