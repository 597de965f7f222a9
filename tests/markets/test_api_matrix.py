"""
Every route of REST v2 by every kind of key, generated from the URL configuration: a
route that is new fails here until somebody has said who may use it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts import members, scopes, tokens
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from accounts.tokens import Issued
from markets.api import described, documents, urls
from markets.models import Order
from tests.makers import Answer, ApiClient, HeaderClient, fund, make_token
from tests.rows import dump
from wallets import valuation
from wallets.chains.practice import Practice

pytestmark = pytest.mark.django_db

NETWORK = ["127.0.0.1"]
ORDER: dict[str, Any] = {"market": "btccny", "side": "sell", "volume": "0.1"}
ORDER |= {"price": "100"}

# What each route is asked with; `{order}` is one of the member's own.
PARAMS: dict[str, dict[str, Any]] = {
    "GET orders": {"market": "btccny"},
    "POST orders": ORDER,
    "POST orders/multi": {
        "market": "btccny",
        "orders": [{"side": "sell", "volume": "0.1", "price": "100"}],
    },
    "GET order": {"id": "{order}"},
    "POST order/delete": {"id": "{order}"},
    "POST orders/clear": {},
    "GET trades/my": {"market": "btccny"},
    "GET members/me": {},
    "GET deposits": {},
    "GET deposit": {"txid": "none"},
    "GET deposit_address": {"currency": "btc"},
    "GET transfers": {},
    "GET transfer": {"id": 0},
    "POST transfers": {"recipient": "bob@example.com", "currency": "cny"}
    | {"amount": "1"},
    "POST deposit_address": {"currency": "btc"},
    "GET deposit_addresses": {"currency": "btc"},
    "GET withdraws": {},
    "GET withdraw": {"id": 0},
    "POST withdraws": {"currency": "btc", "beneficiary": 0, "amount": "1"},
    "POST withdraw/cancel": {"id": 0},
    "GET beneficiaries": {},
    "POST beneficiaries": {"currency": "btc", "label": "mine"}
    | {"destination": Practice("btc").outside_address()},
    "POST beneficiary/remove": {"id": 0},
    "GET account/entries": {"currency": "btc"},
}
# Where there is nothing yet of what they ask for, when all is well.
_OF_NOTHING = {
    *("GET deposit", "GET transfer", "GET withdraw"),
    *("POST withdraws", "POST withdraw/cancel", "POST beneficiary/remove"),
}

READS, TRADES, ANY, ME = "reads", "trades", "any", "me"
PAYS, STATEMENT = "pays", "statement"
# Every route that is not public, and what kind it is.
KINDS = {
    "GET orders": READS,
    "GET order": READS,
    "GET trades/my": "history",
    "POST orders": TRADES,
    "POST orders/multi": TRADES,
    "POST order/delete": "cancels",
    "POST orders/clear": "cancels",
    "GET members/me": ME,
    "GET deposits": ANY,
    "GET deposit": ANY,
    "GET deposit_address": ANY,
    "GET transfers": ANY,
    "GET transfer": ANY,
    "POST transfers": PAYS,
    "POST deposit_address": ANY,
    "GET deposit_addresses": ANY,
    "GET withdraws": ANY,
    "GET withdraw": ANY,
    "POST withdraws": PAYS,
    "POST withdraw/cancel": PAYS,
    "GET beneficiaries": ANY,
    "POST beneficiaries": PAYS,
    "POST beneficiary/remove": PAYS,
    "GET account/entries": STATEMENT,
}
PUBLIC = {
    *("GET markets", "GET tickers", "GET tickers/{market}", "GET depth"),
    *("GET order_book", "GET trades", "GET k", "GET k_with_pending_trades"),
    *("GET timestamp", "GET schema", "GET doc/swagger", "GET doc/swagger/{resource}"),
}

# Who asks, and what each kind of route says; 0 stands for "as when all is well".
NO = 401
_ALL = (READS, "history", TRADES, "cancels", ME, ANY, PAYS)
TABLE: dict[str, dict[str, int]] = {
    #                READS      history       TRADES       cancels       ME      ANY
    "all": {READS: 0, "history": 0, TRADES: 0, "cancels": 0, ME: 0, ANY: 0, PAYS: NO},
    "read": {
        READS: 0,
        "history": 0,
        TRADES: NO,
        "cancels": NO,
        ME: 0,
        ANY: 0,
        PAYS: NO,
    },
    "trade": {
        READS: 0,
        "history": NO,
        TRADES: 0,
        "cancels": 0,
        ME: NO,
        ANY: 0,
        PAYS: NO,
    },
    "withdraw": {
        READS: NO,
        "history": NO,
        TRADES: NO,
        "cancels": NO,
        ME: NO,
        ANY: 0,
        PAYS: 0,
    },
    "profile": {
        READS: NO,
        "history": NO,
        TRADES: NO,
        "cancels": NO,
        ME: 0,
        ANY: 0,
        PAYS: NO,
    },
    "history": {
        READS: 0,
        "history": 0,
        TRADES: NO,
        "cancels": NO,
        ME: NO,
        ANY: 0,
        PAYS: NO,
    },
    "frozen": {
        READS: 0,
        "history": 0,
        TRADES: 400,
        "cancels": 0,
        ME: 0,
        ANY: 0,
        PAYS: NO,
    },
    **{
        nobody: dict.fromkeys(_ALL, NO)
        for nobody in ("expired", "revoked", "disabled", "closed", "not activated")
    },
    # Where credentials are parameters, they are missing like any other.
    "no key": {
        READS: NO,
        "history": 400,
        TRADES: NO,
        "cancels": NO,
        ME: 400,
        ANY: NO,
        PAYS: NO,
    },
    "elsewhere": dict.fromkeys(_ALL, 403) | {PAYS: NO},
}
# As the history is read, but by headers where there are no credentials.
for _row in TABLE.values():
    _row[STATEMENT] = _row["history"]
TABLE["no key"][STATEMENT] = NO
CODES = {
    "expired": 2010,
    "revoked": 2008,
    "disabled": 2009,
    "closed": 2008,  # closing revokes them all
    "not activated": 2009,
    **dict.fromkeys(scopes.KNOWN, 2011),
}
WELL = {"POST": 201, "GET": 200}


def routes() -> list[str]:
    """Return every verb and path that the URL configuration serves."""
    found = []
    for pattern in urls.urlpatterns:
        view = getattr(pattern.callback, "cls", None)
        if view is None:
            continue
        (path,) = [
            path
            for path, known in [*described.ROUTES.items(), *urls._DOCUMENTS]
            if known is view
        ]
        verbs = [verb for verb in ("GET", "POST") if hasattr(view, verb.lower())]
        found += [f"{verb} {path}" for verb in verbs]
    return found


def test_it_says_of_every_route_who_may_use_it() -> None:
    assert set(routes()) == set(KINDS) | PUBLIC
    assert set(PARAMS) == set(KINDS)
    assert set(TABLE) >= scopes.KNOWN


def private_routes() -> list[str]:
    private = []
    for route in routes():
        verb, path = route.split(" ")
        view = dict([*described.ROUTES.items(), *urls._DOCUMENTS])[path]
        if verb in view.scopes:
            private.append(route)
    return private


def test_what_the_views_call_private_is_what_the_table_does() -> None:
    assert set(private_routes()) == set(KINDS)


def may_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let members of every level transfer: all has a price, and limits are high."""
    IdentityLevel.objects.update(withdrawal_24h=10**6, withdrawal_30d=10**6)
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(1)])


