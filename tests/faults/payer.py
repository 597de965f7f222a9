"""
A worker of payouts that dies of `kill -9` at a step of our choice.

Run as a program of its own: `python -m tests.faults.payer STEP CURRENCY`. It patches
what it runs, so that what it runs knows of no steps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import django

from tests.faults.dying import always, die_after


def main(step: str, currency: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    django.setup()
    from django.utils import timezone

    from exchange.lib import states
    from wallets import payouts, signing
    from wallets.chains import chain_of

    chain = chain_of(currency)
    places: dict[str, tuple[object, str, Callable[..., bool]]] = {
        "claimed": (payouts, "_begin", always),
        "signed": (signing, "sign", always),
        # Inside of the transaction that commits what was signed.
        "writing": (payouts, "_write_down", always),
        "stored": (payouts, "_commit", always),
        "broadcast": (type(chain), "broadcast", always),
        "recorded": (payouts, "_note_sent", always),
        # Inside of the transaction that books what was confirmed.
        "confirming": (states, "advance_all", _is_last_move),
        "confirmed": (payouts, "_confirm", always),
        "bumped": (payouts, "_bump", always),
    }
    if step in places:
        die_after(*places[step])
    payouts.run(currency, now=timezone.now())


def _is_last_move(*args: Any) -> bool:
    return bool(args[1] == "confirm")


if __name__ == "__main__":
    main(*sys.argv[1:])
