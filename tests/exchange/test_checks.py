"""What production must be told: asked as an operator asks, by the command itself."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.checks.registry import registry
from pytest_django import Settings

from exchange import checks
from tests.databases import ROOT

HOST = "exchange.example"
GOOD = {
    "PRODUCTION": True,
    "DEBUG": False,
    "SITE_URL": f"https://{HOST}",
    "SITE_HOST": HOST,
    "ALLOWED_HOSTS": [HOST],
    "CSRF_TRUSTED_ORIGINS": [f"https://{HOST}"],
    "MAIL_URL": "smtp://mail.example:587?tls=1",
    "SECRET_KEY": secrets.token_urlsafe(48),
    "PIXIU_MASTER_KEY": secrets.token_urlsafe(48),
    "CHAIN_URLS": {"btc": "http://user:password@node.example:8332/wallet/hot"},
    "HOT_WALLET_OUT_PER_HOUR": {"btc": 5},
    "HOT_WALLET_OUT_PER_DAY": {"btc": 20},
}


def environment(data: Path) -> dict[str, str]:
    """Return what .env.example asks for, filled in, and nothing of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "PIXIU_ENV": "production",
        "PIXIU_DATA": str(data),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PIXIU_MASTER_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": "postgresql://pixiu_app:password@db.example/pixiu",
        "STREAM_URL": f"wss://{HOST}",
        "ALLOWED_HOSTS": HOST,
        "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
        "TRUSTED_PROXIES": "10.0.0.2",
        "SITE_URL": f"https://{HOST}",
        "MAIL_URL": "smtp://user:password@mail.example:587?tls=1",
    }


def manage(
    environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def found(settings: Settings, **changes: object) -> list[str]:
    for name, value in {**GOOD, **changes}.items():
        setattr(settings, name, value)
    messages = run_checks(tags=[checks.PRODUCTION])
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


@pytest.mark.promise("S-56")
def test_it_deploys_without_a_warning(tmp_path: Path) -> None:
    done = manage(environment(tmp_path), "check", "--deploy", "--fail-level", "WARNING")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues (0 silenced)" in done.stdout


@pytest.mark.promise("S-53", "S-56")
@pytest.mark.parametrize("name", ["HTTPS", "DEBUG"])
def test_it_warns_where_a_switch_is_wrong(tmp_path: Path, name: str) -> None:
    wrong = environment(tmp_path) | {name: "0" if name == "HTTPS" else "1"}

    done = manage(wrong, "check", "--deploy", "--fail-level", "WARNING")

    assert done.returncode == 1


@pytest.mark.promise("S-12", "S-56")
@pytest.mark.parametrize("command", ["prepare_database", "run_exchange", "seed"])
def test_it_starts_nothing_that_is_half_told(tmp_path: Path, command: str) -> None:
    half_told = environment(tmp_path) | {"MAIL_URL": ""}

    done = manage(half_told, command)

    assert done.returncode == 1
    assert "exchange.E005" in done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "PIXIU_MASTER_KEY"])
def test_it_makes_no_key_up_in_production(tmp_path: Path, name: str) -> None:
    without = environment(tmp_path) | {name: ""}

    done = manage(without, "check")

    assert done.returncode != 0
    assert f"{name} (or {name}_FILE) must be set" in done.stderr


def test_it_takes_what_production_should_be_told(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.promise("S-56")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SITE_URL": f"http://{HOST}"}, "exchange.E001"),
        ({"ALLOWED_HOSTS": []}, "exchange.E002"),
        ({"ALLOWED_HOSTS": ["*"]}, "exchange.E002"),
        ({"ALLOWED_HOSTS": [HOST, "*"]}, "exchange.E002"),
        ({"ALLOWED_HOSTS": ["localhost"]}, "exchange.E002"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://*.example"]}, "exchange.E003"),
        ({"CSRF_TRUSTED_ORIGINS": [f"http://{HOST}"]}, "exchange.E003"),
        ({"DEBUG": True}, "exchange.E004"),
        ({"MAIL_URL": ""}, "exchange.E005"),
        ({"SECRET_KEY": "short"}, "exchange.E006"),
        ({"SECRET_KEY": "x" * 64}, "exchange.E006"),
        ({"SECRET_KEY": f"django-insecure-{secrets.token_hex(32)}"}, "exchange.E006"),
        ({"PIXIU_MASTER_KEY": f"test-{secrets.token_hex(32)}"}, "exchange.E006"),
        ({"PIXIU_MASTER_KEY": GOOD["SECRET_KEY"]}, "exchange.E007"),
        ({"HOT_WALLET_OUT_PER_HOUR": {"ltc": 5}}, "exchange.E008"),
        ({"HOT_WALLET_OUT_PER_DAY": {}}, "exchange.E008"),
    ],
)
def test_it_refuses_production_that(
    settings: Settings, changes: dict[str, object], expected: str
) -> None:
    assert found(settings, **changes) == [expected]
    assert found(settings, **changes, PRODUCTION=False) == []


def test_it_is_asked_by_every_command() -> None:
    # One that were registered for deployments only would be asked by nobody.
    assert checks.check_production in registry.get_checks()


@pytest.mark.promise("S-13", "S-53")
def test_it_speaks_tls_only(tmp_path: Path) -> None:
    done = manage(environment(tmp_path), "shell", "--no-imports", "--command", _ASKING)
    plain, page, api, cookies = done.stdout.splitlines()

    assert plain == f"301 https://{HOST}/signin"
    # Who sends a signed request in the clear must notice: it is not led on.
    assert api == "403 HTTPS is required."
    assert page == "max-age=31536000; includeSubDomains; preload"
    assert cookies == "__Host-session Secure HttpOnly Lax"


_ASKING = f"""
from django.conf import settings
from django.test import Client

browser = Client(headers={{"host": "{HOST}"}}, raise_request_exception=False)
plain = browser.get("/signin")
print(plain.status_code, plain["Location"])
print(browser.get("/nowhere", secure=True)["Strict-Transport-Security"])
api = browser.get("/api/v2/timestamp")
print(api.status_code, api.content.decode().strip())
print(
    settings.SESSION_COOKIE_NAME,
    "Secure" if settings.SESSION_COOKIE_SECURE else "",
    "HttpOnly" if settings.SESSION_COOKIE_HTTPONLY else "",
    settings.SESSION_COOKIE_SAMESITE,
)
"""
