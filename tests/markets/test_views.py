"""The trading pages and the JSON their scripts ask for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models.members import Member
from markets import control
from markets.models import Order
from tests.makers import Answer, fund, match
from tests.rows import dump
from wallets.queries import balance

ORDERS = "/markets/btccny/orders"
BUY = {"side": "buy", "kind": "limit", "price": "30000", "amount": "0.5"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def visitor() -> Client:
    return Client()


@pytest.fixture
def bobs_browser(bob: Member) -> Client:
    browser = Client()
    browser.force_login(bob)
    return browser


@pytest.fixture
def alices_browser(alice: Member) -> Client:
    browser = Client()
    browser.force_login(alice)
    return browser


def send(browser: Client, path: str, body: object, **headers: str) -> Answer:
    """Post JSON the way the page's script does."""
    return browser.post(path, body, content_type="application/json", headers=headers)


def refusal(answer: Answer) -> tuple[int, str]:
    """Return status and code of a refusal, and check its shape."""
    error = json.loads(answer.content)["error"]
    assert set(error) == {"code", "message", "facts"}
    assert error["message"]
    return answer.status_code, error["code"]


def screen_of(answer: Answer) -> dict[str, Any]:
    """Return the snapshot inlined into a page."""
    found = re.search(
        r'<script id="screen" type="application/json">(.*?)</script>',
        answer.content.decode(),
        re.DOTALL,
    )
    assert found is not None
    return dict(json.loads(found[1]))


def test_it_lists_the_markets(visitor: Client) -> None:
    page = visitor.get("/").content.decode()

    found = re.findall(r'<a href="/markets/(\w+)">([A-Z/]+)</a>', page)
    assert found == [
        ("btccny", "BTC/CNY"),
        ("btcusd", "BTC/USD"),
        ("ltccny", "LTC/CNY"),
        ("ltcbtc", "LTC/BTC"),
    ]


@pytest.mark.promise("U-1", "U-39")
def test_it_paints_a_market_without_any_script(
    visitor: Client, alices_browser: Client, alice: Member, bobs_browser: Client
) -> None:
    fund(alice, "1 btc")
    sell = {"side": "sell", "kind": "limit", "price": "31000.5", "amount": "0.25"}
    assert send(alices_browser, ORDERS, sell).status_code == 201
    match("btccny")

    page = visitor.get("/markets/btccny").content.decode()
    painted = page.split('<template id="level-row">')[0]

    assert '<tr data-key="31000.5">' in painted
    assert ">31000.50</button>" in painted
    assert "0.2500" in painted
    assert "Nothing has been traded yet." in painted
    assert "Sign in to trade" in painted


def test_it_inlines_the_snapshot_the_scripts_go_on_from(
    bobs_browser: Client, bob: Member
) -> None:
    fund(bob, "20000 cny")
    order = json.loads(send(bobs_browser, ORDERS, BUY).content)["order"]

    screen = screen_of(bobs_browser.get("/markets/btccny"))

    assert screen["type"] == "snapshot"
    assert screen["market"]["tick"] == "0.01"
    assert [mine["id"] for mine in screen["me"]["orders"]] == [order["id"]]
    assert screen["stream"].startswith("ws://testserver:")
    assert screen["candles"] == []


def test_it_says_404_for_an_unknown_market(visitor: Client) -> None:
    assert visitor.get("/markets/nobody").status_code == 404
    assert visitor.get("/markets/BTCCNY").status_code == 404
    assert refusal(visitor.get("/markets/nobody/snapshot")) == (404, "unknown_market")


