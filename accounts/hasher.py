"""
The program that hashes passwords: a process of low priority beside each web process.

It reads a question a line from its standard input, answers each with a line, and ends
with it. It knows Argon2 and nothing else; see accounts.hashing for who asks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable

from argon2 import low_level
from argon2.exceptions import VerificationError

# Of 19. The web and the floor weigh ten times as much where there is not enough for
# all; at 19 a sign-in on a busy machine would take many seconds.
NICENESS = 10


def hashed(
    password: str, salt: str, time_cost: int, memory_cost: int, parallelism: int
) -> str:
    """Return the hash in Argon2's own notation: $argon2id$v=19$m=…"""
    return low_level.hash_secret(
        password.encode(),
        salt.encode(),
        time_cost=time_cost,
        memory_cost=memory_cost,
        parallelism=parallelism,
        hash_len=32,
        type=low_level.Type.ID,
    ).decode("ascii")


def is_right(password: str, encoded: str) -> bool:
    """Say whether a password belongs to a hash, whatever its parameters."""
    try:
        return low_level.verify_secret(
            encoded.encode(), password.encode(), low_level.Type.ID
        )
    except VerificationError:
        return False


def main() -> None:
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends us by ending the web
    deeds: dict[str, Callable[..., str | bool]] = {
        "hashed": hashed,
        "is_right": is_right,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(deeds[name](*arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
