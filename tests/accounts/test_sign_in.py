"""Signing in and out."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone

from accounts import members, sign_in
from accounts.hashing import Argon2
from accounts.models.members import Member
from tests.makers import PASSWORD


def visit(address: str = "192.0.2.1") -> HttpRequest:
    """Open a page with a new session."""
    request = RequestFactory().post("/signin", REMOTE_ADDR=address)
    request.session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    request.session.create()
    request.user = AnonymousUser()
    return request


def knock(request: HttpRequest, email: str, password: str = PASSWORD) -> Member:
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    return sign_in.sign_in(request, email=email, password=password, now=now)


@pytest.mark.promise("S-14")
def test_it_signs_in_under_a_new_session_id(alice: Member) -> None:
    request = visit()
    before = request.session.session_key

    member = knock(request, " Alice@Example.com")

    assert member == alice
    assert request.user == alice
    assert request.session.session_key != before
    assert not request.session.exists(str(before))


@pytest.mark.promise("S-17")
def test_it_ends_the_session_on_our_side(alice: Member) -> None:
    request = visit()
    knock(request, alice.email)
    session_id = str(request.session.session_key)

    sign_in.sign_out(request)

    assert not request.session.exists(session_id)
    assert request.user.is_anonymous


@pytest.mark.promise("S-9")
@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("alice@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("alice@example.com\0", PASSWORD),
        ("alice@example.com", PASSWORD + "x" * 10_000),
        ("alice@example.com", ""),
    ],
)
def test_it_says_the_same_whatever_was_wrong(
    alice: Member, email: str, password: str
) -> None:
    with pytest.raises(sign_in.WrongCredentials) as refusal:
        knock(visit(), email, password)

    assert refusal.value.message == "The e-mail address or the password is wrong."
    assert refusal.value.facts == {}


@pytest.mark.promise("S-9")
@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_it_hashes_once_whether_the_member_exists_or_not(
    alice: Member, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    for name in ("encode", "verify"):
        real = getattr(Argon2, name)

        def counted(self: object, *args: object, _real: object = real) -> object:
            hashed.append(args)
            return _real(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(Argon2, name, counted)

    with pytest.raises(sign_in.WrongCredentials):
        knock(visit(), email, "wrong")

    assert len(hashed) == 1


def test_it_shuts_out_a_closed_member(alice: Member) -> None:
    members.close(member=alice, by="operator:1", reason="gone", now=timezone.now())

    with pytest.raises(sign_in.WrongCredentials):
        knock(visit(), alice.email)


def test_it_lets_a_frozen_member_look(alice: Member) -> None:
    members.freeze(member=alice, by="operator:1", reason="a stolen phone")

    assert knock(visit(), alice.email) == alice
