"""
A scanner of deposits that dies of `kill -9` at a step of our choice.

Run as a program of its own: `python -m tests.faults.scanner STEP CURRENCY`.
"""

from __future__ import annotations

import os
import sys

import django

from tests.faults.dying import die_after


def main(step: str, currency: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    django.setup()
    from django.utils import timezone

    from wallets import deposits, ledger, scanner
    from wallets.chains import chain_of

    places: dict[str, tuple[object, str]] = {
        "heard": (type(chain_of(currency)), "since"),
        # Inside of the transaction that takes in what was heard.
        "inserted": (scanner, "_add_new"),
        "noticed": (deposits, "notice"),
        "posted": (ledger, "post_each"),
        "credited": (deposits, "credit_due"),
        "taken_in": (scanner, "_take_in"),
        # Inside of the transaction that takes one back.
        "reversed": (deposits, "take_back"),
        "written": (scanner, "_write"),
        "finished": (scanner, "_finish"),
    }
    if step in places:
        die_after(*places[step])
    scanner.scan(currency, now=timezone.now())


if __name__ == "__main__":
    main(*sys.argv[1:])
