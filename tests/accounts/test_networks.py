"""Networks as people write them, and as they are kept."""

from __future__ import annotations

import pytest

from accounts import networks


@pytest.mark.promise("S-48")
@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["192.0.2.7"], ["192.0.2.7/32"]),
        ([" 192.0.2.0/24 "], ["192.0.2.0/24"]),
        (["192.0.2.0/255.255.255.0"], ["192.0.2.0/24"]),
        (["2001:DB8:0::1"], ["2001:db8::1/128"]),
        (["2001:db8::/48", "10.0.0.0/16", "9.1.1.1"], None),
        (["192.0.2.7", "192.0.2.7/32"], ["192.0.2.7/32"]),
        ([], []),
    ],
)
def test_it_keeps_networks_in_one_spelling(
    written: list[str], kept: list[str] | None
) -> None:
    expected = ["9.1.1.1/32", "10.0.0.0/16", "2001:db8::/48"] if kept is None else kept

    assert networks.normalised(written) == expected


@pytest.mark.promise("S-48")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "01.2.3.4",
        ),
        *("fe80::1%eth0", "fe80::%eth0/64", "::ffff:192.0.2.1", "2001:db8::/129"),
        *(
            "192.0.2.7/24",
            "2001:db8::1/48",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "10.0.0.0/15",
            "2001:db8::/31",
        ),
        *("2001::/32", "64:ff9b::/96", "64:ff9b::/64", "::ffff:0:0/96"),
        *("192.0.2.1\0", "١٩٢.0.2.1", "9" * 10_000),
    ],
)
def test_it_refuses_what_is_no_network_or_too_wide(text: str) -> None:
    with pytest.raises(networks.BadNetwork):
        networks.normalised([text])


def test_it_says_which_network_was_meant() -> None:
    with pytest.raises(networks.BadNetwork) as refusal:
        networks.normalised(["192.0.2.7/24"])

    assert refusal.value.message == (
        "192.0.2.7/24 is an address within a network: 192.0.2.0/24 or 192.0.2.7?"
    )


@pytest.mark.promise("S-48")
@pytest.mark.parametrize(
    ("wide", "most", "narrow"),
    [("10.0.0.0/15", "/16", "10.0.0.0/16"), ("2a00::/31", "/32", "2a00::/32")],
)
def test_it_says_how_wide_a_network_may_be(wide: str, most: str, narrow: str) -> None:
    with pytest.raises(networks.BadNetwork) as refusal:
        networks.normalised([wide])

    assert refusal.value.message == (
        f"{wide} is too wide. Write the addresses of your own machines, or networks of"
        f" {most} and smaller."
    )
    assert networks.normalised([narrow]) == [narrow]


def test_it_takes_only_so_many() -> None:
    texts = [f"192.0.2.{last}" for last in range(networks.NETWORKS_MAX + 1)]

    assert len(networks.normalised(texts[1:])) == networks.NETWORKS_MAX
    with pytest.raises(networks.BadNetwork):
        networks.normalised(texts)


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("192.0.3.7", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::192.0.2.7", False),  # these have it in them, and are not it
        ("64:ff9b::192.0.2.7", False),
        ("2002:c000:207::1", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_it_knows_who_is_within(address: str, is_in: bool) -> None:
    assert networks.is_within(address, ["192.0.2.0/24", "2001:db8::/32"]) is is_in


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # else all of IPv4 were one client
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::5", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_it_takes_an_ipv6_site_for_one_client(address: str, one: str) -> None:
    assert networks.neighbourhood(address) == one
