"""
Whatever the schema allows, and much that it forbids: signed by a real key, and answered
as documented. No refusal moves money.
"""

from __future__ import annotations

import warnings
from collections import Counter
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests
import schemathesis
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.api.parameters import BodyOfUnknownType, ParametersInvalid, collect
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from markets.api import described, documents
from markets.models import Order
from tests.makers import ApiClient, fund, make_token, match, sign
from wallets import valuation
from wallets.queries import balances

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
# What random texts would hardly ever be, and what gets further than the first check.
LIKELY = {
    "market": "btccny",
    "price": "100.5",
    "volume": "0.5",
    "currency": "btc",
    "id": 1,
    "trade_id": 2**40,
    "recipient": "bob@example.com",
    "amount": "0.5",
}
# What is asked for is not there, or leads nowhere, whatever is likely.
_OF_NOTHING = {
    *("GET deposit", "GET transfer", "GET withdraw", "POST withdraws"),
    *("POST withdraw/cancel", "POST beneficiaries", "POST beneficiary/remove"),
}
KNOWN = (
    {"orders"}
    | {param.name for endpoint in described.ENDPOINTS for param in endpoint.params}
    | {param.name for param in described.TERMS}
)
SCHEMA = schemathesis.openapi.from_dict(documents.openapi())
_FOUND: Any = SCHEMA.get_all_operations()
OPERATIONS = {each.ok().label: each.ok() for each in _FOUND}
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# What takes nothing can be given nothing wrong; and any text may stand in a path.
CASES = [
    pytest.param(label, mode, id=f"{label}, {mode.value}")
    for label, operation in OPERATIONS.items()
    for mode in (POSITIVE, NEGATIVE)
    if mode is POSITIVE or operation.query or operation.body
]


@pytest.fixture
def bot(
    alice: Member, bob: Member, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> ApiClient:
    """Alice's, with money, orders in all states and trades; and it may transfer."""
    settings.RATE_LIMIT_PER_KEY = settings.RATE_LIMIT_PER_ADDRESS = 10**9
    fund(alice, "1000 btc", "1000000 cny")
    fund(bob, "1000 btc", "1000000 cny")
    IdentityLevel.objects.update(withdrawal_24h=10**6, withdrawal_30d=10**6)
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(1)])
    both = {"scopes": ["all", "withdraw"], "trusted_ips": ["127.0.0.1"]}
    hers, his = ApiClient(make_token(alice, **both)), ApiClient(make_token(bob))
    for client, side in ((hers, "sell"), (his, "buy"), (hers, "sell")):
        client.post("orders", market="btccny", side=side, volume="0.5", price="100")
    match("btccny")
    return hers


def test_the_schema_has_all_operations() -> None:
    assert len(OPERATIONS) == 33


@pytest.mark.promise("S-76")
@pytest.mark.parametrize(("label", "mode"), CASES)
def test_it_answers_as_documented(
    bot: ApiClient, alice: Member, label: str, mode: GenerationMode
) -> None:
    answers: Counter[int] = Counter()

    @seed(2026)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(mode), likely=st.integers(0, 7))
    def ask(case: Any, likely: int) -> None:
        if likely and mode is POSITIVE:
            make_likely(case)
        before = holdings(alice)

        answer = send(bot, case)

        answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert holdings(alice) == before

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how slowly some inputs are made
        ask()

    assert sum(answers.values()) >= 1
    has_none = label.replace("/api/v2/", "") in _OF_NOTHING
    if mode is POSITIVE and not has_none:
        assert min(answers) < 300, answers


def holdings(member: Member) -> tuple[Any, int]:
    return balances(member), Order.objects.count()


def make_likely(case: Any) -> None:
    for part in (case.query, case.path_parameters, case.body):
        if not isinstance(part, dict):
            continue
        for values in [part, *part.get("orders", ())]:
            for name in values.keys() - KNOWN:
                del values[name]
            if "side" in values and "volume" in values:
                values |= {"price": "1", "ord_type": "limit"}
                values.pop("client_id", None)
            values |= {name: LIKELY[name] for name in values.keys() & LIKELY.keys()}


def flat(data: Any) -> Any:
    """Write the objects of a list as forms do; the library knows no such thing."""
    if not isinstance(data, dict) or not isinstance(data.get("orders"), list):
        return data
    others = [(name, value) for name, value in data.items() if name != "orders"]
    return others + [
        (f"orders[][{name}]", order[name])
        for order in data["orders"]
        if isinstance(order, dict)
        for name in sorted(order)
    ]


def send(bot: ApiClient, case: Any) -> Response:
    """Send a case as it is, with the key and the signature in its query."""
    whole = case.as_transport_kwargs(base_url="http://testserver")
    whole["data"] = flat(whole.get("data"))
    request = requests.Request(
        **{
            name: whole[name]
            for name in ("method", "url", "params", "data", "json", "headers")
            if whole.get(name) is not None
        }
    ).prepare()
    path, _, query = request.path_url.partition("?")
    body: Any = request.body or b""
    content = body.encode() if isinstance(body, str) else body
    kind: Any = request.headers.get("Content-Type", "application/x-www-form-urlencoded")
    keys = f"access_key={bot.access_key}&tonce={bot.tonce()}"
    query = f"{query}&{keys}" if query else keys
    try:
        seen = RequestFactory().generic(
            str(request.method), path, content, kind, QUERY_STRING=query
        )
        in_path = {"market": path.rpartition("/")[2]} if "/tickers/" in path else {}
        payload = collect(seen, in_path).canonical_query()
    except (ParametersInvalid, BodyOfUnknownType):
        payload = ""
    signature = sign(f"{request.method}|{path}|{payload}", bot.secret_key)
    query += f"&signature={quote_plus(signature)}"
    found = Client(raise_request_exception=False).generic(
        str(request.method), path, content, kind, QUERY_STRING=query
    )
    headers = {name.lower(): [value] for name, value in found.items()}
    return Response(found.status_code, headers, found.content, request, 0.0, True)
