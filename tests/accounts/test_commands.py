"""What an operator types: create_member, issue_token, fund."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from tests.makers import PASSWORD, ApiClient, make_token
from wallets.models.ledger import Entry
from wallets.queries import balance


def run(name: str, *args: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, *args, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", ["create_member", "issue_token", "fund"])
def test_it_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(name, "--help")

    assert end.value.code == 0
    assert "email" in capsys.readouterr().out


def test_it_creates_a_member(db: None) -> None:
    said = run("create_member", "Carol@example.com", "--password", PASSWORD)

    carol = Member.objects.get(email="carol@example.com")
    assert carol.sn in said
    assert carol.check_password(PASSWORD)
    assert not carol.is_staff


def test_it_creates_an_operator(db: None) -> None:
    run("create_member", "dan@example.com", "--password", PASSWORD, "--operator")

    assert Member.objects.get(email="dan@example.com").is_staff


def test_it_says_why_nobody_was_created(alice: Member) -> None:
    with pytest.raises(CommandError, match="already"):
        run("create_member", "alice@example.com", "--password", PASSWORD)
    with pytest.raises(CommandError, match="at least 12"):
        run("create_member", "carol@example.com", "--password", "x")

    assert Member.objects.count() == 1


def test_it_issues_keys_in_one_line_of_json(alice: Member) -> None:
    said = run("issue_token", "alice@example.com")

    keys = json.loads(said)
    bot = ApiClient(make_token(alice))
    bot.access_key, bot.secret_key = keys["access_key"], keys["secret_key"]
    assert said.count("\n") == 1
    assert list(keys) == ["access_key", "secret_key"]
    assert bot.get("members/me").json()["email"] == "alice@example.com"


@pytest.mark.promise("S-47", "S-49")
def test_it_issues_keys_on_terms(alice: Member) -> None:
    run("issue_token", alice.email)
    run("issue_token", alice.email, "--label", "Robot", "--days", "30")
    networks = ["192.0.2.7", "2001:db8::/48"]
    run("issue_token", alice.email, scopes=["withdraw"], trusted_ips=networks)

    plain, short, narrow = ApiToken.objects.order_by("pk")
    assert (plain.scopes, plain.label) == ("all", "")
    assert plain.expires_at == plain.created_at + timedelta(days=90)
    assert short.expires_at == short.created_at + timedelta(days=30)
    assert short.label == "Robot"
    assert narrow.trusted_ips == ["192.0.2.7/32", "2001:db8::/48"]
    assert (narrow.scopes, narrow.expires_at) == ("withdraw", None)


@pytest.mark.parametrize(
    "options",
    [
        {"trusted_ips": ["192.0.2.7/24"]},
        {"scopes": ["withdraw"]},
        {"days": 91},
        {"days": 0},
    ],
    ids=str,
)
def test_it_says_why_no_keys_were_issued(
    alice: Member, options: dict[str, Any]
) -> None:
    with pytest.raises(CommandError):
        run("issue_token", alice.email, **options)

    assert not ApiToken.objects.exists()


def test_it_funds_from_grants(alice: Member) -> None:
    said = run("fund", "alice@example.com", "BTC", "1.5")

    assert "1.5 btc" in said
    assert str(balance(alice.pk, "btc").available) == "1.5"
    entry = Entry.objects.get()
    assert (entry.source.house, entry.reason) == ("grants", "grant")


@pytest.mark.parametrize(
    ("email", "currency", "amount"),
    [
        ("nobody@example.com", "btc", "1"),
        ("alice@example.com", "xyz", "1"),
        ("alice@example.com", "btc", "0"),
        ("alice@example.com", "btc", "-1"),
        ("alice@example.com", "btc", "1e3"),
        ("alice@example.com", "btc", "NaN"),
        ("alice@example.com", "btc", "0.000000001"),  # the ledger keeps 8 digits
    ],
)
def test_it_funds_nothing_odd(
    alice: Member, email: str, currency: str, amount: str
) -> None:
    with pytest.raises(CommandError):
        run("fund", "--", email, currency, amount)

    assert not Entry.objects.exists()


def test_it_makes_no_money_in_production(alice: Member, settings: Settings) -> None:
    settings.PRODUCTION = True

    with pytest.raises(CommandError, match="production"):
        run("fund", "alice@example.com", "btc", "1")

    assert not Entry.objects.exists()
