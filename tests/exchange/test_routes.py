"""
Who is let in where, for every route there is: generated from the URL configuration, so
that a new page is either held to its door here, or has none and fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client

from accounts import members
from accounts.models.members import Member
from tests import routes
from tests.makers import Answer, ApiClient, prove
from tests.routes import Route
from tests.rows import dump

DOORS = {"public", "member", "proof", "operator"}
PAGES = routes.pages()
# What one role may meet behind each door; see `outcome`. Anybody may be told that a
# page does not answer to a verb. Whom the door lets in, the domain may still refuse.
MAY_MEET = {
    "stranger": {
        "public": {"in"},
        "member": {"sign in"},
        "proof": {"sign in"},
        "operator": {"sign in"},
    },
    "member": {
        "public": {"in", "refused"},
        "member": {"in", "refused"},
        "proof": {"in", "refused"},
        "operator": {"refused"},
    },
    "unproven": {
        "public": {"in", "refused"},
        "member": {"in", "refused"},
        "proof": {"prove"},
        "operator": {"refused"},
    },
    "frozen": {
        "public": {"in", "refused"},
        "member": {"in", "refused"},
        "proof": {"prove"},
        "operator": {"refused"},
    },
    "without a role": {
        "public": {"in", "refused"},
        "member": {"in", "refused"},
        "proof": {"prove"},
        "operator": {"refused", "prove"},
    },
}
# In the admin, but about nobody's rows: its first page, its words, the way out.
OPEN_TO_OPERATORS = {
    *("index", "logout", "jsi18n", "login", "password_change", "password_change_done"),
    *("admin_door", "admin_password"),  # ours
}
# Public, and for who has shown a password only: others begin anew.
OF_SIGNING_IN = {"sign_in", "verify", "verify_sms", "factors_lost"}
# A signed call leaves these marks, whatever it asks for.
MARKS_OF_A_CALL = {"accounts_tokenuse", "accounts_usedtonce"}


class Visitor:
    """Somebody with a browser, signed in again whenever a page signed them out."""

    def __init__(self, member: Member | None, *, is_proven: bool = False) -> None:
        self.browser = Client()
        self._member, self._is_proven = member, is_proven

    def ask(self, method: str, path: str) -> Answer:
        if self._member is not None and SESSION_KEY not in self.browser.session:
            self.browser.force_login(self._member)
            if self._is_proven:
                prove(self.browser, self._member)
        return self.browser.generic(method, path)


@pytest.fixture
def visitor(bob: Member, olive: Member) -> Callable[[str], Visitor]:
    def of_role(role: str) -> Visitor:
        if role == "stranger":
            return Visitor(None)
        if role == "without a role":
            Member.objects.filter(pk=olive.pk).update(is_superuser=False)
            return Visitor(olive)
        if role == "frozen":
            members.freeze(member=bob, by="test", reason="test")
        return Visitor(bob, is_proven=role == "member")

    return of_role


def outcome(route: Route, answer: Answer, *, is_proven: bool = False) -> str:
    """Say in one word what somebody met."""
    to = answer.headers.get("Location", "") if answer.status_code == 302 else ""
    if to.startswith("/admin/") and to != "/admin/":
        # To its own sign-in, which is only a door (see exchange.views.admin_door), or
        # from an old address of a row to the new one.
        answer = answer.client.get(to)
        to = answer.headers.get("Location", "")
    if answer.status_code == 405:
        return "no such verb"
    if to.startswith("/signin") or answer.status_code == 401:
        return "sign in"
    # Who has no second factor yet is sent to where one is set up.
    asks = route.is_admins or (route.needs == "proof" and not is_proven)
    if to.startswith("/prove") or (asks and to == "/account/security"):
        return "prove"
    if answer.status_code >= 500 and answer.status_code != 503:
        return "broken"
    # The admin sends who asks for a row that is not there back to its first page.
    is_refused = answer.status_code in {403, 404} or to == "/admin/"
    return "refused" if is_refused else "in"


def test_it_finds_the_routes_it_is_to_walk() -> None:
    # Without this, a walk that finds nothing would find nothing wrong.
    paths = {route.path for route in PAGES}

    assert {"/", "/account", "/markets/btccny/orders/1", "/healthz"} <= paths
    assert "/admin/markets/market/1/change/" in paths
    assert "/api/v2/tickers/btccny" in routes.endpoints()


@pytest.mark.promise("S-31")
def test_it_has_a_door_before_every_page() -> None:
    open_wide = [str(route) for route in PAGES if route.needs not in DOORS]

    assert open_wide == []


@pytest.mark.promise("S-31", "S-69")
@pytest.mark.django_db
@pytest.mark.parametrize("role", MAY_MEET)
def test_it_lets_nobody_past_a_door(
    visitor: Callable[[str], Visitor], role: str
) -> None:
    somebody = visitor(role)
    surprises = []

    for route, method in _calls():
        met = outcome(
            route, somebody.ask(method, route.path), is_proven=role == "member"
        )
        allowed = MAY_MEET[role][route.needs] | {"no such verb"}
        if route.needs == "public":
            allowed |= {"refused"} if method != "GET" or route.has_samples else set()
            allowed |= {"sign in"} if route.name in OF_SIGNING_IN else set()
        elif route.is_admins and route.name in OPEN_TO_OPERATORS:
            allowed |= {"in", "refused"}
        if met not in allowed:
            surprises.append(f"{method} {route}: {met}, not {sorted(allowed)}")

    assert not surprises, "\n".join(surprises)


@pytest.mark.promise("S-69")
@pytest.mark.django_db
def test_it_lets_strangers_change_nothing(alice: Member) -> None:
    stranger = Visitor(None)
    before = dump()

    for route, method in _calls():
        stranger.ask(method, route.path)

    assert dump() == before


@pytest.mark.django_db
def test_it_has_no_page_with_a_nul_in_its_address(bob: Member) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(bob)

    for path in (
        *("/solvency/%00-root.json", "/markets/%00", "/markets/btc%00cny/candles"),
        *("/funds/deposit/%00", "/funds/withdraw/btc%00", "/account/tickets/%00"),
    ):
        assert browser.get(path).status_code == 404, path


@pytest.mark.promise("S-69")
@pytest.mark.django_db
def test_it_asks_bots_for_a_signature() -> None:
    stranger = Client(raise_request_exception=False)
    let_in = [
        f"{verb} {path}"
        for path, view in routes.endpoints().items()
        for verb in view.scopes
        if stranger.generic(verb, path).status_code not in {400, 401}
    ]

    assert let_in == []


@pytest.mark.promise("S-57")
@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_changes_nothing_when_somebody_looks(
    bob: Member, olive: Member, method: str
) -> None:
    crawlers = [Visitor(bob, is_proven=True), Visitor(olive, is_proven=True)]
    for crawler in crawlers:
        crawler.ask(method, "/account")  # signs in, which is written down
    before = dump()

    for route in PAGES:
        for crawler in crawlers:
            crawler.ask(method, route.path)

    assert dump() == before


@pytest.mark.promise("S-57")
@pytest.mark.django_db
def test_it_changes_nothing_when_a_bot_looks(alices_bot: ApiClient) -> None:
    before = dump()

    for path in routes.endpoints():
        alices_bot.get(path.removeprefix("/api/v2/"))

    after = dump()
    assert {table for table in after if after[table] != before[table]} <= (
        MARKS_OF_A_CALL
    )


@pytest.mark.promise("S-21", "S-55")
@pytest.mark.django_db
def test_it_sends_every_page_with_its_headers(bob: Member) -> None:
    member = Visitor(bob, is_proven=True)

    for route in PAGES:
        answer = member.ask("GET", route.path)
        headers = {name.lower(): text for name, text in answer.headers.items()}
        assert headers["x-content-type-options"] == "nosniff", route
        assert headers["x-frame-options"] == "DENY", route
        assert headers["referrer-policy"] == "same-origin", route
        assert headers["cross-origin-opener-policy"] == "same-origin", route
        assert "camera=()" in headers["permissions-policy"], route
        assert "default-src 'none'" in headers["content-security-policy"], route
        if answer.status_code == 200:
            assert {"no-store", "private"} <= set(
                headers["cache-control"].split(", ")
            ), route


@pytest.mark.promise("S-21")
@pytest.mark.django_db
def test_it_clears_the_cache_of_who_signs_out(bob: Member) -> None:
    browser = Client()
    browser.force_login(bob)

    answer = browser.post("/signout")

    assert answer.headers["Clear-Site-Data"] == '"cache"'


def _calls() -> Iterator[tuple[Route, str]]:
    for route in PAGES:
        for method in ("GET", "POST") if route.is_admins else ("GET", "POST", "DELETE"):
            yield route, method
