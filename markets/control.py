"""
Halting and opening a market. The wish is written down first and travels the path of the
orders, so that it takes effect at one place in the sequence.
"""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid
from exchange.lib.transactions import after_commit, transaction
from markets import feed
from markets.models import Market, StateRequest
from markets.queries import UnknownMarket


class ReasonMissing(Invalid):
    """Halting and opening need a reason: people read it."""

    code = "reason_missing"
    text = _("Please give a reason.")


def halt(*, market_id: str, by: str, reason: str, now: datetime) -> StateRequest:
    """
    Take no new orders in a market from here on; cancels still work. Orders that were
    taken but not yet matched are cancelled with their funds given back.
    """
    return _request(market_id, Market.State.HALTED, by, reason, now)


def open_market(*, market_id: str, by: str, reason: str, now: datetime) -> StateRequest:
    """Take orders again."""
    return _request(market_id, Market.State.OPEN, by, reason, now)


def _request(
    market_id: str, state: str, by: str, reason: str, now: datetime
) -> StateRequest:
    if not reason.strip():
        raise ReasonMissing
    if not Market.objects.filter(pk=market_id).exists():
        raise UnknownMarket
    with transaction():
        request = StateRequest.objects.create(
            market_id=market_id, state=state, by=by, reason=reason, created_at=now
        )
        after_commit(lambda: feed.state_requested(request))
    return request
