"""Requests signed by headers: what is signed, and what is refused in which order."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from accounts import signed_headers, tokens, tonces
from accounts.models.members import Member
from accounts.models.tokens import ApiToken, UsedNonce
from accounts.signed_headers import Headers, Sent
from accounts.tasks import forget_old_tonces
from exchange.lib.errors import BrokenPromise
from exchange.lib.transactions import transaction
from tests import makers
from tests.makers import sign
from tests.races.crowd import at_once, count

NOW = datetime(2026, 11, 24, 10, 0, 0, 400_000, tzinfo=UTC)
NOW_MS = 1_795_514_400_400
NONCE = "0123456789abcdef"
SENT = Sent("POST", "Exchange.example", "/api/v2/orders", b"b=2&a=1", b'{"a":1}')
DAY_MS = 86_400_000


def make_token(member: Member, **terms: Any) -> tokens.Issued:
    return makers.make_token(member, now=NOW, **terms)


def headers_of(issued: tokens.Issued, sent: Sent = SENT, **changes: Any) -> Headers:
    """Return headers signed for `sent`, unless a signature is among the changes."""
    unsigned = Headers(issued.access_key, NOW_MS, 5000, NONCE, "")
    headers = replace(unsigned, **changes)
    if headers.signature:
        return headers
    text = signed_headers.canonical(headers, sent).decode()
    return replace(headers, signature=sign(text, issued.secret_key))


def verify(issued: tokens.Issued, sent: Sent = SENT, **changes: Any) -> ApiToken:
    """Verify a request that is right in all that `changes` does not make wrong."""
    names = ("scopes", "address", "now")
    given = {name: changes.pop(name) for name in names if name in changes}
    headers = changes.pop("headers", None) or headers_of(issued, **changes)
    request: dict[str, Any] = {"scopes": (), "address": "192.0.2.1", "now": NOW}
    return signed_headers.verify(headers=headers, sent=sent, **request | given)


VECTORS = [
    (
        Sent("GET", "exchange.example", "/api/v2/members/me", b"", b""),
        (
            "GET\nexchange.example\n/api/v2/members/me\n\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
            "xxx\n1795514400400\n5000\n0123456789abcdef"
        ),
        "68d571d2617b3a79d338f9ab575e2474e35f48f0f7c787136bd21fd641ca7eda",
    ),
    (
        Sent("POST", "exchange.example", "/api/v2/orders", b"", b'{"market":"btccny"}'),
        (
            "POST\nexchange.example\n/api/v2/orders\n\n"
            "b60c9b65e742d4f7ef66fa66423dba9dfdcc90ba5cf142968698be96a056b9e2\n"
            "xxx\n1795514400400\n5000\n0123456789abcdef"
        ),
        "a365c52549935501d0061f8d70e5aa624a5a2a45a942065e728b96bc46aed9cb",
    ),
]


@pytest.mark.promise("S-42")
@pytest.mark.parametrize(("sent", "text", "signature"), VECTORS)
def test_it_signs_as_documented(sent: Sent, text: str, signature: str) -> None:
    headers = Headers("xxx", NOW_MS, 5000, NONCE, "")

    assert signed_headers.canonical(headers, sent) == text.encode()
    assert sign(text, "yyy") == signature


def test_it_believes_a_signed_request(alice: Member) -> None:
    issued = make_token(alice)

    token = verify(issued)

    assert (token.pk, token.member) == (issued.token.pk, alice)


CHANGED = [
    {"verb": "GET"},
    {"host": "other.example"},
    {"path": "/api/v2/orders.json"},
    {"query": b"a=1&b=2"},
    {"query": b"b=2&a=1&a=1"},
    {"query": b"b=2%26a=1"},
    {"query": b"b=%32&a=1"},
    {"query": b"b=2&a=1&"},
    {"query": b""},
    {"query": "b=2&a=é".encode()},
    {"body": b'{"a": 1}'},
    {"body": b""},
]


@pytest.mark.promise("S-42")
@pytest.mark.parametrize("changes", CHANGED, ids=str)
def test_it_binds_all_that_was_sent(alice: Member, changes: dict[str, Any]) -> None:
    issued = make_token(alice)
    headers = headers_of(issued)

    with pytest.raises(tokens.BadSignature):
        verify(issued, sent=replace(SENT, **changes), headers=headers)

    assert not UsedNonce.objects.exists()
    assert verify(issued, headers=headers).member == alice


@pytest.mark.promise("S-42")
@pytest.mark.parametrize(
    "changes",
    [{"timestamp": NOW_MS + 1}, {"window": 30_000}, {"nonce": NONCE + "0"}],
    ids=str,
)
def test_it_binds_key_time_and_nonce(alice: Member, changes: dict[str, Any]) -> None:
    issued, other = make_token(alice), make_token(alice)
    headers = headers_of(issued)

    with pytest.raises(tokens.BadSignature):
        verify(issued, headers=replace(headers, **changes))
    with pytest.raises(tokens.BadSignature):
        verify(issued, headers=replace(headers, access_key=other.access_key))


GOOD = {
    "X-Api-Key": "a" * 40,
    "X-Api-Timestamp": str(NOW_MS),
    "X-Api-Nonce": NONCE,
    "X-Api-Signature": "0" * 64,
}
MALFORMED = [
    ("X-Api-Key", ["", "a b", "a,b", "é", "a" * 65]),
    ("X-Api-Timestamp", ["", "-1", "1e3", "1.0", "٣", "017", "9" * 16, "1,1"]),
    ("X-Api-Window", ["", "0", "-1", "30001", "05", "9" * 10_000, "5000.0"]),
    ("X-Api-Nonce", ["", "a" * 15, "a" * 65, "a" * 16 + "=", "a" * 16 + "\n"]),
    ("X-Api-Signature", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "签" * 64]),
]


@pytest.mark.promise("S-43", "S-76")
@pytest.mark.parametrize(("name", "texts"), MALFORMED)
def test_it_names_a_header_that_is_malformed(name: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(signed_headers.HeadersMalformed) as refusal:
            signed_headers.read(GOOD | {name: text})
        assert name in refusal.value.message, text


@pytest.mark.promise("S-43")
def test_only_the_window_may_be_missing() -> None:
    assert signed_headers.read(GOOD).window == 5000
    for name in GOOD:
        rest = {each: text for each, text in GOOD.items() if each != name}
        with pytest.raises(signed_headers.HeadersMalformed, match=f"{name} is missing"):
            signed_headers.read(rest)


@pytest.mark.promise("S-45")
@pytest.mark.parametrize("window", [1, 5000, 30_000])
def test_it_holds_the_window_that_was_signed(alice: Member, window: int) -> None:
    issued = make_token(alice)
    for number, off in enumerate((-window, window)):
        verify(issued, timestamp=NOW_MS + off, window=window, nonce=f"{NONCE}{number}")

    for off in (-window - 1, window + 1):
        with pytest.raises(signed_headers.TimestampOutsideWindow) as refusal:
            verify(issued, timestamp=NOW_MS + off, window=window, nonce=NONCE)
        assert f"current timestamp is {NOW_MS}." in refusal.value.message


@pytest.mark.promise("S-43", "S-44")
def test_it_takes_a_nonce_once(alice: Member) -> None:
    issued, other = make_token(alice), make_token(alice)
    verify(issued)

    with pytest.raises(signed_headers.NonceUsed):
        verify(issued)
    with pytest.raises(signed_headers.NonceUsed):  # in whatever else
        verify(issued, timestamp=NOW_MS + 1)

    assert verify(other).member == alice


@pytest.mark.promise("S-43")
def test_it_looks_at_key_signature_window_and_nonce_in_this_order(
    alice: Member,
) -> None:
    issued = make_token(alice)
    verify(issued)
    late = NOW_MS - 5001
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        # Each is wrong in all that comes after, too.
        (
            {"access_key": "nobodys", "signature": "0" * 64, "timestamp": late},
            tokens.UnknownKey,
        ),
        ({"signature": "0" * 64, "timestamp": late}, tokens.BadSignature),
        ({"timestamp": late}, signed_headers.TimestampOutsideWindow),
        ({}, signed_headers.NonceUsed),
    ]

    for changes, error in wrong:
        with pytest.raises(error):
            verify(issued, **changes)


@pytest.mark.promise("S-43")
def test_it_lets_no_stranger_use_up_a_nonce(alice: Member) -> None:
    issued = make_token(alice)
    guess = tokens.Issued(issued.token, issued.access_key, "guessed")

    with pytest.raises(tokens.BadSignature):
        verify(guess)

    assert verify(issued).member == alice


@pytest.mark.promise("S-44")
def test_what_came_too_early_does_not_work_when_its_time_comes(alice: Member) -> None:
    issued, early = make_token(alice), NOW_MS + 20_000
    headers = headers_of(issued, timestamp=early)
    with pytest.raises(signed_headers.TimestampOutsideWindow):
        verify(issued, headers=headers)

    with pytest.raises(signed_headers.NonceUsed):
        verify(issued, headers=headers, now=NOW + timedelta(seconds=20))


def test_it_keeps_no_nonce_of_next_year(alice: Member) -> None:
    issued = make_token(alice)
    for days in (-1, 2, 365):
        with pytest.raises(signed_headers.TimestampOutsideWindow):
            verify(issued, timestamp=NOW_MS + days * DAY_MS)

    assert not UsedNonce.objects.exists()


@pytest.mark.promise("S-44")
def test_it_commits_a_nonce_on_its_own(alice: Member) -> None:
    issued = make_token(alice)
    with pytest.raises(BrokenPromise), transaction():
        verify(issued)

    verify(issued)
    connection.close()  # what is not committed is gone now

    with pytest.raises(signed_headers.NonceUsed):
        verify(issued)


@pytest.mark.promise("S-45")
def test_it_forgets_nonces_after_more_than_twice_the_window(alice: Member) -> None:
    verify(make_token(alice))

    early = signed_headers.forget_old_nonces(now=NOW + timedelta(seconds=90))
    late = signed_headers.forget_old_nonces(now=NOW + timedelta(seconds=91))

    assert signed_headers.KEPT_MS > 2 * signed_headers.WINDOW_MS_MAX
    assert (early, late) == (0, 1)


def test_the_job_forgets_tonces_and_nonces_and_runs_twice(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = make_token(alice)
    verify(issued)
    tonce = str(NOW_MS - 400)
    tonces.verify_request(
        credentials=tonces.Credentials(
            issued.access_key, tonce, sign("payload", issued.secret_key)
        ),
        payload="payload",
        scopes=(),
        address="",
        now=NOW,
    )
    monkeypatch.setattr("accounts.tasks.timezone.now", lambda: NOW + timedelta(days=1))

    assert (forget_old_tonces(), forget_old_tonces()) == (2, 0)


@pytest.mark.races
@pytest.mark.promise("S-44")
def test_it_takes_one_of_many_copies(alice: Member) -> None:
    issued = make_token(alice)
    headers = headers_of(issued)

    results = at_once(*[partial(verify, issued, headers=headers)] * 20)

    assert count(results, ApiToken) == 1
    assert count(results, signed_headers.NonceUsed) == 19


@pytest.mark.promise("S-47", "S-48")
def test_it_asks_for_scope_and_address_as_the_other_way_does(alice: Member) -> None:
    issued = make_token(alice, scopes=["read"], trusted_ips=["192.0.2.0/24"])

    with pytest.raises(tokens.ScopeMissing):
        verify(issued, scopes=["trade"])
    with pytest.raises(tokens.AddressNotTrusted):
        verify(issued, scopes=["history"], address="198.51.100.1")

    assert verify(issued, scopes=["history"]).member == alice


def test_it_needs_one_statement_for_a_key_it_knows(
    alice: Member, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    issued = make_token(alice)
    for number in (1, 2):  # prepares the statements
        verify(issued, nonce=f"{NONCE}{number}")

    with django_assert_num_queries(1):
        verify(issued)


def test_it_believes_nothing_it_remembers_unseen(alice: Member) -> None:
    issued = make_token(alice)
    verify(issued, nonce=f"{NONCE}1")

    ApiToken.objects.filter(pk=issued.token.pk).update(revoked_at=NOW)

    with pytest.raises(tokens.UnknownKey):
        verify(issued)


# --- In constant time ---------------------------------------------------------------


@pytest.mark.promise("S-41")
@pytest.mark.parametrize("way", ["headers", "tonce", "answer"])
def test_it_compares_signatures_in_constant_time(
    alice: Member, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    issued = make_token(alice)
    given = "0" * 64
    ways: dict[str, Callable[[], object]] = {
        "headers": lambda: verify(issued, signature=given),
        "tonce": lambda: tonces.verify_request(
            credentials=tonces.Credentials(issued.access_key, str(NOW_MS), given),
            payload="payload",
            scopes=(),
            address="",
            now=NOW,
        ),
        "answer": lambda: tokens.verify_answer(
            access_key=issued.access_key,
            challenge="c",
            answer=given,
            scopes=(),
            address="",
            now=NOW,
        ),
    }
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("accounts.tokens.hmac.compare_digest", compare)

    with pytest.raises(tokens.BadSignature):
        ways[way]()

    assert [other for _, other in compared] == [given.encode()]


@pytest.mark.promise("S-41")
def test_nothing_secret_is_compared_by_equality() -> None:
    secret = {"signature", "expected", "secret_key", "answer", "digest"}
    for module in (tokens, tonces, signed_headers):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.Compare):
                names = {
                    getattr(each, "id", getattr(each, "attr", ""))
                    for each in ast.walk(node)
                }
                assert not names & secret, ast.unparse(node)
