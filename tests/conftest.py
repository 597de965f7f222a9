"""
What every test stands on: a session with a server, a database for who asks, services
for who needs them. The people in the tests are in people.py, nodes of coins in
nodes.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import django
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

from tests import databases, services

_session = ExitStack()
_WITH_SERVICES = ("broker", "browser", "node")

# A slow machine is no failure.
hypothesis_settings.register_profile(
    "exchange", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("exchange")


def pytest_configure(config: pytest.Config) -> None:
    # Workers of xdist inherit the environment and the server of their controller.
    if not hasattr(config, "workerinput"):
        _session.enter_context(databases.session())
    django.setup()
    # Not earlier: it imports models.
    config.pluginmanager.import_plugin("tests.people")
    config.pluginmanager.import_plugin("tests.nodes")


def pytest_unconfigure() -> None:
    _session.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One worker runs all of them: a browser and a broker have only one keyboard.
    for item in items:
        for marker in _WITH_SERVICES:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.xdist_group(marker))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in _WITH_SERVICES:
        if item.get_closest_marker(marker):
            services.demand(marker)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    translation.deactivate()  # what a page spoke last is not the next test's language


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[[], str]]:
    """Have the template ready; return what makes a copy of it."""
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            template = stack.enter_context(databases.template())
        yield stack.enter_context(databases.copier(template))


@pytest.fixture
def _django_db_helper(
    request: pytest.FixtureRequest,
    django_db_setup: Callable[[], str],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    """
    Stand in for pytest-django's own: `db`, `transactional_db` and
    `@pytest.mark.django_db` all mean a database to yourself, with real commits, and an
    empty cache.

    Afterwards the invariants must hold, unless the test is marked `broken_books`.
    """
    with django_db_blocker.unblock():
        name = settings.DATABASES["default"]["NAME"] = django_db_setup()
        cache.clear()  # rate limits are counted in this process
        yield name
        connections.close_all()
        try:
            if not request.node.get_closest_marker("broken_books"):
                assert _breaks() == []
        finally:
            connections.close_all()


@pytest.fixture(autouse=True)
def _one_window(settings: Settings) -> None:
    """
    Let nobody's counters start anew in the middle of a test: limits of rate restart
    with the clock, and tests that look at the clock bring their own.
    """
    settings.RATE_WINDOW_SECONDS = 10**10


@pytest.fixture
def five_minutes(_one_window: None, settings: Settings) -> None:
    """Let limits of rate restart as they do, for tests that bring their own clock."""
    settings.RATE_WINDOW_SECONDS = 300


@pytest.fixture
def database_url(_django_db_helper: str) -> str:
    """Return this test's database as DATABASE_URL, for processes the test starts."""
    return databases.url(_django_db_helper)


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """Return a RabbitMQ with nobody else's queues; for tests marked `broker`."""
    with services.virtual_host(f"pixiu_test_{os.getpid()}") as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium; for tests marked `browser`."""
    return services.chromium()


def _breaks() -> list[object]:
    if find_spec("exchange.invariants") is None:
        return []
    from django.utils import timezone

    from exchange import invariants
    from exchange.lib import audit_chain

    audit_chain.chain(now=timezone.now())  # what the clock does every few seconds
    return list(invariants.check_all())
