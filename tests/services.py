"""
The services that some tests need: RabbitMQ, Chromium, a bitcoind-like node.

A test says so with a marker (`broker`, `browser`, `node`). Where the service is missing
it is skipped, with the reason; with REQUIRE_SERVICES=1 it fails instead, so that nobody
mistakes a machine without services for a green run.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import pika
import pytest
from pika.exceptions import AMQPError

# Where Debian has the program itself; /usr/bin has a script around it.
LITECOIND = "/usr/lib/litecoin/litecoind"
_DEFAULT_AMQP_URL = "amqp://guest:guest@127.0.0.1:5672/%2F"


def demand(marker: str) -> None:
    """Skip or fail the test at hand when the service behind its marker is missing."""
    missing = _PROBES[marker]()
    if not missing:
        return
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, and {missing}", pytrace=False)
    pytest.skip(missing)


def amqp_url() -> str:
    """Return where RabbitMQ is, or should be."""
    return os.environ.get("TEST_AMQP_URL") or _DEFAULT_AMQP_URL


def chromium() -> str:
    """Return the path of a Chromium; empty when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), "")


@contextmanager
def virtual_host(name: str) -> Iterator[str]:
    """
    Make a virtual host of RabbitMQ for a session of tests, and return its URL.

    Queues of other sessions are out of sight there. Where we may not make one, the
    given virtual host must do, and the tests share it.
    """
    given = urlsplit(amqp_url())
    if not _rabbitmqctl("add_vhost", name):
        yield amqp_url()
        return
    _rabbitmqctl("set_permissions", "-p", name, given.username or "guest", *[".*"] * 3)
    try:
        yield urlunsplit(given._replace(path=f"/{quote(name, safe='')}"))
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*arguments: str) -> bool:
    command = shutil.which("rabbitmqctl")
    if command is None or urlsplit(amqp_url()).hostname not in {"127.0.0.1", "::1"}:
        return False
    done = subprocess.run(
        [command, "--quiet", *arguments], capture_output=True, check=False, timeout=60
    )
    return done.returncode == 0


@functools.cache
def _broker_missing() -> str:
    parameters = pika.URLParameters(amqp_url())
    parameters.socket_timeout = parameters.stack_timeout = 3
    parameters.connection_attempts = 1
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError) as error:
        return f"RabbitMQ does not answer ({error!r})"
    return ""


@functools.cache
def _browser_missing() -> str:
    return "" if chromium() else "Chromium is not installed"


@functools.cache
def _node_missing() -> str:
    return "" if os.access(LITECOIND, os.X_OK) else "litecoind is not installed"


_PROBES = {
    "broker": _broker_missing,
    "browser": _browser_missing,
    "node": _node_missing,
}
