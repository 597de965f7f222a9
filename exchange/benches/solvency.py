"""
The solvency bench: how long a proof takes to make, and a member's own to be fetched.

A database of the bench's own is filled with members who have something of every
currency, by SQL, entries and all. The clock runs while a proof is made: the books read
and audited, both trees of each currency planted, the files on the disk. Then proofs of
members picked at random are fetched and verified.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from exchange.benches import world
from wallets.models.currencies import Currency
from wallets.models.solvency import Root
from wallets.solvency import legacy, lookup, publish, tree

SECONDS_MAX = 300  # Q-10, for a million members and five currencies
FETCH_MS_MAX = 50
RSS_MB_MAX = 2048
_FETCHES = 500


def add_arguments(parser: ArgumentParser) -> None:
    """Add the bench's own options."""
    parser.add_argument("--members", type=int, default=100_000, metavar="N")
    parser.add_argument("--quick", action="store_true", help="few: does it run?")


def run(options: dict[str, Any]) -> dict[str, Any]:
    """`rate` is leaves of members a second, over all currencies."""
    members = 1000 if options.get("quick") else int(options.get("members") or 100_000)
    with world.database(), tempfile.TemporaryDirectory() as folder:
        settings.SOLVENCY_DIR = Path(folder)
        currencies = list(
            Currency.objects.order_by("code").values_list("pk", flat=True)
        )
        _fill(members)
        started, cpu_before = time.perf_counter(), sum(os.times()[:4])
        proof = publish.prove(now=timezone.now())
        seconds = time.perf_counter() - started
        cpu_seconds = sum(os.times()[:4]) - cpu_before
        chance = random.Random(_FETCHES)  # noqa: S311 - which ones is no secret
        fetches = [
            _fetch(chance.randint(1, members), root)
            for root in chance.choices(lookup.roots(proof), k=_FETCHES)
        ]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
    cuts = statistics.quantiles(fetches, n=100)
    # Ours, and that of each process that plants: at the same time, at the worst.
    peak_mb = (_peak(resource.RUSAGE_SELF) + 2 * _peak(resource.RUSAGE_CHILDREN)) >> 20
    return {
        "bench": "solvency",
        "rate": round(members * len(currencies) / seconds),
        "unit": "balances/s",
        "ok": seconds <= SECONDS_MAX
        and peak_mb <= RSS_MB_MAX
        and 1000 * cuts[98] <= FETCH_MS_MAX,
        "members": members,
        "currencies": len(currencies),
        "seconds": round(seconds, 1),
        # What it took of the processors, the database apart: tells a slow program from
        # a busy machine.
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_rss_mb": peak_mb,
        "fetch_p50_ms": round(1000 * cuts[49], 1),
        "fetch_p99_ms": round(1000 * cuts[98], 1),
        "files_mb": size // 10**6,
        "breaks": json.loads(json.loads(proof.envelope)["manifest"])["audit"],
    }


def _peak(of: int) -> int:
    """Return the most memory that was used, in bytes."""
    return resource.getrusage(of).ru_maxrss * 1024


def _fetch(member_id: int, root: Root) -> float:
    """Return how long it takes to put a proof together; it must be one."""
    started = time.perf_counter()
    found = lookup.proof_of(member_id=member_id, root=root)
    seconds = time.perf_counter() - started
    legacy.verify(found.partial_tree, root.legacy_file)
    tree.verify(found.proof, lookup.published(root))
    return seconds


def _fill(members: int) -> None:
    """Write members 1 to N, and a grant of every currency to each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_member (id, password, is_superuser, is_staff, sn,"
            " email, display_name, state, api_disabled, identity_level, language,"
            " time_zone, theme, mail_phrase, muted_notices)"
            " SELECT n, '!', false, false, 'B' || n, 'bench' || n || '@example.com',"
            " '', 'active', false, 0, '', 'UTC', '', '', '{}'"
            " FROM generate_series(1, %s) AS n",
            [members],
        )
        cursor.execute(
            "INSERT INTO wallets_account (member_id, currency_id)"
            " SELECT n, code FROM generate_series(1, %s) AS n, wallets_currency",
            [members],
        )
        # From a cent to a million: what is proven does not depend on it.
        cursor.execute(
            "INSERT INTO wallets_balance (account_id, available, locked)"
            " SELECT id, round((10 ^ (random() * 8 - 2))::numeric, 8), 0"
            " FROM wallets_account WHERE member_id IS NOT NULL"
        )
        cursor.execute(
            "INSERT INTO wallets_entry (at, amount, source_id, source_pocket,"
            " target_id, target_pocket, reason, reference)"
            " SELECT now(), balance.available, house.id, 'a', account.id, 'a',"
            " 'grant', 'bench' FROM wallets_account AS account"
            " JOIN wallets_balance AS balance ON balance.account_id = account.id"
            " JOIN wallets_account AS house ON house.house = 'grants'"
            " AND house.currency_id = account.currency_id"
        )
        cursor.execute("ANALYZE")
