"""
Where members send their coins: one unused address each, and all old ones for ever.

The chain is asked outside of any transaction. An address that was made and then not
given away, because somebody else was faster, is never used, and does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode

import segno
from django.db import IntegrityError
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import Refused
from exchange.lib.money import plain
from exchange.lib.transactions import transaction
from wallets.chains import chain_of
from wallets.chains.base import RpcRefused
from wallets.models.coins import Rules
from wallets.models.currencies import Currency
from wallets.models.deposits import DepositAddress

# What wallets understand in links (BIP-21 and its kin).
_SCHEMES = {"btc": "bitcoin", "ltc": "litecoin", "doge": "dogecoin"}

# Say whether an address is one of the house's own: what is paid there is no deposit.
house_addresses: list[Callable[[str, str], bool]] = []


class AddressUnused(Refused):
    """The newest address was never paid to: there is no need of another."""

    code = "address_unused"
    text = _("Your address has not been used yet. You get a new one once it has.")


class DepositsClosed(Refused):
    """The operator takes nothing of this currency at the moment."""

    code = "deposits_closed"
    text = _("Deposits of this currency are paused. Please come back later.")


def address_for(*, member: Member, currency: str, now: datetime) -> DepositAddress:
    """
    Return the member's unused address, having one made where there is none.

    Raises DepositsClosed, NoChain, NodeUnreachable, RpcRefused.
    """
    return _unused(member, currency) or _make(member, currency, now)


def new_address(*, member: Member, currency: str, now: datetime) -> DepositAddress:
    """
    Make a new address. Raises AddressUnused, DepositsClosed, NoChain, NodeUnreachable,
    RpcRefused.
    """
    if _unused(member, currency) is not None:
        raise AddressUnused
    return _make(member, currency, now)


def addresses_of(member: Member, currency: str) -> list[DepositAddress]:
    """Return all addresses of a member, newest first; coins still come in at each."""
    rows = DepositAddress.objects.filter(member=member, currency=currency)
    return list(rows.order_by("-pk"))


def is_houses(currency: str, address: str) -> bool:
    """Say whether an address of our wallet serves the house itself."""
    return any(knows(currency, address) for knows in house_addresses)


def uri(address: DepositAddress, amount: Decimal | None = None) -> str:
    """Return the link that opens a wallet: `bitcoin:…?amount=0.1`."""
    scheme = _SCHEMES.get(address.currency_id, address.currency_id)
    asked = f"?{urlencode({'amount': plain(amount)})}" if amount else ""
    return f"{scheme}:{address.address}{asked}"


def picture(address: DepositAddress) -> str:
    """Return the link as a QR code: the text of an SVG, to stand in a page."""
    return str(segno.make(uri(address), error="m").svg_inline(border=2, omitsize=True))


def groups_of_four(address: str) -> list[str]:
    """Cut an address into pieces that eyes can compare."""
    return [address[at : at + 4] for at in range(0, len(address), 4)]


def _unused(member: Member, currency: str) -> DepositAddress | None:
    rows = DepositAddress.objects.filter(
        member=member, currency=currency, is_used=False
    )
    return rows.order_by("pk").first()


def _make(member: Member, currency: str, now: datetime) -> DepositAddress:
    if Rules.objects.filter(pk=currency, takes_deposits=False).exists():
        raise DepositsClosed
    text = chain_of(Currency.objects.get(pk=currency).code).new_address()
    try:
        with transaction():
            row = DepositAddress.objects.create(
                member=member, currency_id=currency, address=text, created_at=now
            )
            audit.record(
                f"member:{member.pk}", "address_given", audit.label(row), address=text
            )
    except IntegrityError as error:
        # Somebody was faster: theirs is the one.
        faster = _unused(member, currency)
        if faster is None:
            # A wallet that was restored gives the same addresses again.
            raise RpcRefused(f"the node gave {text} before") from error
        row = faster
    return row
