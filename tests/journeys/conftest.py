"""
The whole exchange, started the way an operator starts it, and a real browser.

One exchange serves all journeys of a session; members and markets keep them apart. The
browser lives as long as its test: its event loop must not be around when other tests
ask Django for rows.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.databases import ROOT
from tests.journeys.watched import LANGUAGES, SIZES, Watched
from tests.watching import read_until

# No Django in here: pytest may load this file before the settings are there.
PASSWORD = "correct horse battery staple"
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--no-first-run"),
]
_STOP_SECONDS = 30
MONEY = {"cny": "20000", "usd": "1000", "btc": "5", "ltc": "10"}
_MEMBERS = 64
_JOINING = f"""
from decimal import Decimal
from django.utils import timezone
from accounts import members
from wallets import ledger

now = timezone.now()
for number in range(1, {_MEMBERS} + 1):
    email = f"member{{number}}@example.com"
    member = members.create(email=email, password={PASSWORD!r}, now=now)
    for currency, amount in {MONEY!r}.items():
        ledger.grant(
            member_id=member.pk,
            currency=currency,
            amount=Decimal(amount),
            reference=f"{{currency}}:{{number}}",
            now=now,
        )
"""
_numbers = itertools.count(1)

expect.set_options(timeout=15_000)


@dataclass(frozen=True)
class Exchange:
    """A running exchange: where it is, and its commands."""

    url: str
    environment: dict[str, str]

    def admit(self) -> None:
        """Let all members of the session join at once: a process for each is slow."""
        self.run(_JOINING)

    def run(self, command: str) -> None:
        """Run some Python within the exchange, in a process of its own."""
        subprocess.run(
            [sys.executable, "manage.py", "shell", "--command", command],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def somebody(self) -> str:
        """Return the e-mail address of a member nobody has met yet, with MONEY."""
        return f"member{next(_numbers)}@example.com"


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    data = tmp_path_factory.mktemp("exchange")
    with _free_ports() as (port, stream_port):
        environment = _environment(data, port, stream_port)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_exchange"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        read_until(process, "ready:")
        rest = threading.Thread(target=lambda: list(process.stdout or ()), daemon=True)
        rest.start()
        exchange = Exchange(f"http://localhost:{port}", environment)
        exchange.admit()
        yield exchange
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=_STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, exchange: Exchange) -> Iterator[Callable[..., Page]]:
    """Open a page of the exchange in a window of its own: opened("/", width=390)."""
    with ExitStack() as windows:

        def open_page(
            path: str, *, width: int = 1440, height: int = 900, **options: object
        ) -> Page:
            context: BrowserContext = browser.new_context(
                base_url=exchange.url,
                viewport={"width": width, "height": height},
                **options,  # type: ignore[arg-type]  # Playwright's own long list
            )
            windows.callback(context.close)
            page = context.new_page()
            page.goto(path)
            return page

        yield open_page


@pytest.fixture
def watched(browser: Browser, exchange: Exchange) -> Iterator[Callable[..., Watched]]:
    """Open a window whose pages are looked at: watched(theme=, size=, language=)."""
    with ExitStack() as windows:

        def open_window(*, theme: str, size: str, language: str) -> Watched:
            width, height = SIZES[size]
            context = browser.new_context(
                base_url=exchange.url,
                color_scheme="dark" if theme == "dark" else "light",
                locale=LANGUAGES[language],
                viewport={"width": width, "height": height},
            )
            windows.callback(context.close)
            return Watched(context, theme, language)

        yield open_window


@pytest.fixture
def trading(opened: Callable[..., Page]) -> Callable[..., Page]:
    """Sign a member in, and have a market's live page open."""

    def sign_in(email: str, market: str = "btccny", **options: object) -> Page:
        page = opened(f"/signin?next=/markets/{market}", **options)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        expect(page.locator("#connection")).to_have_text("Live")
        return page

    return sign_in


def _environment(data: Path, port: int, stream_port: int) -> dict[str, str]:
    ours = {"DATABASE_URL", "DATABASE_ADMIN_URL", "DATABASE_OWNER_URL", "AMQP_URL"}
    inherited = {name: text for name, text in os.environ.items() if name not in ours}
    return inherited | {
        "PIXIU_DATA": str(data),
        "PORT": str(port),
        "STREAM_PORT": str(stream_port),
        "WS_PORT": "0",
        "DEMO": "0",
    }


@contextmanager
def _free_ports() -> Iterator[tuple[int, int]]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        yield one.getsockname()[1], other.getsockname()[1]
