"""
Addresses and networks: whose address is in which network, what counts as one client,
and the lists that keys trust, read as people write them and kept in one spelling.

A leaf: it knows addresses, and nothing of keys, proxies or requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from django.utils.translation import gettext_lazy as _

from exchange.lib.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NETWORKS_MAX = 20
# What is wider is no list of one's own machines: a large university has an IPv4 /16, a
# whole provider an IPv6 /32. Twenty /16 are a three-thousandth of the internet.
_PREFIX_MIN = {4: 16, 6: 32}
# By these, translators and tunnels write every IPv4 address as an IPv6 one.
_EVERYBODY = [IPv6Network("64:ff9b::/96"), IPv6Network("2001::/32")]
_IPV6_SITE = 64  # what one customer has, and may use every address of
_IPV6_ALLOTTED = 48  # with as many sites in it as there are ports
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
    """
    Say whether an address is in one of these networks; what is none is in none, and an
    IPv4 address is one however a socket names it.
    """
    host = parsed(address)
    return host is not None and any(host in _network(text) for text in networks)


def neighbourhood(address: str) -> str:
    """Return what one client has at hand: an IPv4 address, or a whole IPv6 site."""
    return _around(address, _IPV6_SITE)


def allotted(address: str) -> str:
    """
    Return the most that one customer is given: an IPv4 address, or an IPv6 /48. Where
    others may count on a stranger having one network, it is this.
    """
    return _around(address, _IPV6_ALLOTTED)


def _around(address: str, ipv6_prefix: int) -> str:
    host = parsed(address)
    if isinstance(host, IPv6Address):
        return str(ip_network((int(host), ipv6_prefix), strict=False))
    return address if host is None else str(host)


def parsed(address: str) -> Address | None:
    """
    Return an address, None for what is none. A socket that speaks both languages names
    an IPv4 peer ::ffff:192.0.2.7: that is 192.0.2.7. No other IPv6 address is taken for
    the IPv4 address it may have in it, since whoever has the IPv6 one chose that.
    """
    try:
        host = ip_address(address)
    except ValueError:
        return None
    return getattr(host, "ipv4_mapped", None) or host


@lru_cache(maxsize=1024)
def _network(text: str) -> Network:
    return ip_network(text, strict=False)


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
    if loose.prefixlen < _PREFIX_MIN[loose.version] or _is_everybody(loose):
        most = f"/{_PREFIX_MIN[loose.version]}"
        said = _(
            "%(text)s is too wide. Write the addresses of your own machines, or"
            " networks of %(most)s and smaller."
        )
        raise BadNetwork(said % {"text": text, "most": most})
    return loose


def _is_everybody(network: Network) -> bool:
    return isinstance(network, IPv6Network) and any(
        each.subnet_of(network) for each in _EVERYBODY
    )


def _place(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
