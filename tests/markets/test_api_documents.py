"""The documents of REST v2: true, whole, and their examples run as they are printed."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from accounts.models.members import Member
from exchange.management.commands.run_exchange import web
from markets.api import described, documents, page, urls
from markets.api.described import Endpoint, answer_of
from markets.models import Order
from tests.faults.programs import free_ports, running, until
from tests.makers import fund, make_token, sign
from tests.markets.streaming import is_listening

pytestmark = pytest.mark.django_db


def served(path: str) -> str:
    answer = Client().get(path)
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


# --- The examples -------------------------------------------------------------------

PROGRAMS = {
    "shell": ["sh"],
    "python": [sys.executable],
    "javascript": ["node"],
    "headers": [sys.executable],
}


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """Serve the web as production does; return its address."""
    (port,) = free_ports(1)
    log = tmp_path / "web.log"
    with running(web(port), log, DATABASE_URL=database_url) as process:
        until(lambda: is_listening(port), why=process.words)
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_example_runs_as_it_is_printed(
    url: str, alice: Member, tmp_path: Path, language: str
) -> None:
    command = PROGRAMS[language]
    for needed in [*command, *(["curl", "openssl"] if language == "shell" else [])]:
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    fund(alice, "1 btc")
    keys = make_token(alice)
    found = re.search(
        rf'<code id="example-{language}">(.*?)</code>',
        served("/api/v2/docs"),
        re.DOTALL,
    )
    assert found is not None
    suffix = ".mjs" if language == "javascript" else ""
    program = tmp_path / f"example{suffix}"
    program.write_text(html.unescape(found[1]))

    done = subprocess.run(
        [*command, str(program)],
        env=os.environ
        | {
            "PIXIU_URL": url,
            "ACCESS_KEY": keys.access_key,
            "SECRET_KEY": keys.secret_key,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(said) == ["Ticker", "Me", "Placed", "Found", "Cancelled", "Both"]
    assert alice.email in said["Me"]
    orders = list(Order.objects.order_by("pk"))
    assert [(order.price, order.source) for order in orders] == [
        (700_000, "api"),
        (700_001, "api"),
        (700_002, "api"),
    ]
    assert [order.cancel_requested_at is not None for order in orders] == [
        *(True, False, False)
    ]
    for kind in ("Placed", "Found", "Cancelled"):
        assert f"{orders[0].pk}" in said[kind]
    assert all(str(order.pk) in said["Both"] for order in orders[1:])


# --- OpenAPI ------------------------------------------------------------------------


def test_the_schema_is_openapi() -> None:
    answer = Client().get("/api/v2/schema.json")
    schema = answer.json()

    validate: Any = validate_schema
    validate(schema)

    assert schema["openapi"].startswith("3.1")
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_the_schema_knows_both_ways_to_sign() -> None:
    schema = documents.openapi()
    schemes = schema["components"]["securitySchemes"]

    ways = schema["paths"]["/api/v2/orders"]["post"]["security"]

    assert [set(way) for way in ways] == [
        {"access_key", "tonce", "signature"},
        {"X-Api-Key", "X-Api-Timestamp", "X-Api-Nonce", "X-Api-Signature"},
    ]
    assert {(schemes[name]["in"], schemes[name]["name"]) for name in ways[1]} == {
        ("header", name) for name in ways[1]
    }
    assert "security" not in schema["paths"]["/api/v2/markets"]["get"]


@pytest.mark.promise("S-42")
def test_the_page_prints_vectors_that_are_right() -> None:
    printed = html.unescape(served("/api/v2/docs"))

    for lines, signature in page.VECTORS:
        assert sign("\n".join(lines), "yyy") == signature
        assert "\n".join(lines) in printed
        assert signature in printed


def test_every_endpoint_is_described_with_each_of_its_verbs() -> None:
    described_verbs = {
        (endpoint.view, endpoint.verb) for endpoint in described.ENDPOINTS
    }
    paths = documents.openapi()["paths"]
    served_verbs = set()
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        view = getattr(pattern.callback, "cls", None)
        if view is not None and view.__module__ != documents.__name__:
            served_verbs |= {
                (view, verb) for verb in ("get", "post") if hasattr(view, verb)
            }

    assert described_verbs == served_verbs
    assert {(path, verb) for path in paths for verb in paths[path]} == {
        (f"/api/v2/{each.path}", each.verb) for each in described.ENDPOINTS
    }
    assert len(described.ENDPOINTS) == 33


@pytest.mark.parametrize(
    "endpoint", described.ENDPOINTS, ids=lambda each: f"{each.verb} {each.path}"
)
def test_the_answer_printed_for_an_endpoint_is_one(endpoint: Endpoint) -> None:
    schema = answer_of(endpoint) | {"components": {"schemas": described.SHAPES}}

    Draft202012Validator(schema).validate(page.sample(answer_of(endpoint)))


def test_an_order_is_printed_as_it_is_answered() -> None:
    new, whole = (
        page.sample({"$ref": f"#/components/schemas/{name}"})
        for name in ("Order", "OrderWithTrades")
    )

    assert (new["state"], new["executed_volume"], new["avg_price"]) == (
        *("wait", "0.0", "0.0"),
    )
    assert (whole["state"], whole["executed_volume"]) == ("done", whole["volume"])


def test_every_shape_that_is_named_is_there() -> None:
    text = json.dumps(documents.openapi())

    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))

    assert named <= set(described.SHAPES)
    assert set(described.SHAPES) - named == set()


# --- Swagger 1.2 --------------------------------------------------------------------


_PLAIN_TYPES = {"array", "string", "integer", "number", "boolean", None}


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_the_old_document_is_at_its_old_address(suffix: str) -> None:
    listing = json.loads(served(f"/api/v2/doc/swagger{suffix}"))

    assert listing["swaggerVersion"] == "1.2"
    assert listing["apiVersion"] == "v2"
    resources = [api["path"] for api in listing["apis"]]
    assert "/orders.{format}" in resources
    seen = set()
    for path in resources:
        name = path.removeprefix("/").removesuffix(".{format}")
        declared = json.loads(served(f"/api/v2/doc/swagger/{name}{suffix}"))
        assert declared["swaggerVersion"] == "1.2"
        assert declared["resourcePath"] == f"/{name}"
        for api in declared["apis"]:
            seen |= {(api["path"], each["method"]) for each in api["operations"]}
            for operation in api["operations"]:
                assert operation["nickname"]
                kinds = {each["paramType"] for each in operation["parameters"]}
                assert kinds <= {"query", "form", "path"}
                in_path = re.findall(r"{(\w+)}", api["path"])
                assert set(in_path) == {
                    each["name"]
                    for each in operation["parameters"]
                    if each["paramType"] == "path"
                }
                named = {operation["type"], operation.get("items", {}).get("$ref")}
                assert named - _PLAIN_TYPES <= set(declared["models"])
        assert declared["basePath"] == "http://testserver"
    assert seen == {
        (f"/api/v2/{each.path}.{{format}}", each.verb.upper())
        for each in described.ENDPOINTS
    }


def test_it_declares_parameters_and_models_in_the_old_words() -> None:
    declared = json.loads(served("/api/v2/doc/swagger/orders"))
    operations = {
        (api["path"], each["method"]): each
        for api in declared["apis"]
        for each in api["operations"]
    }

    listing = operations["/api/v2/orders.{format}", "GET"]
    limit = next(each for each in listing["parameters"] if each["name"] == "limit")
    assert limit == {
        "name": "limit",
        "paramType": "query",
        "description": "how many",
        "required": False,
        "allowMultiple": False,
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": 1000,
        "defaultValue": 100,
    }
    assert (listing["type"], listing["items"]) == ("array", {"$ref": "Order"})
    placing = operations["/api/v2/orders.{format}", "POST"]
    assert {each["name"] for each in placing["parameters"] if each["required"]} == {
        *("market", "side", "volume", "access_key", "tonce", "signature", "format")
    }
    assert declared["models"]["Order"]["properties"]["price"] == {"type": "string"}


def test_it_declares_nothing_else() -> None:
    answer = Client().get("/api/v2/doc/swagger/nothing")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 2000)


# --- The page -----------------------------------------------------------------------


def test_the_page_names_every_endpoint_and_code() -> None:
    printed = html.unescape(served("/api/v2/docs"))

    for endpoint in described.ENDPOINTS:
        assert f"/api/v2/{endpoint.path}</code>" in printed
        for param in endpoint.params:
            assert f"<code>{param.name}</code>" in printed
    for code in (1001, 2001, 2002, 2003, 2004, *range(2005, 2013)):
        assert str(code) in printed
