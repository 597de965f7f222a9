"""Each request has a number of ours; the log and the audit trail know it."""

from __future__ import annotations

import logging
import re

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import links
from accounts.models.members import Member
from exchange.lib import audit, origin
from exchange.lib.logs import OneLine
from exchange.lib.models import AuditRecord
from exchange.lib.origin import Origin
from tests.makers import PASSWORD, ApiClient

FORMAT = "%(levelname)s %(request)s %(message)s"


def line(message: str, *args: object, error: Exception | None = None) -> str:
    """Write an event the way the console's handler does."""
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, None)
    return OneLine(FORMAT).format(record)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each for each in caplog.records if each.name == "exchange.refused"]
    return [each.getMessage() for each in found]


@pytest.mark.parametrize(
    "path", ["/reset/{}", "/activate/{}", "/freeze/{}", "/signin/lost/cancel/{}"]
)
def test_it_writes_no_link_that_still_works(alice: Member, path: str) -> None:
    token = links.token(alice, "reset", "whatever")

    written = line("Not Found: %s", path.format(token))

    assert written.startswith("INFO - Not Found: /")
    assert token not in written
    assert token.rpartition(":")[2] not in written


def test_it_numbers_each_answer_anew(db: None) -> None:
    browser = Client()

    numbers = {browser.get("/healthz")["X-Request-ID"] for _ in range(3)}

    assert len(numbers) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", number) for number in numbers)


@pytest.mark.promise("S-91")
@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/v2/nowhere", "/admin/"])
def test_it_numbers_every_kind_of_answer(db: None, path: str) -> None:
    assert len(Client().get(path)["X-Request-ID"]) == 16


@pytest.mark.promise("S-91")
def test_it_numbers_an_answer_of_what_broke(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Client(raise_request_exception=False)
    monkeypatch.setattr("exchange.views.connection", None)

    answer = browser.get("/healthz")

    assert answer.status_code == 500
    assert len(answer["X-Request-ID"]) == 16
    assert answer["X-Request-ID"].encode() in answer.content
    assert b"Traceback" not in answer.content
    assert b"exchange/views.py" not in answer.content


def test_it_does_not_listen_to_what_clients_call_their_requests(db: None) -> None:
    answer = Client().get("/healthz", headers={"X-Request-ID": "mine\r\nSet-Cookie: a"})

    assert "mine" not in answer["X-Request-ID"]


@pytest.mark.promise("S-81")
def test_it_says_in_the_trail_where_a_deed_came_from(db: None) -> None:
    with origin.coming_from(Origin("0123456789abcdef", "192.0.2.7")):
        audit.record("member:7", "looked", "market:btccny")
        audit.alarm("market:btccny", "looked_at")
    audit.record("system", "looked", "market:btccny")

    rows = AuditRecord.objects.order_by("pk").values_list("request_id", "address")
    assert list(rows) == [("0123456789abcdef", "192.0.2.7")] * 2 + [("", "")]


def test_it_forgets_a_request_that_is_over(db: None) -> None:
    Client().get("/healthz")

    assert origin.current() == Origin()


@pytest.mark.promise("S-82")
@pytest.mark.parametrize(
    "nasty",
    ["a\r\n2026-11-24 INFO signed in", "a\x1b[2Jb", "a\x00b", "a\u2028b", "a\x85b"],
    ids=ascii,
)
def test_it_writes_one_line_whatever_strangers_send(nasty: str) -> None:
    written = line("refused %s", nasty)

    assert written.isprintable()
    assert len(written.splitlines()) == 1


@pytest.mark.promise("S-82")
def test_it_indents_what_an_error_says() -> None:
    written = line("broke", error=ValueError("a\n2026-11-24 INFO signed in\x1b[2J"))

    first, *rest = written.split("\n")
    assert first == "INFO - broke"
    assert rest
    assert all(each.startswith("    ") and each.isprintable() for each in rest)


@pytest.mark.promise("S-82", "S-68")
@pytest.mark.parametrize(
    "email", ["bob@example.com", "bob@example.com\r\nINFO signed in", "nobody\x00"]
)
def test_it_logs_a_failed_sign_in_without_who_it_was(
    bob: Member, caplog: pytest.LogCaptureFixture, email: str
) -> None:
    cache.clear()
    agent = {"User-Agent": "evil\r\nINFO signed in", "X-Forwarded-For": "a\r\nb"}
    with caplog.at_level(logging.INFO, "exchange.refused"):
        answer = Client().post(
            "/signin", {"email": email, "password": "not the password"}, headers=agent
        )

    assert answer.status_code in {400, 401}
    said = [
        each.getMessage() for each in caplog.records if each.name == "exchange.refused"
    ]
    if answer.status_code == 401:
        assert said == ["refused 401 POST /signin member=- address=127.0.0.1"]
    assert "bob" not in " ".join(said)


@pytest.mark.promise("S-82")
def test_it_writes_signing_in_and_out_into_the_trail(bob: Member) -> None:
    cache.clear()
    browser = Client()
    browser.post("/signin", {"email": "bob@example.com", "password": PASSWORD})
    browser.post("/signout")

    deeds = AuditRecord.objects.filter(actor=f"member:{bob.pk}").order_by("pk")
    assert [deed.action for deed in deeds] == ["signed_in", "signed_out"]
    assert {deed.address for deed in deeds} == {"127.0.0.1"}
    assert all(deed.request_id for deed in deeds)


@pytest.mark.promise("S-82")
def test_it_logs_who_was_refused_at_a_door(
    bob: Member, alices_bot: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Client()
    browser.force_login(bob)
    with caplog.at_level(logging.INFO, "exchange.refused"):
        browser.get("/admin/login/")
        alices_bot.get("members/me", signature="a%0d%0ab")

    said = [
        each.getMessage() for each in caplog.records if each.name == "exchange.refused"
    ]
    assert said == [
        f"refused 403 GET /admin/login/ member={bob.pk} address=127.0.0.1",
        "refused 401 GET /api/v2/members/me member=- address=127.0.0.1",
    ]
