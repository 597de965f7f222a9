"""
Where a request comes from: address, browser, and the place as far as it is known.

Nothing is looked up. The place is what the operator's own proxy says of it, in the
header that COUNTRY_HEADER names; a header that came past no proxy of ours is anybody's
word and is not read. Nothing here is believed further than to be shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from babel.core import get_global
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

from accounts import networks, throttling

USER_AGENT_LENGTH_MAX = 300
# A place of an address that is nowhere: of the exchange's own network, or the desk's.
THIS_NETWORK = "local"
# Two letters of ISO 3166. Proxies say XX for what they do not know.
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_UNKNOWN = "XX"


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a request comes from, fit to be written down."""

    address: str | None
    user_agent: str
    place: str  # a country's two letters, THIS_NETWORK, or nothing


def of(request: HttpRequest) -> Visit:
    """Return where a request comes from."""
    address = _address(throttling.client_address(request.META))
    text = request.headers.get("User-Agent", "")
    user_agent = "".join(letter for letter in text if letter.isprintable())
    place = _place(request, address)
    return Visit(address, user_agent[:USER_AGENT_LENGTH_MAX].strip(), place)


def likely_country(request: HttpRequest) -> str:
    """Return the country somebody may well be in, by place or else by language."""
    place = _place(request, _address(throttling.client_address(request.META)))
    if _COUNTRY.fullmatch(place):
        return place
    for language, _weight in parse_accept_lang_header(
        request.headers.get("Accept-Language", "").lower()
    ):
        likely = str(get_global("likely_subtags").get(language.partition("-")[0], ""))
        for part in (*language.split("-")[1:], *likely.split("_")):
            if _COUNTRY.fullmatch(part.upper()) and part != likely.partition("_")[0]:
                return part.upper()
    return ""


def _address(text: str) -> str | None:
    """Return an address as it is written everywhere, None where it is none at all."""
    address = networks.parsed(text.partition("%")[0])
    return None if address is None else str(address)


def _place(request: HttpRequest, address: str | None) -> str:
    if address is not None and not ip_address(address).is_global:
        return THIS_NETWORK
    if not settings.COUNTRY_HEADER or not throttling.came_by_proxy(request.META):
        return ""
    country = request.headers.get(settings.COUNTRY_HEADER, "").strip().upper()
    is_known = _COUNTRY.fullmatch(country) and country != _UNKNOWN
    return country if is_known else ""
