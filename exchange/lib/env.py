"""
Typed readers of the process environment.

A name is read once, in settings.py, through one of these. A value that does not
fit stops the process at start, naming the variable, instead of surprising
somebody later.
"""

from __future__ import annotations

import os
import secrets
from decimal import Decimal
from pathlib import Path

from exchange.lib import money


class BadEnvironment(Exception):
    """An environment variable holds what its reader cannot accept."""


def text(name: str, default: str = "") -> str:
    """Return the variable, or the default where it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool) -> bool:
    """Read a switch: 1/true/yes/on or 0/false/no/off."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise BadEnvironment(f"{name} must be 1 or 0, not {value!r}.")


def number(name: str, default: int, *, low: int = 0, high: int = 2**31) -> int:
    """Read a whole number between `low` and `high`, both included."""
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise BadEnvironment(f"{name} must be a number {low}..{high}, not {value!r}.")
    return int(value)


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Read one word out of a closed list."""
    value = text(name, default)
    if value not in allowed:
        raise BadEnvironment(f"{name} must be one of {allowed}, not {value!r}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Read a comma separated list; blanks are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def amounts(name: str) -> dict[str, Decimal]:
    """Read an amount for each of some currencies: "btc:2.5, ltc:400"."""
    found = {}
    for word in words(name):
        currency, _, amount = word.partition(":")
        try:
            found[currency] = money.parse(amount)
        except money.NotANumber as error:
            raise BadEnvironment(f"{name} must read btc:2.5,ltc:400.") from error
    return found


def secrets_ending(suffix: str) -> dict[str, str]:
    """
    Return every secret whose name ends so, by the beginning of its name in lower case:
    BTC_RPC_URL, or BTC_RPC_URL_FILE, is {"btc": …} for "_RPC_URL".
    """
    names = {name.removesuffix("_FILE") for name in os.environ}
    ours = sorted(name for name in names if name.endswith(suffix))
    return {
        name.removesuffix(suffix).lower(): secret(name, kept_in=None)
        for name in ours
        if text(name) or text(f"{name}_FILE")
    }


def secret(name: str, *, kept_in: Path | None) -> str:
    """
    Read a secret: the variable, else the file NAME_FILE points to, else one of
    our own making kept in the folder `kept_in` (mode 0600).

    With `kept_in=None` (production) a missing secret stops the process: a key that
    was made up at start would make yesterday's data unreadable.
    """
    value = text(name)
    if value:
        return value
    file = text(f"{name}_FILE")
    if file:
        return Path(file).read_text().strip()
    if kept_in is None:
        raise BadEnvironment(f"{name} (or {name}_FILE) must be set in production.")
    return _remembered(kept_in / name.lower())


def _remembered(path: Path) -> str:
    """Return the secret kept at `path`, making it once, whoever comes first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        with open(draft, "w", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)  # fails when another process was quicker
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
