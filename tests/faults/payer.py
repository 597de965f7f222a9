"""
A worker of payouts that dies of `kill -9` at a step of our choice.

Run as a program of its own: `python -m tests.faults.payer STEP CURRENCY`. It patches
what it runs, so that what it runs knows of no steps.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


def main(step: str, currency: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    django.setup()
    from django.utils import timezone

    from exchange.lib import states
    from wallets import payouts, signing
    from wallets.chains import chain_of

    chain = chain_of(currency)
    places: dict[str, tuple[object, str, Callable[..., bool]]] = {
        "claimed": (payouts, "_begin", _always),
        "signed": (signing, "sign", _always),
        # Inside of the transaction that commits what was signed.
        "writing": (payouts, "_write_down", _always),
        "stored": (payouts, "_commit", _always),
        "broadcast": (type(chain), "broadcast", _always),
        "recorded": (payouts, "_note_sent", _always),
        # Inside of the transaction that books what was confirmed.
        "confirming": (states, "advance_all", _is_last_move),
        "confirmed": (payouts, "_confirm", _always),
        "bumped": (payouts, "_bump", _always),
    }
    if step in places:
        _die_after(*places[step])
    payouts.run(currency, now=timezone.now())


def _die_after(owner: object, name: str, is_it: Callable[..., bool]) -> None:
    deed = getattr(owner, name)

    def deadly(*args: Any, **terms: Any) -> Any:
        result = deed(*args, **terms)
        if is_it(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def _always(*_args: Any) -> bool:
    return True


def _is_last_move(*args: Any) -> bool:
    return bool(args[1] == "confirm")


if __name__ == "__main__":
    main(*sys.argv[1:])
