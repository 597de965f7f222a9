"""
The deposits bench: a thousand deposits in one block, credited.

On the practice chain, in a database of its own: one scan from the confirmation to the
last credit, with every entry, row, mail and record of the trail. Afterwards everybody
has what they were sent, and the invariants hold.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.utils import timezone

from exchange import invariants
from exchange.benches import world
from wallets import addresses, queries, scanner
from wallets.chains.base import Payment
from wallets.chains.practice import Practice
from wallets.models.coins import Rules
from wallets.models.deposits import Deposit

CURRENCY = "btc"
SECONDS_WANTED = 60
_AMOUNT = Decimal("0.01")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--deposits", type=int, default=1000, metavar="N")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of it all: does it run?"
    )


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Credit them all; `rate` is deposits a second from the confirmation on."""
    count = int(options.get("deposits") or 1000)
    if options.get("quick"):
        count = max(count // 10, 10)
    with world.database():
        members = world.people()
        chain = Practice(CURRENCY)
        chain.mine()
        Rules.objects.get_or_create(
            currency_id=CURRENCY, defaults={"withdrawal_min": _AMOUNT}
        )
        now = timezone.now()
        to = [
            addresses.address_for(member=member, currency=CURRENCY, now=now).address
            for member in members
        ]
        for number in range(count):
            chain.pay(Payment(to[number % len(to)], _AMOUNT))
        chain.mine(6)
        started = time.perf_counter()
        scanner.scan(CURRENCY, now=timezone.now())
        seconds = time.perf_counter() - started
        credited = Deposit.objects.filter(state=Deposit.State.CREDITED).count()
        held = sum(
            (queries.balance(member.pk, CURRENCY).available for member in members),
            Decimal(0),
        )
        is_right = credited == count and held >= count * _AMOUNT
        breaks = invariants.check_all()
    return {
        "bench": "deposits",
        "rate": round(count / seconds),
        "rate_wanted": round(count / SECONDS_WANTED),
        "unit": "deposits/s",
        "ok": is_right and not breaks and seconds <= SECONDS_WANTED,
        "deposits": count,
        "seconds": round(seconds, 1),
        "credited": credited,
        "broken_invariants": len(breaks),
    }
