"""
What the wallets have to say when a member leaves: what is still theirs, and what they
take away. accounts asks through `closing.obstacles` and `exports.parts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from accounts import closing, exports
from accounts.models.members import Member
from exchange.lib.money import ZERO, plain
from wallets import queries


def install() -> None:
    """Add to what accounts asks."""
    closing.obstacles.append(what_is_left)
    exports.parts["balances"] = _balances
    exports.parts["entries"] = queries.entries_of


def what_is_left(member: Member) -> Iterator[str]:
    """Say each currency of which the member still has something."""
    for row in queries.holdings(member):
        if row.available + row.locked == ZERO:
            continue
        amount, currency = plain(row.available + row.locked), row.currency.upper()
        words = _("You still have %(amount)s %(currency)s.")
        yield words % {"amount": amount, "currency": currency}


def _balances(member: Member) -> Iterator[dict[str, Any]]:
    yield from (row.as_json() for row in queries.holdings(member))