@pytest.mark.promise("S-54", "S-55", "S-59")
@pytest.mark.parametrize("path", ["/", "/markets/btccny", "/signin", "/markets/nobody"])
def test_it_keeps_scripts_and_styles_in_files_of_our_own(
    visitor: Client, path: str
) -> None:
    answer = visitor.get(path)
    page, policy = answer.content.decode(), answer["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    scripts = re.findall(r"<script\b([^>]*)>", page)
    assert scripts
    assert all(
        'src="/static/' in script or 'type="application/json"' in script
        for script in scripts
    )


def test_it_keeps_a_members_page_out_of_caches(bobs_browser: Client) -> None:
    answer = bobs_browser.get("/markets/btccny")

    assert "no-store" in answer["Cache-Control"]
    assert "private" in answer["Cache-Control"]


def test_it_takes_an_order_and_answers_it(bobs_browser: Client, bob: Member) -> None:
    fund(bob, "20000 cny")

    answer = send(bobs_browser, ORDERS, {**BUY, "client_id": "web-1"})

    order = json.loads(answer.content)["order"]
    assert answer.status_code == 201
    assert (order["state"], order["price"], order["client_id"]) == (
        "pending",
        "30000.0",
        "web-1",
    )
    assert balance(bob.pk, "cny").available == 5000


@pytest.mark.promise("U-26")
def test_it_answers_the_same_order_when_it_is_sent_twice(
    bobs_browser: Client, bob: Member
) -> None:
    fund(bob, "20000 cny")
    body = {**BUY, "client_id": "web-1"}

    first, second = (send(bobs_browser, ORDERS, body) for _ in range(2))
    other = send(bobs_browser, ORDERS, {**body, "amount": "0.1"})

    assert (
        json.loads(first.content)["order"]["id"]
        == (json.loads(second.content)["order"]["id"])
    )
    assert refusal(other) == (409, "client_id_taken")
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"side": "hold"}, 400, "order_malformed"),
        ({"side": None}, 400, "order_malformed"),
        ({"kind": "stop"}, 400, "order_malformed"),
        ({"price": None}, 400, "order_malformed"),
        ({"price": 30000}, 400, "invalid"),
        ({"price": ["30000"]}, 400, "invalid"),
        ({"amount": "-1"}, 400, "not_a_number"),
        ({"amount": "NaN"}, 400, "not_a_number"),
        ({"amount": "1e3"}, 400, "not_a_number"),
        ({"amount": "9" * 10_000}, 400, "not_a_number"),
        ({"price": "30000.001"}, 422, "price_off_tick"),
        ({"amount": "0.00001"}, 422, "amount_off_lot"),
        ({"price": "0.01"}, 422, "order_below_minimum"),
        ({"amount": "1"}, 422, "insufficient_funds"),
        ({"client_id": "two words"}, 400, "order_malformed"),
    ],
)
def test_it_refuses_bad_terms_and_changes_nothing(
    bobs_browser: Client,
    bob: Member,
    changes: dict[str, object],
    status: int,
    code: str,
) -> None:
    fund(bob, "20000 cny")
    before = dump()

    answer = send(bobs_browser, ORDERS, {**BUY, **changes})

    assert refusal(answer) == (status, code)
    assert dump() == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000, b"{" + b" " * 300_000],
)
def test_it_refuses_what_is_not_the_json_it_expects(
    bobs_browser: Client, body: bytes
) -> None:
    answer = bobs_browser.post(ORDERS, body, content_type="application/json")

    assert refusal(answer) == (400, "invalid")


@pytest.mark.promise("S-57")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_it_refuses_what_another_sites_form_could_send(
    bobs_browser: Client, bob: Member, kind: str
) -> None:
    fund(bob, "20000 cny")

    answer = bobs_browser.post(ORDERS, json.dumps(BUY), content_type=kind)

    assert refusal(answer) == (400, "invalid")


@pytest.mark.promise("S-57")
def test_it_refuses_a_request_without_the_pages_token(bob: Member) -> None:
    fund(bob, "20000 cny")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(bob)
    page = browser.get("/markets/btccny").content.decode()
    token = re.search(r'data-csrf="(\w+)"', page)
    assert token is not None

    without = send(browser, ORDERS, BUY)
    with_token = send(browser, ORDERS, BUY, **{"X-CSRFToken": token[1]})

    assert (without.status_code, with_token.status_code) == (403, 201)


