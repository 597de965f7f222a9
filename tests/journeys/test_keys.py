"""A key's life in a real browser: made, used, changed, revoked."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import SIZES, look_at

pytestmark = pytest.mark.browser

# As if a second factor had just been shown in each of the member's sessions.
_PROVING = """
from accounts.models.proofs import Proof
from accounts.models.sessions import Session

for session in Session.objects.filter(member__email={email!r}):
    Proof.objects.create(
        member=session.member,
        session=session.pk,
        purpose="security",
        factor="totp",
    )
"""


def status_of(exchange: Exchange, access_key: str, secret_key: str) -> int:
    """Ask who a key belongs to, signed by headers; return the status."""
    headers = {
        "X-Api-Key": access_key,
        "X-Api-Timestamp": str(time.time_ns() // 1_000_000),
        "X-Api-Window": "30000",
        "X-Api-Nonce": secrets.token_urlsafe(16),
    }
    host, path = urlsplit(exchange.url).netloc, "/api/v2/members/me"
    lines = ["GET", host, path, "", hashlib.sha256(b"").hexdigest(), *headers.values()]
    code = hmac.new(secret_key.encode(), "\n".join(lines).encode(), hashlib.sha256)
    headers["X-Api-Signature"] = code.hexdigest()
    return requests.get(exchange.url + path, headers=headers, timeout=10).status_code


@pytest.mark.promise("S-46", "S-49", "U-45", "U-49")
@pytest.mark.parametrize("size", SIZES)
def test_a_key_is_made_used_changed_and_revoked(
    opened: Callable[..., Page], exchange: Exchange, size: str
) -> None:
    email, (width, height) = exchange.somebody(), SIZES[size]
    page = opened("/signin?next=/account/keys", width=width, height=height)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("You have no keys.")).to_be_visible()
    look_at(page)
    exchange.run(_PROVING.format(email=email))

    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name").fill("Robot")
    page.get_by_label("Addresses it").fill("127.0.0.1/24")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("127.0.0.0/24 or 127.0.0.1?")).to_be_visible()
    look_at(page)
    page.get_by_label("Addresses it").fill("127.0.0.1\n::1")
    page.get_by_role("button", name="Create").click()
    access_key = page.locator("#access-key").inner_text()
    secret_key = page.locator("#secret-key").inner_text()
    look_at(page)

    assert status_of(exchange, access_key, secret_key) == 200
    page.reload()
    expect(page.get_by_text("its secret was shown once")).to_be_visible()
    assert secret_key not in page.content()
    expect(page.get_by_text("127.0.0.1", exact=True)).to_be_visible()
    look_at(page)

    page.get_by_role("link", name="Change Robot").click()
    page.get_by_label("Name").fill("Old robot")
    look_at(page)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Revoke Old robot").click()
    look_at(page)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("You have no keys.")).to_be_visible()
    assert status_of(exchange, access_key, secret_key) == 401
