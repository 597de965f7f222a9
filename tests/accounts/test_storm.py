"""A storm of sign-ins is turned away at the door; nothing else is."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts import hashing
from accounts.models.attempts import Attempts
from accounts.models.members import Member
from tests.makers import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no room for another hash."""

    def refuse() -> None:
        raise hashing.HashingBusy

    monkeypatch.setattr(hashing, "demand_room", refuse)


@pytest.mark.promise("L-12")
@pytest.mark.parametrize("path", ["/signin", "/signup"])
def test_it_turns_away_before_anything_is_done(
    alice: Member,
    busy: None,
    path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    browser = Client(enforce_csrf_checks=True)

    with django_assert_num_queries(0):
        answer = browser.post(path, {"email": alice.email, "password": PASSWORD})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"Many people are signing in just now" in answer.content
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "no-store"
    assert PASSWORD.encode() not in answer.content
    assert not Attempts.objects.exists()


@pytest.mark.promise("L-12")
@pytest.mark.parametrize("path", ["/", "/signin", "/signup", "/markets/btccny"])
def test_it_shows_all_pages_meanwhile(busy: None, path: str) -> None:
    assert Client().get(path).status_code == 200


def test_it_lets_sign_in_when_there_is_room(alice: Member) -> None:
    browser = Client()

    browser.post("/signin", {"email": alice.email, "password": PASSWORD})

    assert browser.get("/").wsgi_request.user == alice


def test_it_says_no_by_the_view_when_the_room_was_taken_meanwhile(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise hashing.HashingBusy

    monkeypatch.setattr(hashing, "check", refuse)

    answer = Client().post("/signin", {"email": alice.email, "password": PASSWORD})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert f'value="{alice.email}"' in answer.content.decode()
