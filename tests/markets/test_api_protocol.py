"""
REST v2 as a protocol: paths, verbs, bodies, limits, CORS, and what is signed.

Whatever arrives, the answer is typed, and never a 500.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.api.parameters import Parameters, ParametersInvalid, Value
from accounts.models.members import Member
from markets import queries
from tests.makers import Answer, ApiClient, canonical, fund, make_token, sign

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def browser(db: None) -> Client:
    return Client(raise_request_exception=False)


def code(answer: Answer) -> tuple[int, int]:
    assert answer["Access-Control-Allow-Origin"] == "*"
    return answer.status_code, answer.json()["error"]["code"]


def test_it_speaks_json_with_or_without_the_suffix(browser: Client) -> None:
    plain = browser.get("/api/v2/markets")
    suffixed = browser.get("/api/v2/markets.json", headers={"accept": "text/html"})

    assert plain["Content-Type"] == suffixed["Content-Type"] == "application/json"
    assert plain.content == suffixed.content


def test_it_speaks_nothing_else(browser: Client) -> None:
    for suffix in (".xml", ".", ".json.xml", ".jsonp"):
        assert code(browser.get(f"/api/v2/markets{suffix}")) == (406, 2000), suffix


def test_it_knows_no_other_paths(browser: Client) -> None:
    paths = ("", "/", "/nothing", "/markets/", "/order/delete/1", "/%00", "/docs/")
    for path in (*paths, "/docsx", "/docs.json"):
        answer = browser.get(f"/api/v2{path}")

        assert (answer.status_code, answer.content) == (404, b"Not Found"), path
        assert answer["Content-Type"] == "text/plain"
        assert answer["Access-Control-Allow-Origin"] == "*"


UNSERVED = [
    ("POST", "markets"),
    ("DELETE", "orders"),
    ("GET", "order/delete"),
    ("PUT", "order"),
    ("PATCH", "timestamp"),
    ("TRACE", "depth"),
    ("BREW", "depth"),
]


def test_it_refuses_verbs_it_does_not_serve(browser: Client) -> None:
    for verb, path in UNSERVED:
        assert code(browser.generic(verb, f"/api/v2/{path}")) == (405, 2000), verb


def test_it_answers_a_head_without_a_body(browser: Client) -> None:
    answer = browser.head("/api/v2/markets")

    assert (answer.status_code, answer.content) == (200, b"")


def test_it_lets_any_page_call(browser: Client) -> None:
    answer = browser.options(
        "/api/v2/orders",
        headers={
            "origin": "https://bot.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert answer["Access-Control-Allow-Headers"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer


BODIES = [
    ("application/json", b'{"market": ', (400, 1001)),
    ("application/json", b"market=btccny", (400, 1001)),
    ("application/json", b"[1, 2]", (400, 1001)),
    ("application/json", b'"text"', (400, 1001)),
    ("application/json", b'{"volume": NaN}', (400, 1001)),
    ("application/json", b'{"a": "\\ud800"}', (400, 1001)),
    ("application/json", b'{"a": "\\u0000"}', (400, 1001)),
    ("application/json", b'{"a": "\xff"}', (400, 1001)),
    ("application/json", b"[" * 100_000, (400, 1001)),
    ("application/json", b'{"a":' * 50 + b"1" + b"}" * 50, (400, 1001)),
    ("application/json", b'{"market": ["btccny"]}', (400, 1001)),
    ("application/json", b'{"limit": 1' + b"0" * 9999 + b"}", (400, 1001)),
    ("application/xml", b"<order/>", (415, 2000)),
    ("text/plain", b"market=btccny", (415, 2000)),
    ("nonsense; charset=rot13", b"market=btccny", (415, 2000)),
    ("multipart/form-data", b"market=btccny", (400, 1001)),
    ("multipart/form-data; boundary=x", b"--x\r\nnonsense", (400, 1001)),
    (FORM + "; charset=rot13", b"market=btccny&limit=x", (400, 1001)),
    (FORM, b"market=nope&" + b"a=1&" * 1001, (400, 1001)),
    (FORM, b"market=%ff%fe", (400, 1001)),
    (FORM, b"market[]=btccny", (400, 1001)),
    (FORM, b"a=" + b"x" * 300_000, (413, 2000)),
    ("application/json", b'{"a": "' + b"x" * 1_000_000 + b'"}', (413, 2000)),
]


@pytest.mark.promise("S-76")
def test_it_answers_every_body_with_a_typed_error(browser: Client) -> None:
    for kind, body, expected in BODIES:
        answer = browser.generic("GET", "/api/v2/depth", body, kind)

        assert code(answer) == expected, (kind, body[:40])


def test_it_reads_multipart_forms(browser: Client) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="market"\r\n\r\n'
        b"btccny\r\n--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"

    answer = browser.generic("GET", "/api/v2/depth", body, kind)

    assert answer.status_code == 200


def test_it_takes_a_body_without_a_type_for_a_form(browser: Client) -> None:
    answer = browser.generic("GET", "/api/v2/depth", b"market=btccny", "")

    assert answer.status_code == 200


def test_it_prefers_the_body_and_the_path_over_the_query(browser: Client) -> None:
    body = browser.generic("GET", "/api/v2/depth?market=nope", b"market=btccny", FORM)
    path = browser.get("/api/v2/tickers/btccny?market=nope")

    assert (body.status_code, path.status_code) == (200, 200)


def test_it_says_500_in_an_envelope(
    browser: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down() -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(queries, "visible_markets", break_down)

    answer = browser.get("/api/v2/markets")

    assert code(answer) == (500, 2000)
    assert b"secret" not in answer.content
    assert "a secret of ours" in caplog.text


def test_it_says_503_when_the_database_is_away(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_away() -> None:
        raise OperationalError("terminating connection")

    monkeypatch.setattr(queries, "visible_markets", be_away)

    answer = browser.get("/api/v2/markets")

    assert code(answer) == (503, 2000)
    assert answer["Retry-After"] == "1"


@pytest.mark.promise("S-51")
def test_it_stops_an_address_at_its_limit(browser: Client, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 2

    answers = [browser.get("/api/v2/timestamp") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in answers} == {"2"}
    assert answers[2].content == b"Retry later\n"
    assert 0 < int(answers[2]["Retry-After"]) <= settings.RATE_WINDOW_SECONDS
    assert answers[2]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.promise("S-51")
def test_it_stops_a_key_at_its_limit(alice: Member, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_KEY = 1
    bot, another = ApiClient(make_token(alice)), ApiClient(make_token(alice))

    answers = [bot.get("members/me"), bot.get("members/me"), another.get("members/me")]

    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[0]["RateLimit-Limit"] == "1"


@pytest.mark.promise("S-51")
def test_it_lets_a_trader_out_who_placed_too_much(
    alice: Member, settings: Settings
) -> None:
    fund(alice, "1 btc")
    settings.RATE_LIMIT_PER_KEY = settings.RATE_LIMIT_PER_ADDRESS = 1
    bot = ApiClient(make_token(alice))
    terms = {"market": "btccny", "side": "sell", "volume": "0.1", "price": "100"}
    placed = bot.post("orders", **terms)

    more = bot.post("orders", **terms)
    out = bot.post("order/delete", id=placed.json()["id"])

    assert (placed.status_code, more.status_code) == (201, 429)
    assert out.status_code == 201


def test_it_verifies_whoever_signs_even_where_nobody_must(
    alices_bot: ApiClient,
) -> None:
    good = alices_bot.get("markets", foo="bar")
    bad = alices_bot.get("markets", signature="0" * 64)

    assert good.status_code == 200
    assert code(bad) == (401, 2005)


def test_it_signs_the_market_in_the_path(alices_bot: ApiClient) -> None:
    ask = alices_bot.browser.get
    with_it = alices_bot.signed("GET", "tickers/btccny.json", {}, market="btccny")
    without = alices_bot.signed("GET", "tickers/btccny.json", {})

    assert ask("/api/v2/tickers/btccny.json", with_it).status_code == 200
    assert code(ask("/api/v2/tickers/btccny.json", without)) == (401, 2005)


@pytest.mark.promise("S-42")
def test_it_binds_a_signature_to_verb_path_and_parameters(
    alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    terms: dict[str, Any] = {"market": "btccny", "side": "sell", "price": "100"}
    signed = alices_bot.signed("POST", "orders", {**terms, "volume": "0.1"})
    ask = alices_bot.browser

    altered = ask.post("/api/v2/orders", {**signed, "volume": "1"})
    elsewhere = ask.post("/api/v2/orders.json", signed)
    added = ask.post("/api/v2/orders", {**signed, "client_id": "x"})
    other_verb = ask.get("/api/v2/orders", signed)
    unchanged = ask.post("/api/v2/orders", signed)

    assert code(altered) == code(elsewhere) == code(added) == (401, 2005)
    assert code(other_verb) == (401, 2005)
    assert unchanged.status_code == 201


def test_it_leaves_format_and_route_info_unsigned(alices_bot: ApiClient) -> None:
    signed = alices_bot.signed("GET", "members/me", {})

    answer = alices_bot.browser.get(
        "/api/v2/members/me", {**signed, "format": "json", "route_info": "x"}
    )

    assert answer.status_code == 200


def test_it_signs_other_scripts_and_blanks_raw(alices_bot: ApiClient) -> None:
    answer = alices_bot.get("members/me", foo="a b", bar="100%", baz="é币")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"b": "2", "a": "1", "signature": "x"}, "a=1&b=2"),
        ({"a": "1 2+3=4&%25"}, "a=1+2+3=4&%25"),
        ({"a": None, "b": ""}, "a=&b="),
        (
            {
                "market": "btccny",
                "orders": [
                    {"side": "sell", "price": "1.0", "volume": "2"},
                    {"volume": "3", "side": "buy", "price": "1"},
                ],
                "access_key": "xxx",
            },
            (
                "access_key=xxx&market=btccny"
                "&orders[][price]=1.0&orders[][side]=sell&orders[][volume]=2"
                "&orders[][price]=1&orders[][side]=buy&orders[][volume]=3"
            ),
        ),
    ],
)
def test_it_writes_the_canonical_query(values: dict[str, Value], expected: str) -> None:
    assert Parameters(values).canonical_query() == expected


READS_LIKE_TWO: list[dict[str, Value]] = [
    {"foo": "1&side=buy"},
    {"foo=1&side": "buy"},
    {"a": "1", "foo&bar": "1"},
    {"client_id=1": "2"},
    {"orders": [{"side": "buy&volume=1"}]},
]


@pytest.mark.parametrize("values", READS_LIKE_TWO)
def test_it_signs_nothing_that_reads_like_two_parameters(
    values: dict[str, Value],
) -> None:
    with pytest.raises(ParametersInvalid):
        Parameters(values).canonical_query()


def test_it_signs_json_numbers_as_they_were_written(alices_bot: ApiClient) -> None:
    key, tonce = alices_bot.access_key, alices_bot.tonce()
    texts = {"access_key": key, "tonce": str(tonce), "a": "1.50", "b": "true"}
    payload = canonical("GET", "/api/v2/members/me", texts)
    signature = sign(payload, alices_bot.secret_key)
    body = (
        f'{{"access_key": {json.dumps(key)}, "tonce": {tonce}, "a": 1.50, "b": true,'
        f' "signature": "{signature}"}}'
    )

    answer = alices_bot.browser.generic(
        "GET", "/api/v2/members/me", body, "application/json"
    )

    assert answer.status_code == 200


def test_it_takes_the_last_of_what_comes_twice(alices_bot: ApiClient) -> None:
    """As the ancestor's web server did, also where it is signed."""
    ask = alices_bot.browser.generic
    signed = alices_bot.signed("GET", "orders", {"market": "btccny"})
    once = urlencode(signed)

    good = ask("GET", "/api/v2/orders", QUERY_STRING=f"market=nope&{once}")
    bad = ask("GET", "/api/v2/depth", QUERY_STRING="market=btccny&market=nope")
    json_last = b'{"market": "nope", "market": "btccny"}'

    assert good.status_code == 200
    assert code(bad) == (400, 1001)
    assert ask("GET", "/api/v2/depth", json_last, "application/json").status_code == 200


