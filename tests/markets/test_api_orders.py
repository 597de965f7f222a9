"""REST v2, private: orders, as a bot of the ancestor's time sees them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts import members
from accounts.models.members import Member
from markets import control, queries
from markets.api import shapes
from markets.models import Order
from tests.accounts import papers
from tests.makers import Answer, ApiClient, fund, make_token, match
from tests.markets.desk import NOW
from wallets.queries import balance

SELL = {"market": "btccny", "side": "sell", "volume": "0.11", "price": "2955.12"}


def error(answer: Answer) -> tuple[int, int, str]:
    """Return status, code and message of an envelope that holds nothing else."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Content-Type"] == "application/json"
    return answer.status_code, body["error"]["code"], body["error"]["message"]


def place(bot: ApiClient, **changes: Any) -> int:
    answer = bot.post("orders", **{**SELL, **changes})
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def test_it_takes_an_order_and_answers_in_the_ancestors_shape(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")

    answer = alices_bot.post("orders", **SELL)

    order = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", order["created_at"])
    assert list(order.items()) == [
        ("id", order["id"]),
        ("side", "sell"),
        ("ord_type", "limit"),
        ("price", "2955.12"),
        ("avg_price", "0.0"),
        ("state", "wait"),
        ("market", "btccny"),
        ("created_at", order["created_at"]),
        ("volume", "0.11"),
        ("remaining_volume", "0.11"),
        ("executed_volume", "0.0"),
        ("trades_count", 0),
        ("client_id", None),
    ]
    assert isinstance(order["id"], int)
    row = Order.objects.get(pk=order["id"])
    assert (row.member_id, row.source, row.state) == (alice.pk, "api", "pending")
    assert balance(alice.pk, "btc").locked == row.locked_at_first


@pytest.mark.parametrize("way", ["send", "form", "json"])
def test_it_reads_query_form_and_json_alike(
    alice: Member, alices_bot: ApiClient, way: str
) -> None:
    fund(alice, "1 btc")

    answer = getattr(alices_bot, way)("POST", "orders.json", dict(SELL))

    assert answer.status_code == 201
    assert answer.json()["volume"] == "0.11"


def test_it_reads_a_form_body_of_a_get(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "1 btc")
    order_id = place(alices_bot)

    answer = alices_bot.form("GET", "orders", {"market": "btccny"})

    assert [order["id"] for order in answer.json()] == [order_id]


def test_it_shows_a_filled_order_with_its_trades(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    fund(bob, "1000 cny")
    sold = place(alices_bot)
    bought = place(bobs_bot, side="buy", volume="0.2", price="3000")
    match("btccny")

    order = alices_bot.get("order", id=sold).json()
    hers = bobs_bot.get("order", id=bought).json()

    trade = order["trades"][0]
    assert order["state"] == "done"
    assert order["remaining_volume"] == "0.0"
    assert order["executed_volume"] == "0.11"
    assert order["avg_price"] == "2955.12"
    assert order["trades_count"] == 1
    assert list(order)[-1] == "trades"
    assert list(trade.items()) == [
        ("id", trade["id"]),
        ("price", "2955.12"),
        ("volume", "0.11"),
        ("funds", "325.0632"),
        ("market", "btccny"),
        ("created_at", trade["created_at"]),
        ("side", "sell"),
    ]
    assert hers["state"] == "wait"
    assert hers["remaining_volume"] == "0.09"
    assert hers["trades"] == [{**trade, "side": "buy"}]


def test_it_takes_market_orders(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    fund(bob, "1000 cny")
    place(alices_bot)
    match("btccny")

    answer = bobs_bot.post(
        "orders", market="btccny", side="buy", volume="0.1", ord_type="market"
    )
    match("btccny")

    order = bobs_bot.get("order", id=answer.json()["id"]).json()
    assert answer.json()["price"] is None
    assert answer.json()["ord_type"] == "market"
    assert (order["state"], order["executed_volume"]) == ("done", "0.1")


def test_it_refuses_a_market_order_that_the_book_cannot_fill(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(alice, "10 btc", "10000 cny")
    fund(bob, "10 btc", "10000 cny")
    for side, prices in (("sell", ("100", "1000")), ("buy", ("90", "9"))):
        for price in prices:
            place(alices_bot, side=side, price=price, volume="1")
    match("btccny")

    def why(side: str, volume: str) -> str:
        terms = {"market": "btccny", "ord_type": "market", "side": side}
        answer = bobs_bot.post("orders", **terms, volume=volume)
        status, code, message = error(answer)
        assert (status, code) == (400, 2002)
        return message.removeprefix(CREATION_FAILED)

    for side in ("buy", "sell"):
        assert why(side, "2.0001") == "Market is not deep enough"
        # Two levels hold as much, but the second is too far from the first.
        assert why(side, "1.5") == "Volume too large"
    assert not Order.objects.filter(member_id=bob.pk).exists()
    fits = bobs_bot.post(
        "orders", market="btccny", ord_type="market", side="buy", volume="1"
    )
    assert fits.status_code == 201


def test_it_takes_zeros_behind_the_last_digit(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")

    answer = alices_bot.post(
        "orders", **{**SELL, "volume": "0.1" + "0" * 25, "price": "2955.10" + "0" * 30}
    )

    assert (answer.status_code, answer.json()["volume"]) == (201, "0.1")
    assert answer.json()["price"] == "2955.1"


@pytest.mark.promise("I-15")
def test_it_answers_the_same_order_to_the_same_client_id(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    first = place(alices_bot, client_id="mine-1")

    again = alices_bot.post("orders", **SELL, client_id="mine-1")
    other = alices_bot.post("orders", **SELL | {"volume": "0.12"}, client_id="mine-1")

    assert (again.status_code, again.json()["id"]) == (201, first)
    assert again.json()["client_id"] == "mine-1"
    status, code, message = error(other)
    assert (status, code) == (409, 2002)
    assert message.startswith("Failed to create order. Reason: You used this client id")
    assert Order.objects.count() == 1


CREATION_FAILED = "Failed to create order. Reason: "
BAD_TERMS = [
    ({"price": "0"}, "Validation failed: Price must be greater than 0"),
    ({"price": "-1"}, "Validation failed: Price must be greater than 0"),
    ({"price": "test"}, "Validation failed: Price must be greater than 0"),
    ({"price": ""}, "Validation failed: Price must be greater than 0"),
    ({"price": "NaN"}, "Validation failed: Price must be greater than 0"),
    ({"price": "Infinity"}, "Validation failed: Price must be greater than 0"),
    ({"price": "٣"}, "Validation failed: Price must be greater than 0"),
    ({"volume": "-0.1"}, "Validation failed: Volume must be greater than 0"),
    ({"volume": "0.0"}, "Validation failed: Volume must be greater than 0"),
    ({"volume": "nan"}, "Validation failed: Volume must be greater than 0"),
    ({"volume": "1e5"}, "Validation failed: Volume must be a plain decimal number"),
    ({"volume": "1,5"}, "Validation failed: Volume must be a plain decimal number"),
    (
        {"volume": "9" * 9999},
        "Validation failed: Volume must be a plain decimal number",
    ),
    ({"volume": "0." + "3" * 19}, "The amount must be a multiple of 0.0001"),
    ({"price": "10." + "1" * 40}, "The price must be a multiple of 0.01"),
    ({"price": "10." + "1" * 41}, "Validation failed: Price must be a plain decimal"),
    ({"price": "0." + "0" * 40}, "Validation failed: Price must be greater than 0"),
    (
        {"price": "x", "volume": "0"},
        "Validation failed: Price must be greater than 0, ",
    ),
    ({"ord_type": "market"}, "Validation failed: Price must not be present"),
    ({"ord_type": "market", "price": ""}, "Market is not deep enough"),
    ({"volume": "1.5"}, "cannot lock funds (amount: 1.5)"),
    ({"side": "buy", "volume": "1"}, "cannot lock funds (amount: 2955.12)"),
    ({"price": "2955.129"}, "The price must be a multiple of 0.01"),
    ({"volume": "0.11009"}, "The amount must be a multiple of 0.0001"),
    ({"volume": "9" * 20, "price": "9" * 20}, ""),
    ({"price": "0.01", "volume": "0.0001"}, "The smallest order here is 1.0 CNY."),
    ({"client_id": "a b"}, "A client id is"),
    ({"client_id": "x" * 65}, "A client id is"),
]


@pytest.mark.promise("S-76")
def test_it_refuses_bad_terms_in_the_ancestors_words(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")

    for terms, reason in BAD_TERMS:
        answer = alices_bot.post("orders", **{**SELL, **terms})

        status, code, message = error(answer)
        assert (status, code) == (400, 2002), terms
        assert message.startswith(CREATION_FAILED + reason), (terms, message)

    assert not Order.objects.exists()
    assert balance(alice.pk, "btc").locked == 0


NOT_VALID = "does not have a valid value"
BAD_PARAMETERS: list[tuple[dict[str, str | None], str]] = [
    ({"market": "nope"}, "market does not have a valid value"),
    ({"market": ""}, "market does not have a valid value"),
    ({"side": "both"}, "side does not have a valid value"),
    ({"side": ""}, "side does not have a valid value"),
    ({"ord_type": "stop"}, "ord_type does not have a valid value"),
    (
        {"volume": None, "side": None},
        "side is missing, side does not have a valid value, volume is missing",
    ),
    ({"market": None}, "market is missing, market does not have a valid value"),
    ({"market": "nope", "side": "x"}, f"market {NOT_VALID}, side {NOT_VALID}"),
    ({"client_id": "x&volume=9"}, "A parameter is invalid: it reads like two."),
    ({"price": "1\0"}, "A parameter is invalid: it is not plain text."),
]


def test_it_names_missing_and_malformed_parameters(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")

    for changes, expected in BAD_PARAMETERS:
        whole: dict[str, str | None] = {**SELL, **changes}
        given = {name: value for name, value in whole.items() if value is not None}

        answer = alices_bot.post("orders", **given)

        assert error(answer) == (400, 1001, expected), changes

    assert not Order.objects.exists()


def test_it_says_503_when_trying_again_is_right(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    control.halt(
        market_id="btccny", by="operator:1", reason="a test", now=timezone.now()
    )
    match("btccny")

    answer = alices_bot.post("orders", **SELL)

    status, code, message = error(answer)
    assert (status, code) == (503, 2002)
    assert message.startswith(CREATION_FAILED + "This market is halted.")
    assert answer["Retry-After"] == "1"


def test_it_lets_a_frozen_member_look_and_cancel_only(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    order_id = place(alices_bot)
    members.freeze(member=alice, by="operator:1", reason="a test")

    placed = alices_bot.post("orders", **SELL)
    seen = alices_bot.get("order", id=order_id)
    cancelled = alices_bot.post("order/delete", id=order_id)

    status, code, message = error(placed)
    assert (status, code) == (400, 2002)
    assert message.startswith(CREATION_FAILED + "Your account may not trade")
    assert (seen.status_code, cancelled.status_code) == (200, 201)


def test_it_cancels_in_two_steps(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "1 btc")
    order_id = place(alices_bot)
    match("btccny")

    asked = alices_bot.post("order/delete", id=order_id)
    match("btccny")
    again = alices_bot.post("order/delete", id=order_id)

    assert (asked.status_code, asked.json()["state"]) == (201, "wait")
    assert (again.status_code, again.json()["state"]) == (201, "cancel")
    assert balance(alice.pk, "btc").available == 1


@pytest.mark.promise("S-69")
def test_it_hides_the_orders_of_others(
    alice: Member, alices_bot: ApiClient, mallory: Member
) -> None:
    fund(alice, "1 btc")
    order_id = place(alices_bot)
    mallorys_bot = ApiClient(make_token(mallory))

    seen = mallorys_bot.get("order", id=order_id)
    deleted = mallorys_bot.post("order/delete", id=order_id)
    listed = mallorys_bot.get("orders", market="btccny")
    cleared = mallorys_bot.post("orders/clear")

    assert error(seen) == (404, 2004, f"Order#{order_id} doesn't exist.")
    assert error(deleted)[:2] == (400, 2003)
    assert error(deleted)[2].startswith("Failed to cancel order. Reason: ")
    assert (listed.json(), cleared.json()) == ([], [])
    assert Order.objects.get().cancel_requested_at is None


def test_it_knows_no_order_of_an_odd_id(alices_bot: ApiClient) -> None:
    assert error(alices_bot.get("order", id="-1"))[:2] == (404, 2004)
    assert error(alices_bot.get("order", id="0"))[:2] == (404, 2004)
    assert error(alices_bot.get("order", id="9" * 18))[:2] == (404, 2004)
    assert error(alices_bot.get("order", id="9" * 30)) == (400, 1001, "id is invalid")
    assert error(alices_bot.get("order", id="1.0")) == (400, 1001, "id is invalid")
    assert error(alices_bot.get("order")) == (400, 1001, "id is missing")
    assert error(alices_bot.post("order/delete")) == (400, 1001, "id is missing")


def test_it_clears_all_markets_or_one_side(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc", "1000 cny", "1000 usd")
    sold = place(alices_bot)
    bought = place(alices_bot, side="buy", volume="0.1", price="100")
    elsewhere = place(
        alices_bot, market="btcusd", side="buy", volume="0.1", price="100"
    )

    buys = alices_bot.post("orders/clear", side="buy")
    rest = alices_bot.post("orders/clear")
    odd = alices_bot.post("orders/clear", side="ask")

    assert buys.status_code == 201
    assert [order["id"] for order in buys.json()] == [bought, elsewhere]
    assert sold in [order["id"] for order in rest.json()]
    assert error(odd) == (400, 1001, "side does not have a valid value")


def test_it_lists_orders_by_state_page_and_order(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    waiting = [place(alices_bot, volume="0.01", price=str(n)) for n in (1000, 2000)]
    gone = place(alices_bot, volume="0.01", price="3000")
    alices_bot.post("order/delete", id=gone)
    match("btccny")

    def ids(**params: object) -> list[int]:
        answer = alices_bot.get("orders", market="btccny", **params)
        return [order["id"] for order in answer.json()]

    assert ids() == waiting
    assert ids(order_by="desc") == waiting[::-1]
    assert ids(state="cancel") == [gone]
    assert ids(state="done") == []
    assert ids(limit=1, page=2) == [waiting[1]]
    assert ids(page=0) == waiting
    assert ids(page="9" * 18) == []


def test_each_state_of_ours_is_one_of_the_ancestors() -> None:
    shown = {
        state: shapes.order(
            Order(state=state, side="buy", market_id="btccny", created_at=NOW, filled=0)
        )["state"]
        for state in Order.State.values
    }

    assert shown == {
        "pending": "wait",
        "open": "wait",
        "filled": "done",
        "cancelled": "cancel",
        "rejected": "cancel",
    }


def test_it_averages_prices_to_eight_digits_also_after_a_cancel(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(alice, "10 btc")
    fund(bob, "1000 cny")
    for price, volume in (("100", "0.1"), ("101", "0.2"), ("103", "0.4")):
        place(alices_bot, price=price, volume=volume)
    bought = place(bobs_bot, side="buy", price="103", volume="1")
    match("btccny")
    bobs_bot.post("order/delete", id=bought)
    match("btccny")

    order = bobs_bot.get("order", id=bought).json()

    assert (order["state"], order["executed_volume"]) == ("cancel", "0.7")
    # (10 + 20.2 + 41.2) / 0.7 = 102
    assert order["avg_price"] == "102.0"
    part = Order(funds_used=Decimal("20.2"), filled=Decimal("0.3"))
    assert queries.average_price(part) == Decimal("67.33333333")


def test_it_holds_the_bounds_of_lists(alices_bot: ApiClient) -> None:
    def refusal(**params: object) -> tuple[int, int, str]:
        return error(alices_bot.get("orders", **{"market": "btccny", **params}))

    out_of_range = "limit must be in range: 1..1000"
    assert refusal(limit=0) == (400, 1001, out_of_range)
    assert refusal(limit=1001) == (400, 1001, out_of_range)
    assert refusal(limit="ten") == (400, 1001, "limit is invalid")
    assert refusal(limit="١") == (400, 1001, "limit is invalid")
    assert refusal(state="open") == (400, 1001, "state does not have a valid value")
    assert refusal(state="x", limit=0, order_by="up")[2] == (
        "state does not have a valid value, limit must be in range: 1..1000,"
        " order_by does not have a valid value"
    )
    assert refusal(market="nope")[2] == "market does not have a valid value"


def test_it_reports_who_i_am(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "1.5 btc")
    place(alices_bot)

    answer = alices_bot.get("members/me.json")

    me = answer.json()
    assert list(me) == ["sn", "name", "email", "activated", "accounts"]
    assert re.fullmatch("PEA[A-Z2-7]{8}TIO", me["sn"])
    assert (me["name"], me["email"]) == (None, "alice@example.com")
    assert me["activated"] is True
    accounts = {account["currency"]: account for account in me["accounts"]}
    assert accounts["btc"] == {"currency": "btc", "balance": "1.39", "locked": "0.11"}
    assert accounts["doge"] == {"currency": "doge", "balance": "0.0", "locked": "0.0"}


def test_it_calls_a_member_by_the_verified_name(
    alice: Member, alices_bot: ApiClient, olive: Member
) -> None:
    Member.objects.filter(pk=alice.pk).update(display_name="Trader A")
    papers.send(alice)
    said_only = alices_bot.get("members/me.json").json()["name"]
    papers.verified(alice, olive)

    assert said_only is None
    assert alices_bot.get("members/me.json").json()["name"] == papers.DATA.full_name


@pytest.mark.promise("S-47")
def test_it_opens_each_route_to_its_scopes(alice: Member) -> None:
    fund(alice, "1 btc")
    routes = {
        ("GET", "members/me"): {"all", "profile"},
        ("GET", "orders"): {"all", "history", "trade"},
        ("GET", "order"): {"all", "history", "trade"},
        ("POST", "orders"): {"all", "trade"},
        ("POST", "orders/multi"): {"all", "trade"},
        ("GET", "trades/my"): {"all", "history"},
        ("POST", "order/delete"): {"all", "trade"},
        ("POST", "orders/clear"): {"all", "trade"},
        ("GET", "markets"): {"all", "profile", "history", "trade"},
    }

    for scope in ("all", "profile", "history", "trade"):
        bot = ApiClient(make_token(alice, scopes=(scope,)))
        for (verb, path), opened_by in routes.items():
            answer = bot.send(verb, path, {})

            is_shut = b'"code":2011' in answer.content
            assert is_shut == (scope not in opened_by), (scope, verb, path)


def test_it_answers_unsigned_calls_as_the_ancestor_did(
    db: None, alices_bot: ApiClient
) -> None:
    ask = alices_bot.browser.generic

    for verb, path in [("GET", "orders"), ("POST", "orders"), ("GET", "order")]:
        assert error(ask(verb, f"/api/v2/{path}")) == (
            401,
            2001,
            "Authorization failed",
        )
    assert error(ask("POST", "/api/v2/order/delete?tonce=1&access_key=x"))[1] == 2001
    assert error(ask("GET", "/api/v2/members/me?tonce=1")) == (
        400,
        1001,
        "access_key is missing, signature is missing",
    )


@pytest.mark.promise("S-44")
def test_it_takes_no_request_twice_even_a_refused_one(
    alice: Member, alices_bot: ApiClient
) -> None:
    tonce = alices_bot.tonce()
    refused = alices_bot.post("orders", **SELL, tonce=tonce)
    fund(alice, "1 btc")

    replayed = alices_bot.post("orders", **SELL, tonce=tonce)

    assert error(refused)[1] == 2002
    assert error(replayed)[:2] == (401, 2006)
    assert not Order.objects.exists()


def test_it_answers_each_failure_of_a_key(alice: Member) -> None:
    bot = ApiClient(make_token(alice))
    expired = ApiClient(make_token(alice, expires_at=timezone.now()))
    elsewhere = ApiClient(make_token(alice, trusted_ips=["192.0.2.1"]))

    late = timezone.now() - timedelta(minutes=1)
    stale = bot.get("order", id=1, tonce=int(late.timestamp() * 1000))
    unknown = bot.get("order", id=1, access_key="nobody's")
    forged = bot.get("order", id=1, signature="f" * 64)
    old = expired.get("order", id=1)
    foreign = elsewhere.get("order", id=1)
    Member.objects.filter(pk=alice.pk).update(api_disabled=True)
    disabled = bot.get("order", id=1)

    assert error(stale)[:2] == (401, 2007)
    assert error(unknown) == (401, 2008, "The access key nobody's does not exist.")
    assert error(forged) == (401, 2005, f"Signature {'f' * 64} is incorrect.")
    assert error(old)[:2] == (401, 2010)
    assert (foreign.status_code, foreign.content) == (403, b"Forbidden\n")
    assert error(disabled)[:2] == (401, 2009)