def test_it_asks_a_visitor_to_sign_in(visitor: Client) -> None:
    assert refusal(send(visitor, ORDERS, BUY)) == (401, "not_signed_in")
    assert refusal(send(visitor, f"{ORDERS}/clear", {})) == (401, "not_signed_in")
    assert refusal(visitor.delete(f"{ORDERS}/1")) == (401, "not_signed_in")


def test_it_asks_for_a_cancel(bobs_browser: Client, bob: Member) -> None:
    fund(bob, "20000 cny")
    order = json.loads(send(bobs_browser, ORDERS, BUY).content)["order"]

    answer = bobs_browser.delete(f"{ORDERS}/{order['id']}")
    match("btccny")

    assert answer.status_code == 202
    assert Order.objects.get().state == Order.State.CANCELLED
    assert balance(bob.pk, "cny").available == 20000


def test_it_hides_other_members_orders_and_other_markets(
    bobs_browser: Client, bob: Member, alices_browser: Client
) -> None:
    fund(bob, "20000 cny")
    order = json.loads(send(bobs_browser, ORDERS, BUY).content)["order"]

    foreign = alices_browser.delete(f"{ORDERS}/{order['id']}")
    elsewhere = bobs_browser.delete(f"/markets/btcusd/orders/{order['id']}")

    assert refusal(foreign) == (404, "unknown_order")
    assert refusal(elsewhere) == (404, "unknown_order")
    assert Order.objects.get().cancel_requested_at is None


@pytest.mark.promise("U-29")
def test_it_asks_for_all_cancels_of_a_side(bobs_browser: Client, bob: Member) -> None:
    fund(bob, "20000 cny", "1 btc")
    send(bobs_browser, ORDERS, {**BUY, "amount": "0.1"})
    send(bobs_browser, ORDERS, {**BUY, "side": "sell", "price": "40000"})

    buys = send(bobs_browser, f"{ORDERS}/clear", {"side": "buy"})
    wrong = send(bobs_browser, f"{ORDERS}/clear", {"side": "both"})
    rest = send(bobs_browser, f"{ORDERS}/clear", {})

    sides = [order["side"] for order in json.loads(buys.content)["orders"]]
    assert (buys.status_code, sides) == (202, ["buy"])
    assert refusal(wrong) == (400, "invalid")
    assert {order["side"] for order in json.loads(rest.content)["orders"]} >= {"sell"}


@pytest.mark.parametrize(
    "query", ["period=7", "period=0", "period=x", "limit=0", "limit=-1", "limit=1e9"]
)
def test_it_refuses_odd_candles(visitor: Client, query: str) -> None:
    assert refusal(visitor.get(f"/markets/btccny/candles?{query}")) == (400, "invalid")


@pytest.mark.promise("U-11")
def test_it_answers_candles_and_the_trade_they_end_with(
    visitor: Client,
    alices_browser: Client,
    alice: Member,
    bobs_browser: Client,
    bob: Member,
) -> None:
    fund(alice, "1 btc")
    fund(bob, "20000 cny")
    send(alices_browser, ORDERS, {**BUY, "side": "sell"})
    send(bobs_browser, ORDERS, BUY)
    match("btccny")

    answer = json.loads(visitor.get("/markets/btccny/candles?period=5").content)
    trade = screen_of(visitor.get("/markets/btccny"))["trades"][0]

    amounts = ["30000.0", "30000.0", "30000.0", "30000.0", "0.5"]
    assert [candle[1:] for candle in answer["candles"]] == [amounts]
    assert answer["last_trade"] == trade["id"]


@pytest.mark.promise("U-37")
def test_it_says_that_a_market_is_halted(visitor: Client) -> None:
    control.halt(
        market_id="btccny", reason="Upgrade until noon.", by="olive", now=timezone.now()
    )
    match("btccny")

    page = visitor.get("/markets/btccny").content.decode()

    assert re.search(r'id="halted"[^>]*role="status"\s*>', page)
    assert "Upgrade until noon." in page