def test_it_reads_parameters_in_any_order(alices_bot: ApiClient) -> None:
    signed = alices_bot.signed("GET", "orders", {"market": "btccny", "limit": 1})
    backwards = dict(reversed(signed.items()))

    answer = alices_bot.browser.get("/api/v2/orders", backwards)

    assert answer.status_code == 200


def test_it_reads_percent_encoding_of_any_kind(alices_bot: ApiClient) -> None:
    """%20 and plus are one blank; what need not be encoded may be."""
    signed = alices_bot.signed("GET", "orders", {"market": "btccny", "foo": "a b"})
    everything = "&".join(
        "".join(f"%{byte:02x}" for byte in f"{name}".encode())
        + "="
        + "".join(f"%{byte:02X}" for byte in value.encode())
        for name, value in signed.items()
    )

    answer = alices_bot.browser.generic(
        "GET", "/api/v2/orders", QUERY_STRING=everything
    )

    assert answer.status_code == 200


@pytest.mark.promise("S-45")
def test_it_holds_the_window_of_half_a_minute(alices_bot: ApiClient) -> None:
    now = alices_bot.tonce()

    def ask(tonce: object) -> Answer:
        return alices_bot.get("members/me", tonce=tonce)

    assert ask(now - 25_000).status_code == 200
    assert ask(now + 25_000).status_code == 200
    assert code(ask(now - 25_000)) == (401, 2006)
    for skewed in (now - 35_000, now + 35_000, 1, "x", "-1", "1e12", "٣" * 13):
        assert code(ask(skewed)) == (401, 2007), skewed
    assert code(ask("")) == (401, 2007)


@pytest.mark.promise("S-51")
def test_it_counts_a_signed_request_for_its_key_alone(
    alice: Member, settings: Settings
) -> None:
    """Several bots behind one address do not use up each other's requests."""
    settings.RATE_LIMIT_PER_ADDRESS, settings.RATE_LIMIT_PER_KEY = 2, 3
    bots = [ApiClient(make_token(alice)) for _ in range(2)]

    answers = [bot.get("members/me").status_code for bot in bots for _ in range(3)]
    wrong = [bots[0].get("members/me", signature="x").status_code for _ in range(3)]

    assert answers == [200] * 6
    assert bots[0].get("members/me").status_code == 429
    assert wrong == [401, 401, 429]
