"""REST v2: many orders at once, nested as the ancestor's clients nested them."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest

from accounts.models.members import Member
from markets.models import Market, OpenOrders, Order
from tests.makers import Answer, ApiClient, fund, make_token, match, sign
from tests.races.crowd import at_once
from wallets.queries import balance

FORM = "application/x-www-form-urlencoded"
BOTH = [
    {"side": "sell", "volume": "12.13", "price": "2014"},
    {"side": "buy", "volume": "17.31", "price": "2005"},
]


@pytest.fixture
def rich(alice: Member) -> Member:
    fund(alice, "100 btc", "100000 cny")
    return alice


def signed_pairs(
    bot: ApiClient, orders: list[dict[str, str]], market: str = "btccny"
) -> list[tuple[str, str]]:
    """Sign as the Ruby client does: keys sorted in each order, orders as they stand."""
    pairs = [("access_key", bot.access_key), ("market", market)]
    for order in orders:
        pairs += [(f"orders[][{name}]", order[name]) for name in sorted(order)]
    pairs.append(("tonce", str(bot.tonce())))
    query = "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs)
    payload = f"POST|/api/v2/orders/multi|{unquote(query)}"
    return [*pairs, ("signature", sign(payload, bot.secret_key))]


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs)


def raw(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={text}" for name, text in pairs)


def send(bot: ApiClient, body: str, kind: str = FORM) -> Answer:
    path = "/api/v2/orders/multi"
    return bot.browser.generic("POST", path, body.encode(), kind)


def as_json(pairs: list[tuple[str, str]], orders: list[dict[str, Any]]) -> str:
    flat = {name: text for name, text in pairs if "[" not in name}
    return json.dumps(flat | {"orders": orders})


def place(bot: ApiClient, *orders: dict[str, str], market: str = "btccny") -> Answer:
    return send(bot, encoded(signed_pairs(bot, list(orders), market)))


def locked(member: Member) -> tuple[Decimal, Decimal]:
    return balance(member.pk, "btc").locked, balance(member.pk, "cny").locked


def refusal(answer: Answer) -> dict[str, Any]:
    assert answer.status_code == 400, answer.content
    found: dict[str, Any] = answer.json()["error"]
    return found


@pytest.mark.parametrize("way", ["encoded", "raw", "query", "json"])
def test_it_takes_orders_nested_in_any_way(
    rich: Member, alices_bot: ApiClient, way: str
) -> None:
    pairs = signed_pairs(alices_bot, BOTH)
    path = "/api/v2/orders/multi"
    match way:
        case "encoded":
            answer = send(alices_bot, encoded(pairs))
        case "raw":
            answer = send(alices_bot, raw(pairs))
        case "query":
            answer = alices_bot.browser.post(path, QUERY_STRING=encoded(pairs))
        case _:
            answer = send(alices_bot, as_json(pairs, BOTH), "application/json")

    placed = answer.json()
    assert answer.status_code == 201, answer.content
    assert [(row["side"], row["volume"], row["price"]) for row in placed] == [
        ("sell", "12.13", "2014.0"),
        ("buy", "17.31", "2005.0"),
    ]
    assert [row["state"] for row in placed] == ["wait", "wait"]
    assert [row["id"] for row in placed] == list(
        Order.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert locked(rich) == (Decimal("12.13"), Decimal("17.31") * 2005)
    assert OpenOrders.objects.get(member_id=rich.pk).count == 2


def test_it_matches_orders_in_the_order_they_were_sent(
    rich: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(bob, "1000 cny")
    sell = {"side": "sell", "volume": "0.1", "price": "100"}
    ids = [row["id"] for row in place(alices_bot, sell, sell, sell).json()]
    bobs_bot.post("orders", market="btccny", side="buy", volume="0.2", price="100")
    match("btccny")

    states = [alices_bot.get("order", id=id).json()["state"] for id in ids]

    assert ids == sorted(ids)
    assert states == ["done", "done", "wait"]


def test_it_takes_market_orders_among_others(
    rich: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    fund(bob, "1000 cny")
    bobs_bot.post("orders", market="btccny", side="buy", volume="1", price="100")
    match("btccny")

    answer = place(
        alices_bot,
        {"side": "sell", "volume": "0.5", "ord_type": "market"},
        {"side": "sell", "volume": "0.5", "ord_type": "market"},
        {"side": "sell", "volume": "0.1", "ord_type": "limit", "price": "101"},
    )

    placed = answer.json()
    assert [row["price"] for row in placed] == [None, None, "101.0"]
    match("btccny")
    done = alices_bot.get("orders", market="btccny", state="done").json()
    assert [row["id"] for row in done] == [placed[0]["id"], placed[1]["id"]]


def test_it_creates_nothing_on_an_error(rich: Member, alices_bot: ApiClient) -> None:
    # With a type each: without one, the second's would be read as the first's.
    good = {**BOTH[0], "ord_type": "limit"}

    def why(*orders: dict[str, str]) -> tuple[int, str, int | None]:
        error = refusal(place(alices_bot, *orders))
        message = error["message"].removeprefix("Failed to create order. Reason: ")
        return error["code"], message, error.get("index")

    assert why(BOTH[0], {**BOTH[1], "price": "test"}) == (
        *(2002, "Validation failed: Price must be greater than 0", 1),
    )
    off_tick = why({**good, "price": "1.001"}, good)
    assert (off_tick[0], off_tick[2]) == (2002, 0)
    assert "0.01" in off_tick[1]
    assert why(good, {**good, "volume": "90"}) == (
        *(2002, "cannot lock funds (amount: 90.0)", 1),
    )
    assert why(good, {**BOTH[1], "volume": "60"}) == (
        *(2002, "cannot lock funds (amount: 120300.0)", 1),
    )
    assert why(good, {"side": "sell", "volume": "1", "ord_type": "market"}) == (
        *(2002, "Market is not deep enough", 1),
    )
    assert not Order.objects.exists()
    assert locked(rich) == (Decimal(0), Decimal(0))


def test_it_names_missing_and_malformed_parts(
    rich: Member, alices_bot: ApiClient
) -> None:
    good = BOTH[0]
    most = [good] * 101
    cases: list[tuple[list[dict[str, str]], str]] = [
        ([], "orders is missing"),
        ([{"volume": "1", "price": "1"}, good], "orders[side] is missing"),
        ([{**good, "side": "x"}], "orders[side] does not have a valid value"),
        ([{"side": "buy"}, {"side": "buy"}], "orders[volume] is missing"),
        (most, "orders must have 1..100 elements"),
    ]

    for orders, expected in cases:
        error = refusal(place(alices_bot, *orders))
        assert (error["code"], error["message"]) == (1001, expected)

    error = refusal(place(alices_bot, {"side": "x", "volume": "1"}, market="nope"))
    assert error["message"] == (
        "market does not have a valid value, orders[side] does not have a valid value"
    )
    assert not Order.objects.exists()


BRACKETS = [
    "orders=1",
    "orders[]=1",
    "orders[0][side]=sell",
    "orders[][side]=sell&orders[x]=1",
    "orders[][side]=sell&orders[]=1",
    "orders[][][][][][side]=1",
    "orders[][side][]=sell&orders[][volume]=1",
    "orders[][side][x]=sell&orders[][volume]=1",
]


def test_it_refuses_other_brackets(rich: Member, alices_bot: ApiClient) -> None:
    for brackets in BRACKETS:
        pairs = [tuple(pair.split("=")) for pair in brackets.split("&")]
        flat = [("access_key", alices_bot.access_key), ("market", "btccny")]
        whole = [*flat, *pairs, ("tonce", str(alices_bot.tonce()))]
        payload = f"POST|/api/v2/orders/multi|{raw(whole)}"  # type: ignore[arg-type]
        whole.append(("signature", sign(payload, alices_bot.secret_key)))

        error = refusal(send(alices_bot, raw(whole)))  # type: ignore[arg-type]

        assert error["code"] == 1001, brackets
        assert error["message"].startswith("orders"), (brackets, error)


def test_it_refuses_lists_in_multipart_forms(alices_bot: ApiClient) -> None:
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    pairs = signed_pairs(alices_bot, BOTH)
    body = "".join(part.format(*pair) for pair in pairs) + "--x--\r\n"

    error = refusal(send(alices_bot, body, "multipart/form-data; boundary=x"))

    assert error["message"].startswith("Send lists as JSON")


def test_it_answers_a_retry_with_the_orders_already_placed(
    rich: Member, alices_bot: ApiClient
) -> None:
    named = [{**order, "client_id": f"no-{n}"} for n, order in enumerate(BOTH)]

    first = place(alices_bot, *named).json()
    again = place(alices_bot, *named).json()
    partly = place(alices_bot, named[0], {**BOTH[1], "client_id": "new"})
    changed = place(alices_bot, named[0], {**named[1], "price": "2004"})
    twice = place(alices_bot, *[{**BOTH[0], "client_id": "twin"}] * 2)

    assert [row["client_id"] for row in first] == ["no-0", "no-1"]
    assert again == first
    for answer in (partly, changed):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, 2002)
        assert answer.json()["error"]["index"] == 1
    assert refusal(twice)["code"] == 2002
    assert Order.objects.count() == 2


def test_it_holds_the_cap_over_all_of_them(rich: Member, alices_bot: ApiClient) -> None:
    Market.objects.filter(pk="btccny").update(open_orders_max=3)

    taken = place(alices_bot, *BOTH)
    refused = refusal(place(alices_bot, *BOTH))
    fits = place(alices_bot, BOTH[0])

    assert (taken.status_code, fits.status_code) == (201, 201)
    assert "allows 3" in refused["message"]
    assert Order.objects.count() == 3


@pytest.mark.races
def test_it_locks_two_balances_without_deadlock(
    rich: Member, alices_bot: ApiClient
) -> None:
    """Forwards and backwards at once: the locks are had in one order all the same."""
    small = [{**order, "volume": "2"} for order in BOTH]
    bots = [ApiClient(make_token(rich)) for _ in range(8)]
    deeds = [
        partial(place, bot, *(small if n % 2 else small[::-1]))
        for n, bot in enumerate(bots)
    ]

    answers = at_once(*deeds)

    assert [getattr(answer, "status_code", 0) for answer in answers] == [201] * 8
    assert locked(rich) == (Decimal(16), Decimal(16) * 2005)
