"""Keys and signed requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from accounts import members, scopes, tokens, tonces
from accounts.models.members import Member
from accounts.models.tokens import ApiToken, UsedTonce
from exchange.lib.errors import BrokenPromise
from exchange.lib.transactions import transaction
from tests import makers
from tests.makers import sign

NOW = datetime(2026, 11, 22, 10, 0, 0, 400_000, tzinfo=UTC)
NOW_MS = 1_795_341_600_000  # whole seconds of it
PAYLOAD = "GET|/api/v2/orders|…"


def make_token(member: Member, **terms: Any) -> tokens.Issued:
    return makers.make_token(member, now=NOW, **terms)


def verify(issued: tokens.Issued, **changes: Any) -> ApiToken:
    """Verify a request that is right in all that `changes` does not make wrong."""
    secret = changes.pop("secret", issued.secret_key)
    words = {
        "access_key": issued.access_key,
        "tonce": str(NOW_MS),
        "signature": sign(PAYLOAD, secret),
    }
    words |= {name: changes.pop(name) for name in list(words) if name in changes}
    request: dict[str, Any] = {
        "credentials": tonces.Credentials(**words),
        "payload": PAYLOAD,
        "scopes": (),
        "address": "192.0.2.1",
        "now": NOW,
    }
    return tonces.verify_request(**request | changes)


@pytest.mark.parametrize(
    ("secret", "payload", "signature"),
    [
        (
            "yyy",
            "GET|/api/v2/markets|access_key=xxx&foo=bar&tonce=123456789",
            "e324059be4491ed8e528aa7b8735af1e96547fbec96db962d51feb7bf1b64dee",
        ),
        (
            "secretkey",
            "GET|/api/v2/orders|access_key=accesskey&tonce=1234567",
            "1b89e3a984c25eacb7439ae644be253b55975e35529ee665966e3b9d8e3dcb2f",
        ),
    ],
)
def test_it_signs_as_the_ancestor_did(
    secret: str, payload: str, signature: str
) -> None:
    assert tokens.sign(payload, secret_key=secret) == signature


def test_it_believes_a_signed_request(alice: Member) -> None:
    issued = make_token(alice)

    token = verify(issued)

    assert token.pk == issued.token.pk
    assert token.member == alice
    assert token.member.email == "alice@example.com"
    assert token.member.may_trade


@pytest.mark.promise("S-46")
def test_it_stores_no_secret_that_can_be_read(alice: Member) -> None:
    issued = make_token(alice)

    row = ApiToken.objects.get(pk=issued.token.pk)

    assert issued.secret_key.encode() not in bytes(row.secret_encrypted)
    assert len(issued.secret_key) >= 43  # letters and digits: more than 256 bits


def test_it_does_not_open_a_secret_moved_to_another_key(
    alice: Member, mallory: Member
) -> None:
    hers, his = make_token(alice), make_token(mallory)
    stolen = ApiToken.objects.get(pk=his.token.pk).secret_encrypted
    ApiToken.objects.filter(pk=hers.token.pk).update(secret_encrypted=stolen)

    with pytest.raises(BrokenPromise):
        verify(hers, secret=his.secret_key)


def test_it_names_an_unknown_key(alice: Member) -> None:
    issued = make_token(alice)

    with pytest.raises(tokens.UnknownKey) as refusal:
        verify(issued, access_key="nobody's")

    assert refusal.value.message == "The access key nobody's does not exist."


@pytest.mark.promise("S-49")
def test_it_forgets_a_revoked_key_at_once(alice: Member) -> None:
    issued = make_token(alice)
    verify(issued)

    tokens.revoke(token=issued.token, by="member:1", now=NOW)

    with pytest.raises(tokens.UnknownKey):
        verify(issued, tonce=str(NOW_MS + 1))


def test_it_refuses_a_member_without_the_api(alice: Member) -> None:
    issued = make_token(alice)
    Member.objects.filter(pk=alice.pk).update(api_disabled=True)

    with pytest.raises(tokens.KeyDisabled) as refusal:
        verify(issued)

    assert refusal.value.message == f"The access key {issued.access_key} is disabled."


@pytest.mark.promise("S-18")
def test_it_refuses_a_closed_member(alice: Member) -> None:
    issued = make_token(alice)
    members.close(member=alice, by="operator:1", reason="gone", now=NOW)

    with pytest.raises(tokens.UnknownKey):
        verify(issued)


def test_it_refuses_an_expired_key(alice: Member) -> None:
    issued = make_token(alice, expires_at=NOW)

    with pytest.raises(tokens.KeyExpired) as refusal:
        verify(issued)

    assert refusal.value.message == f"The access key {issued.access_key} has expired."


@pytest.mark.promise("S-47")
@pytest.mark.parametrize(
    ("has", "needs", "opens"),
    [
        (("all",), ("trade",), True),
        (("trade",), ("history", "trade"), True),
        (("history",), ("trade",), False),
        (("profile", "history"), (), True),
    ],
)
def test_it_asks_for_any_of_the_scopes(
    alice: Member, has: tuple[str, ...], needs: tuple[str, ...], opens: bool
) -> None:
    issued = make_token(alice, scopes=has)

    if opens:
        assert verify(issued, scopes=needs).member == alice
        return
    with pytest.raises(tokens.ScopeMissing) as refusal:
        verify(issued, scopes=needs)

    assert refusal.value.message == "Requested API is out of access key scopes."


def test_it_issues_only_scopes_that_exist(alice: Member) -> None:
    with pytest.raises(scopes.UnknownScope):
        make_token(alice, scopes=("everything",))


@pytest.mark.promise("S-43")
def test_it_looks_at_the_signature_before_the_tonce(alice: Member) -> None:
    issued = make_token(alice)
    verify(issued)

    with pytest.raises(tokens.BadSignature) as refusal:
        verify(issued, signature="nonsense")  # with a tonce that was used
    with pytest.raises(tokens.BadSignature):
        verify(issued, signature="nonsense", tonce="1")  # with one from 1970

    assert refusal.value.message == "Signature nonsense is incorrect."


@pytest.mark.promise("S-43")
def test_it_lets_no_stranger_use_up_a_tonce(alice: Member) -> None:
    issued = make_token(alice)

    with pytest.raises(tokens.BadSignature):
        verify(issued, secret="guessed")

    assert verify(issued).member == alice


def test_it_compares_a_signature_of_any_script(alice: Member) -> None:
    with pytest.raises(tokens.BadSignature):
        verify(make_token(alice), signature="签名")


@pytest.mark.promise("S-44")
def test_it_accepts_a_tonce_once(alice: Member) -> None:
    issued = make_token(alice)
    verify(issued)

    with pytest.raises(tonces.TonceUsed) as refusal:
        verify(issued)

    assert refusal.value.message == (
        f"The tonce {NOW_MS} has already been used by access key {issued.access_key}."
    )


def test_it_counts_tonces_for_each_key(alice: Member) -> None:
    verify(make_token(alice))

    assert verify(make_token(alice)).member == alice


@pytest.mark.promise("S-45")
@pytest.mark.parametrize(
    ("off_ms", "is_in_time"),
    [(-30_001, False), (-30_000, True), (30_000, True), (30_001, False)],
)
def test_it_holds_the_window(alice: Member, off_ms: int, is_in_time: bool) -> None:
    issued, tonce = make_token(alice), NOW_MS + off_ms

    if is_in_time:
        assert verify(issued, tonce=str(tonce)).member == alice
        return
    with pytest.raises(tonces.TonceOutsideWindow) as refusal:
        verify(issued, tonce=str(tonce))

    assert refusal.value.message == (
        f"The tonce {tonce} is invalid, current timestamp is {NOW_MS}."
    )


def test_it_refuses_a_tonce_that_is_no_time(alice: Member) -> None:
    issued = make_token(alice)

    for tonce in ("", "-1", "1e3", "1.0", "٣", "9" * 10_000, "x", str(2**63)):
        with pytest.raises(tonces.TonceOutsideWindow):
            verify(issued, tonce=tonce)


@pytest.mark.promise("S-44")
def test_it_uses_up_a_tonce_that_came_too_early(alice: Member) -> None:
    issued = make_token(alice)
    early = NOW_MS + 40_000
    with pytest.raises(tonces.TonceOutsideWindow):
        verify(issued, tonce=str(early))

    later = NOW + timedelta(seconds=20)

    with pytest.raises(tonces.TonceUsed):
        verify(issued, tonce=str(early), now=later)


def test_it_keeps_no_tonce_of_next_year(alice: Member) -> None:
    with pytest.raises(tonces.TonceOutsideWindow):
        verify(make_token(alice), tonce=str(NOW_MS + 365 * 86_400_000))

    assert not UsedTonce.objects.exists()


@pytest.mark.promise("S-45")
def test_it_forgets_tonces_after_twice_the_window(alice: Member) -> None:
    issued = make_token(alice)
    verify(issued)

    early = tonces.forget_old_tonces(now=NOW + timedelta(seconds=59))
    late = tonces.forget_old_tonces(now=NOW + timedelta(seconds=61))

    assert (early, late) == (0, 1)
    assert not UsedTonce.objects.exists()


def test_it_commits_a_tonce_on_its_own(alice: Member) -> None:
    issued = make_token(alice)

    with pytest.raises(BrokenPromise), transaction():
        verify(issued)

    verify(issued)
    connection.close()  # what is not committed is gone now
    with pytest.raises(tonces.TonceUsed):
        verify(issued)


@pytest.mark.promise("S-48")
def test_it_trusts_the_listed_networks(alice: Member) -> None:
    issued = make_token(alice, trusted_ips=["192.0.2.0/24", "2001:db8::1"])

    for address in ("192.0.3.7", "2001:db8:1::1", "", "unknown"):
        with pytest.raises(tokens.AddressNotTrusted):
            verify(issued, address=address)
    # A refused address has used up nothing.
    assert verify(issued, address="192.0.2.7").member == alice
    later = str(NOW_MS + 1)
    assert verify(issued, address="2001:db8::1", tonce=later).member == alice


def test_it_needs_one_statement_for_a_key_it_knows(
    alice: Member, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    issued, other = make_token(alice), make_token(alice)
    for tonce in (1, 2):  # prepares the statements
        verify(issued, tonce=str(NOW_MS - tonce))

    with django_assert_num_queries(1):
        token = verify(issued)
        assert token.member.may_trade
        assert token.trusted_ips == []
    # Its row, the tonce, and when it was last used: once a minute.
    with django_assert_num_queries(3):
        verify(other)


def test_it_believes_nothing_it_remembers_unseen(alice: Member) -> None:
    """Whatever changes on key or member counts from the next request on."""
    issued = make_token(alice)
    changes: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: change(issued, scopes="profile"), tokens.ScopeMissing),
        (lambda: change(issued, trusted_ips=["10.0.0.0/8"]), tokens.AddressNotTrusted),
        (lambda: change(issued, expires_at=NOW), tokens.KeyExpired),
        (lambda: change(issued, revoked_at=NOW), tokens.UnknownKey),
    ]
    for number, (alter, error) in enumerate(changes):
        verify(issued, scopes=["trade"], tonce=str(NOW_MS + 10 * number))
        alter()
        with pytest.raises(error):
            verify(issued, scopes=["trade"], tonce=str(NOW_MS + 10 * number + 1))
        change(issued, scopes="all", trusted_ips=[], expires_at=None, revoked_at=None)
    verify(issued, scopes=["trade"], tonce=str(NOW_MS + 100))
    Member.objects.filter(pk=alice.pk).update(api_disabled=True)
    with pytest.raises(tokens.KeyDisabled):
        verify(issued, scopes=["trade"], tonce=str(NOW_MS + 101))


def change(issued: tokens.Issued, **fields: object) -> None:
    ApiToken.objects.filter(pk=issued.token.pk).update(**fields)