def keys_of(who: str, member: Member) -> Issued | None:
    """Make the keys of a line of the table, and its member what the line says."""
    now = timezone.now()
    match who:
        case "no key":
            return None
        case "expired":
            return make_token(member, expires_at=now - timedelta(seconds=1))
        case "elsewhere":
            return make_token(member, trusted_ips=["203.0.113.0/24"])
    if who in scopes.KNOWN:
        return make_token(member, scopes=[who], trusted_ips=NETWORK)
    issued = make_token(member)
    deeds: dict[str, Callable[[], object]] = {
        "revoked": lambda: tokens.revoke(token=issued.token, by="test", now=now),
        "disabled": lambda: update(member, api_disabled=True),
        "not activated": lambda: update(member, activated_at=None),
        "frozen": lambda: members.freeze(member=member, by="test", reason="test"),
        "closed": lambda: members.close(
            member=member, by="test", reason="test", now=now
        ),
    }
    deeds[who]()
    return issued


def update(member: Member, **fields: object) -> None:
    Member.objects.filter(pk=member.pk).update(**fields)


def ask(route: str, issued: Issued | None, order_id: int, way: str) -> Answer:
    """Ask a route what it is asked by whoever has these keys."""
    verb, path = route.split(" ")
    params: Any = {
        name: order_id if value == "{order}" else value
        for name, value in PARAMS[route].items()
    }
    if issued is None:
        return getattr(Client(), verb.lower())(f"/api/v2/{path}", params)
    if way == "headers" and verb == "POST":
        return HeaderClient(issued).post(path, params)
    if way == "headers":
        query = "&".join(f"{name}={value}" for name, value in params.items())
        return HeaderClient(issued).get(path, query)
    if "orders" in params:
        (wish,) = params.pop("orders")
        flat = {f"orders[][{name}]": wish[name] for name in sorted(wish)}
        return ApiClient(issued).form(verb, path, params | flat)
    return ApiClient(issued).send(verb, path, params)


