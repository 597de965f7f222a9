"""REST v2 signed by headers: what its clients are told, and what they may rely on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import signed_headers
from accounts.models.members import Member
from accounts.models.tokens import UsedNonce
from markets.models import Order
from tests.makers import Answer, ApiClient, HeaderClient, fund, make_token

SELL = {"market": "btccny", "side": "sell", "volume": "0.1", "price": "100"}


@pytest.fixture
def bot(alice: Member) -> HeaderClient:
    return HeaderClient(make_token(alice))


def code(answer: Answer) -> tuple[int, int]:
    assert answer["Access-Control-Allow-Origin"] == "*"
    return answer.status_code, answer.json()["error"]["code"]


def test_it_reads_and_trades(bot: HeaderClient, alice: Member) -> None:
    fund(alice, "1 btc")

    placed = bot.post("orders", SELL)
    found = bot.get("orders.json", "market=btccny&limit=1")
    me = bot.get("members/me", window="30000")

    assert placed.status_code == 201
    assert [order["id"] for order in found.json()] == [placed.json()["id"]]
    assert me.json()["email"] == alice.email
    assert me["RateLimit-Limit"] == "6000"


@pytest.mark.promise("S-42")
@pytest.mark.parametrize(
    "sent",
    [
        {"verb": "POST"},
        {"path": "orders.json"},
        {"host": "another.example"},
        {"query": "limit=1&market=btccny"},
        {"query": "market=btccny&limit=1&limit=1"},
        {"query": "market=btccny&limit=%31"},
        {"query": "market=btccny%26limit=1"},
        {"body": b'{"limit": 1000}'},
    ],
    ids=str,
)
def test_nothing_of_a_request_can_be_changed(
    bot: HeaderClient, sent: dict[str, Any]
) -> None:
    answer = bot.send("GET", "orders", query="market=btccny&limit=1", sent=sent)

    assert code(answer) == (401, 2005)
    assert not UsedNonce.objects.exists()


def test_a_query_of_any_bytes_is_signed_as_it_is(bot: HeaderClient) -> None:
    for query in ("a=1&a=2&a", "q=%E5%B8%81", "x=%zz&y=+&&", "a[]=1&a[]=2"):
        assert bot.get("members/me", query).status_code == 200, query


@pytest.mark.promise("S-43", "S-45")
def test_it_refuses_by_number(bot: HeaderClient) -> None:
    now = time.time_ns() // 1_000_000

    assert code(bot.get("members/me", nonce=None)) == (400, 1001)
    assert code(bot.get("members/me", timestamp="soon")) == (400, 1001)
    assert code(bot.get("members/me", window="30001")) == (400, 1001)
    assert code(bot.get("members/me", key="nobodys")) == (401, 2008)
    assert code(bot.get("members/me", signature="0" * 64)) == (401, 2005)
    late = bot.get("members/me", timestamp=str(now - 6_000))
    assert code(late) == (401, 2007)
    assert "current timestamp is 1" in late.json()["error"]["message"]
    assert bot.get("members/me", nonce="a" * 16).status_code == 200
    assert code(bot.get("members/me", nonce="a" * 16)) == (401, 2006)
    elsewhere = HeaderClient(make_token(bot_member(bot), trusted_ips=["203.0.113.1"]))
    assert elsewhere.get("members/me").status_code == 403


def bot_member(bot: HeaderClient) -> Member:
    member: Member = Member.objects.get(tokens__access_key=bot.access_key)
    return member


def test_headers_count_before_parameters(alice: Member, bot: HeaderClient) -> None:
    """So nobody can add the one to a request that was signed by the other."""
    signed = ApiClient(make_token(alice)).signed("GET", "members/me", {})

    answer = bot.browser.get(
        "/api/v2/members/me", signed, headers={"X-Api-Key": bot.access_key}
    )

    assert code(answer) == (400, 1001)


def test_it_verifies_whoever_signs_even_where_nobody_must(bot: HeaderClient) -> None:
    assert bot.get("markets").status_code == 200
    assert code(bot.get("markets", signature="0" * 64)) == (401, 2005)


def test_a_page_may_send_the_headers(bot: HeaderClient) -> None:
    answer = bot.browser.options(
        "/api/v2/orders",
        headers={
            "origin": "https://bot.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": ", ".join(signed_headers.NAMES).lower(),
        },
    )

    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Headers"] == "*"


@pytest.mark.promise("S-76")
def test_it_answers_hostile_headers(alice: Member, bot: HeaderClient) -> None:
    fund(alice, "1 btc")
    for name in ("key", "timestamp", "window", "nonce", "signature"):
        for text in (
            "",
            "x" * 8000,
            "9" * 5000,
            "\xff",
            "1e1000000",
            "-1",
            "{}",
            "a,b",
        ):
            answer = bot.post("orders", SELL, **{name: text})
            assert code(answer)[0] in {400, 401}, (name, text[:20])

    assert not Order.objects.exists()


@pytest.mark.promise("S-76")
def test_it_answers_hostile_bodies_that_are_well_signed(bot: HeaderClient) -> None:
    bodies = [
        b"[" * 100_000,
        b'{"volume": 1' + b"0" * 5000 + b"}",
        b'{"volume": "1e1000000", "market": "btccny", "side": "sell", "price": "1"}',
        b'{"a": "' + b"x" * 300_000 + b'"}',
        b"\xff\x00",
    ]

    for body in bodies:
        answer = bot.send("POST", "orders", body=body)
        assert code(answer)[0] in {400, 413}, body[:20]


@pytest.mark.promise("S-48")
@pytest.mark.parametrize(
    ("proxies", "status"), [([], 403), (["127.0.0.0/8"], 200), (["10.0.0.0/8"], 403)]
)
def test_it_believes_a_forwarded_address_from_our_proxies_alone(
    alice: Member, settings: Settings, proxies: list[str], status: int
) -> None:
    settings.TRUSTED_PROXIES = proxies
    issued = make_token(alice, trusted_ips=["198.51.100.9"])
    bot = HeaderClient(issued, HTTP_X_FORWARDED_FOR="198.51.100.9")

    assert bot.get("members/me").status_code == status


CHECKS = [
    "accounts.throttling.count_key",
    "accounts.throttling.count_member",
    "accounts.scopes.open_any",
    "accounts.networks.is_within",
    "accounts.tokens.hmac.compare_digest",
    "accounts.signed_headers.canonical",
    "accounts.last_use.note",
]


@pytest.mark.promise("S-77")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_check_that_breaks_refuses(
    alice: Member, monkeypatch: pytest.MonkeyPatch, check: str, is_remembered: bool
) -> None:
    fund(alice, "1 btc")
    bot = HeaderClient(make_token(alice, trusted_ips=["127.0.0.1"]))
    if is_remembered:
        bot.get("members/me")

    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("this check is broken")

    monkeypatch.setattr(check, break_down)

    answer = bot.post("orders", SELL)

    assert code(answer) == (500, 2000)
    assert not Order.objects.exists()


# --- Limits -------------------------------------------------------------------------


@pytest.mark.promise("S-51")
def test_it_stops_a_member_at_the_limit_of_all_keys(
    alice: Member, bob: Member, settings: Settings
) -> None:
    settings.RATE_LIMIT_PER_MEMBER = 3
    bots: list[Any] = [ApiClient(make_token(alice)), HeaderClient(make_token(alice))]
    other = ApiClient(make_token(bob))

    answers = [bot.get("members/me") for _ in range(2) for bot in bots]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    # Headers tell of what comes to its end first.
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[3]["RateLimit-Limit"] == "3"
    assert int(answers[3]["Retry-After"]) > 0
    assert other.get("members/me").status_code == 200


@pytest.mark.promise("S-51")
def test_cancels_have_more_room_of_their_own(alice: Member, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_MEMBER = settings.RATE_LIMIT_PER_KEY = 2
    bot = HeaderClient(make_token(alice))

    others = [bot.get("members/me").status_code for _ in range(3)]
    cancels = [bot.post("orders/clear", {}) for _ in range(5)]

    assert others == [200, 200, 429]
    assert [each.status_code for each in cancels] == [201, 201, 201, 201, 429]
    assert cancels[0]["RateLimit-Limit"] == "4"


@pytest.mark.promise("S-51")
def test_orders_placed_on_pages_count_for_the_member(
    alice: Member, settings: Settings
) -> None:
    settings.RATE_LIMIT_PER_MEMBER = 2
    browser, url = Client(), "/markets/btccny/orders"
    browser.force_login(alice)
    ApiClient(make_token(alice)).get("members/me")
    kind = "application/json"

    placed = [browser.post(url, {}, content_type=kind) for _ in range(2)]
    cleared = browser.post(f"{url}/clear", {}, content_type=kind)

    assert [answer.status_code for answer in placed] == [400, 429]
    assert placed[1]["RateLimit-Limit"] == "2"
    assert int(placed[1]["Retry-After"]) > 0
    assert cleared.status_code == 202
