"""
Which chain stands behind a currency.

A node, where `<CODE>_RPC_URL` names one, and one more to compare it with where
`<CODE>_RPC2_URL` does; else, outside production, the practice chain.
"""

from __future__ import annotations

import functools

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Refused
from wallets.chains.base import Chain
from wallets.chains.bitcoind import Bitcoind
from wallets.chains.practice import Practice
from wallets.models.currencies import Currency


class NoChain(Refused):
    """The currency has no node here: it is a money, or a coin nobody has set up."""

    code = "no_chain"
    text = _("This currency cannot be sent or received over a chain here.")


def chain_of(currency: str) -> Chain:
    """Return the chain of a coin. Raises NoChain."""
    url = settings.CHAIN_URLS.get(currency, "")
    if url:
        return _node(url, settings.CHAIN_SECOND_URLS.get(currency, ""))
    is_coin = Currency.objects.filter(pk=currency, kind=Currency.Kind.COIN).exists()
    if settings.PRODUCTION or not is_coin:
        raise NoChain(currency=currency)
    return Practice(currency)


@functools.cache
def _node(url: str, second_url: str) -> Bitcoind:
    return Bitcoind(url, second_url=second_url)