@pytest.mark.promise("S-47", "S-69")
@pytest.mark.parametrize("way", ["parameters", "headers"])
@pytest.mark.parametrize("who", TABLE)
def test_it_opens_each_route_to_whom_the_table_says(
    alice: Member, bob: Member, who: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fund(alice, "10 btc", "10 cny")
    may_transfer(monkeypatch)
    opener = ApiClient(make_token(alice))
    order_id = opener.post("orders", **ORDER).json()["id"]
    issued = keys_of(who, alice)
    before = Order.objects.count()

    for route in private_routes():
        answer = ask(route, issued, order_id, way)

        expected = TABLE[who][KINDS[route]]
        if expected == 0:
            is_missing = route in _OF_NOTHING
            expected = 404 if is_missing else WELL[route.split(" ")[0]]
        assert answer.status_code == expected, (route, answer.content)
        if expected == NO and who in CODES:
            assert answer.json()["error"]["code"] == CODES[who], route

    placed = Order.objects.count() - before
    assert placed == (2 if TABLE[who][TRADES] == 0 else 0)


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("way", ["parameters", "headers"])
def test_other_members_orders_are_unknown(
    alice: Member, mallory: Member, way: str
) -> None:
    """Not "forbidden": who may not see it does not learn that it is there."""
    fund(alice, "10 btc")
    theirs = ApiClient(make_token(alice)).post("orders", **ORDER).json()["id"]
    issued = make_token(mallory, scopes=["all", "withdraw"], trusted_ips=NETWORK)
    with_ids = [route for route, asked in PARAMS.items() if "id" in asked]
    before = list(Order.objects.values())

    for route in with_ids:
        foreign = ask(route, issued, theirs, way)
        nobodys = ask(route, issued, 10**12, way)
        assert foreign.status_code == nobodys.status_code
        assert foreign.status_code in {400, 404}
        said = foreign.content.decode().replace(
            f"{theirs} doesn't", f"{10**12} doesn't"
        )
        assert said == nobodys.content.decode()

    assert list(Order.objects.values()) == before
    lists = [ask(each, issued, 0, way) for each in ("GET orders", "GET trades/my")]
    assert [answer.json() for answer in lists] == [[], []]
    assert ask("POST orders/clear", issued, 0, way).json() == []


@pytest.mark.promise("S-57")
def test_a_cookie_opens_no_route(alice: Member) -> None:
    fund(alice, "10 btc")
    browser = Client()
    browser.force_login(alice)

    for route in private_routes():
        verb, path = route.split(" ")
        url, params = f"/api/v2/{path}", PARAMS[route]
        kind = {"content_type": "application/json"} if verb == "POST" else {}
        answer = getattr(browser, verb.lower())(url, params, **kind)
        assert answer.status_code in {400, 401}, route

    assert not Order.objects.exists()


@pytest.mark.promise("S-57")
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/xml"])
def test_a_body_of_another_type_places_nothing(alice: Member, kind: str) -> None:
    fund(alice, "10 btc")
    bot = ApiClient(make_token(alice))
    signed = bot.signed("POST", "orders", dict(ORDER))
    body = "&".join(f"{name}={value}" for name, value in signed.items())

    answer = bot.browser.generic("POST", "/api/v2/orders", body, kind)

    assert (answer.status_code, answer.json()["error"]["code"]) == (415, 2000)
    assert not Order.objects.exists()


NOT_THEIRS = {
    "id": 7,
    "member": 1,
    "member_id": 1,
    "user_id": 1,
    "owner": 1,
    "source": "web",
    "state": "filled",
    "status": "done",
    "fee": "0",
    "maker_fee": "0",
    "locked": "0",
    "taker_fee": "-1",
    "price_override": "1",
    "funds": "0",
    "created_at": "2001-01-01",
    "is_staff": "true",
    "is_superuser": "true",
    "scopes": "all",
    "filled": "0.1",
    "remaining_volume": "9",
    "executed_volume": "0.1",
    "accepted_seq": 1,
}


@pytest.mark.promise("S-70")
@pytest.mark.parametrize("way", ["parameters", "headers"])
def test_fields_that_are_not_theirs_have_no_effect(
    alice: Member, mallory: Member, way: str
) -> None:
    fund(alice, "10 btc")
    fund(mallory, "10 btc")
    issued = make_token(mallory)
    extra = NOT_THEIRS | {"member_id": alice.pk, "user_id": alice.pk}

    if way == "headers":
        plain = HeaderClient(issued).post("orders", ORDER)
        stuffed = HeaderClient(issued).post("orders", ORDER | extra)
    else:
        plain = ApiClient(issued).post("orders", **ORDER)
        stuffed = ApiClient(issued).post("orders", **ORDER | extra)

    assert (plain.status_code, stuffed.status_code) == (201, 201)
    one, other = Order.objects.order_by("pk").values()
    told_apart = {"id", "created_at", "updated_at"}
    assert {k: v for k, v in one.items() if k not in told_apart} == {
        k: v for k, v in other.items() if k not in told_apart
    }
    assert other["member_id"] == mallory.pk
    assert not Member.objects.get(pk=mallory.pk).is_staff


@pytest.mark.promise("S-70")
def test_fields_that_are_not_theirs_alter_no_account(alice: Member) -> None:
    bot = ApiClient(make_token(alice, scopes=["profile"]))
    before = Member.objects.values().get(pk=alice.pk)

    answer = bot.get("members/me", **NOT_THEIRS)

    assert answer.status_code == 200
    assert Member.objects.values().get(pk=alice.pk) == before


# --- What a key can never do --------------------------------------------------------


def page_routes() -> list[str]:
    """Return a path for every route that is no REST route and not the admin's."""
    found: list[str] = []

    def walk(patterns: list[Any], before: str) -> None:
        for pattern in patterns:
            path = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver) and not path.startswith("admin/"):
                walk(pattern.url_patterns, path)
            elif isinstance(pattern, URLPattern) and not path.startswith("admin/"):
                found.append(path)

    walk(get_resolver().url_patterns, "")
    return found


