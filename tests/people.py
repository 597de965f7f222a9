"""
The people of the tests: Alice sells, Bob buys, Mallory cheats, Olive operates.

They have joined and own nothing; give them money with makers.fund.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.factors import sms_gateways
from accounts.hashing import Argon2
from accounts.models.members import Member
from tests.makers import ApiClient, make_member, make_token, prove

_numbers = itertools.count(1)


@pytest.fixture(autouse=True, scope="session")
def cheap_hashing() -> Iterator[None]:
    """Hash as in production, at the least cost: the tests do it a thousand times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Argon2, "time_cost", 1)
        patch.setattr(Argon2, "memory_cost", 64)
        yield


@pytest.fixture(autouse=True)
def documents_dir(tmp_path_factory: pytest.TempPathFactory, settings: Any) -> Path:
    """Keep documents apart from those of other tests, as their rows are."""
    folder = tmp_path_factory.getbasetemp() / f"documents-{next(_numbers)}"
    settings.DOCUMENTS_DIR = folder
    return folder


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have codes by SMS end up in a list."""
    sent: list[str] = []

    class Gateway:
        def send(self, *, number: str, text: str, reference: str) -> None:
            sent.append(text)

    monkeypatch.setattr(sms_gateways, "chosen", Gateway)
    return sent


@pytest.fixture
def alice(db: None) -> Member:
    return make_member("alice")


@pytest.fixture
def bob(db: None) -> Member:
    return make_member("bob")


@pytest.fixture
def mallory(db: None) -> Member:
    return make_member("mallory")


@pytest.fixture
def olive(db: None) -> Member:
    return make_member("olive", is_operator=True)


@pytest.fixture
def alices_bot(alice: Member) -> ApiClient:
    return ApiClient(make_token(alice))


@pytest.fixture
def bobs_bot(bob: Member) -> ApiClient:
    return ApiClient(make_token(bob))


@pytest.fixture
def desk(olive: Member) -> Client:
    """Olive's browser, signed in, and freshly proven to be hers."""
    client = Client()
    client.force_login(olive)
    prove(client, olive)
    return client
