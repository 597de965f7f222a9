"""
The payouts bench: some hundred withdrawals paid by one transaction.

On the practice chain, in a database of its own: from approved to sent, and from
a block to confirmed, with every entry, row and record of the trail. A real node takes
its own time to sign besides; what is measured is ours. Afterwards the bytes are read,
and the invariants hold.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models.members import Member
from exchange import invariants
from exchange.benches import world
from exchange.lib.transactions import transaction
from wallets import ledger, payouts
from wallets.chains.base import Payment
from wallets.chains.practice import Practice
from wallets.ledger import AVAILABLE, LOCKED, Move, Reason
from wallets.models.coins import Rules
from wallets.models.withdrawals import (
    Beneficiary,
    Payout,
    PayoutTransaction,
    Withdrawal,
)

CURRENCY = "btc"
RATE_WANTED = 100  # a batch of 500 leaves within the five seconds between two runs
_DEPTH = 12  # blocks: as deep as any tier of the seeds asks
_NET, _FEE = Decimal("0.01"), Decimal("0.0001")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--withdrawals", type=int, default=500, metavar="N")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of it all: does it run?"
    )


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Pay them all; `rate` is withdrawals a second from approved to sent."""
    count = int(options.get("withdrawals") or 500)
    if options.get("quick"):
        count = max(count // 10, 10)
    with world.database():
        members = world.people()
        chain = Practice(CURRENCY)
        coin = Payment(chain.new_address(), 2 * count * _NET)
        chain.pay(coin)
        chain.mine(2)
        Rules.objects.get_or_create(
            currency_id=CURRENCY, defaults={"withdrawal_min": _NET}
        )
        wanted = [
            _approved(members[number % len(members)], chain.outside_address())
            for number in range(count)
        ]
        sent_seconds, sent_queries = _timed(_work)
        chain.mine(_DEPTH)
        confirmed_seconds, confirmed_queries = _timed(_work)
        is_right = _is_right(chain, wanted)
        batches = Payout.objects.count()
        breaks = invariants.check_all()
    rate = count / sent_seconds
    return {
        "bench": "payouts",
        "rate": round(rate),
        "rate_wanted": RATE_WANTED,
        "unit": "withdrawals/s",
        "ok": is_right and not breaks and rate >= RATE_WANTED,
        "withdrawals": count,
        "batches": batches,
        "paid_once_each": is_right,
        "broken_invariants": len(breaks),
        "sent": {"seconds": round(sent_seconds, 2), "queries": sent_queries},
        "confirmed": {
            "seconds": round(confirmed_seconds, 2),
            "queries": confirmed_queries,
        },
    }


def _work() -> None:
    payouts.run(CURRENCY, now=timezone.now())


def _timed(deed: Callable[[], None]) -> tuple[float, int]:
    with CaptureQueriesContext(connection) as queries:
        started = time.perf_counter()
        deed()
        return time.perf_counter() - started, len(queries)


def _approved(member: Member, address: str) -> Payment:
    """Have a withdrawal that waits to be paid, its funds locked."""
    now, amount = timezone.now(), _NET + _FEE
    beneficiary = Beneficiary.objects.create(
        member=member, currency_id=CURRENCY, destination=address, created_at=now
    )
    with transaction():
        row = Withdrawal.objects.create(
            member=member,
            currency_id=CURRENCY,
            beneficiary=beneficiary,
            destination=address,
            amount=amount,
            net=_NET,
            fee=_FEE,
            value=0,
            state=Withdrawal.State.APPROVED,
            created_at=now,
            updated_at=now,
        )
        account = ledger.account_of(member_id=member.pk, currency=CURRENCY)
        cause = f"withdrawal:{row.pk}:placed"
        ends = (account, AVAILABLE, account, LOCKED)
        move = Move(*ends, amount, Reason.WITHDRAWAL_PLACED.value, cause)
        ledger.post_once(cause, [move], at=now)
    return Payment(address, _NET)


def _is_right(chain: Practice, wanted: list[Payment]) -> bool:
    """Say whether all are confirmed, and the transactions pay each of them once."""
    rows = Withdrawal.objects.exclude(state=Withdrawal.State.CONFIRMED)
    paid: Counter[Payment] = Counter()
    for sent in PayoutTransaction.objects.all():
        paid.update(chain.decode(sent.raw).outputs)
    return not rows.exists() and all(paid[payment] == 1 for payment in wanted)