def test_it_knows_the_pages() -> None:
    assert len([path for path in page_routes() if path.startswith("account")]) >= 5


@pytest.mark.promise("S-50")
@pytest.mark.parametrize("way", ["parameters", "headers"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_no_key_opens_a_page(alice: Member, way: str, verb: str) -> None:
    """Keys, security and documents are changed on pages: there, a key is nobody's."""
    key = make_token(alice).token
    issued = make_token(alice)
    before = dump()

    for path in page_routes():
        if not path.startswith("account"):
            continue
        url = "/" + path.replace("<int:key_id>", str(key.pk))
        stranger = Client().generic(verb, url)
        if way == "headers":
            signed: Any = {"headers": HeaderClient(issued).signed(verb, url)}
        else:
            words = ApiClient(issued).signed(verb, url, {})
            query = "&".join(f"{name}={value}" for name, value in words.items())
            signed = {"QUERY_STRING": query}
        answer = Client().generic(verb, url, **signed)

        assert answer.status_code == stranger.status_code, path
        if path.startswith("account/keys") and answer.status_code != 405:
            assert answer.status_code == 302, path
            assert answer["Location"].startswith(reverse("sign_in")), path

    assert dump() == before


@pytest.mark.promise("S-50")
def test_no_route_of_the_api_is_about_keys_or_security() -> None:
    words = ("key", "token", "password", "factor", "session", "document", "identity")

    for route in routes():
        assert not any(word in route.lower() for word in words), route
    assert documents.openapi()["paths"].keys() == {
        f"/api/v2/{path}" for path in described.ROUTES
    }
