"""
Networks that a key trusts: read as people write them, kept in one spelling.

A leaf: it knows addresses, and nothing of keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid

Network = IPv4Network | IPv6Network

NETWORKS_MAX = 20
# What is wider is no list of one's own machines: the size of the networks that whole
# providers are given.
_PREFIX_MIN = {4: 8, 6: 32}
_TEXT_MAX = 64


class BadNetwork(Invalid):
    """The text is no address and no network of a size that says anything."""

    code = "bad_network"
    text = _("This is not an address or a network. Write 192.0.2.7 or 192.0.2.0/24.")


def normalised(texts: Iterable[str]) -> list[str]:
    """
    Return the networks in the one way we write them, each once, in order.

    An address is a network of one. Raises BadNetwork.
    """
    found = sorted({_read(text.strip()) for text in texts}, key=_place)
    if len(found) > NETWORKS_MAX:
        raise BadNetwork(_("%(count)s networks at most.") % {"count": NETWORKS_MAX})
    return [str(network) for network in found]


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Say whether an address is in one of these networks; what is none is in none."""
    try:
        host = ip_address(address)
    except ValueError:
        return False
    # How a socket that speaks both languages names an old address.
    plain = getattr(host, "ipv4_mapped", None) or host
    return any(plain in ip_network(network) for network in networks)


def _read(text: str) -> Network:
    try:
        loose = ip_network(text[:_TEXT_MAX], strict=False)
    except ValueError as error:
        raise BadNetwork from error
    if isinstance(loose, IPv6Network) and "%" in text:
        raise BadNetwork
    if isinstance(loose, IPv6Network) and loose.network_address.ipv4_mapped:
        raise BadNetwork(_("Write this address the short way, as 192.0.2.7."))
    if "/" in text and loose.network_address != ip_address(text.partition("/")[0]):
        host = text.partition("/")[0]
        facts = {"text": text, "network": str(loose), "host": host}
        said = _("%(text)s is an address within a network: %(network)s or %(host)s?")
        raise BadNetwork(said % facts)
    if loose.prefixlen < _PREFIX_MIN[loose.version]:
        most = f"/{_PREFIX_MIN[loose.version]}"
        said = _("%(text)s is too wide: %(most)s at most.")
        raise BadNetwork(said % {"text": text, "most": most})
    return loose


def _place(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
