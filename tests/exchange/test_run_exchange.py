"""The whole exchange, embedded and without the demo: from one command, as one."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.databases import ROOT
from tests.faults.programs import free_ports
from tests.watching import ending_of, read_until

PROGRAMS = (
    *("postgres", "web", "stream", "floor", "jobs", "wallets", "clock", "websocket"),
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Describe an exchange of its own: its data, and three ports nobody uses."""
    ports = dict(zip(("PORT", "STREAM_PORT", "WS_PORT"), free_ports(3), strict=True))
    given = {key: value for key, value in os.environ.items() if "DATABASE" not in key}
    data = str(tmp_path_factory.mktemp("exchange"))
    return given | {"PIXIU_DATA": data, "DEMO": "0"} | {k: str(ports[k]) for k in ports}


@contextmanager
def running(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = _run_exchange(environment)
    try:
        # Where passkeys work: they refuse 127.0.0.1.
        read_until(process, f"ready: http://localhost:{environment['PORT']}/")
        yield process
    finally:
        process.terminate()
        process.communicate()


def _run_exchange(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_exchange"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _pid(environment: dict[str, str], name: str) -> int:
    return int(Path(environment["PIXIU_DATA"], "pids", name).read_text())


def test_it_runs_once_answers_and_leaves_nothing_behind(
    environment: dict[str, str],
) -> None:
    with running(environment) as exchange:
        web = http.client.HTTPConnection("127.0.0.1", int(environment["PORT"]))
        web.request("GET", "/healthz")
        answer = web.getresponse()
        assert answer.status == 200, answer.read()
        web.close()

        second = _run_exchange(environment)
        said, _ = second.communicate()
        assert second.returncode == 1
        assert "The exchange runs already" in said

        other_data = environment | {"PIXIU_DATA": f"{environment['PIXIU_DATA']}-2"}
        third = _run_exchange(other_data)
        said, _ = third.communicate()
        assert third.returncode == 1
        assert f"PORT {environment['PORT']}: Address already in use" in said

        with ExitStack() as endings:
            for name in PROGRAMS:
                endings.enter_context(ending_of(_pid(environment, name)))
            exchange.kill()


def test_it_ends_when_it_is_asked_to(environment: dict[str, str]) -> None:
    with running(environment) as exchange:
        exchange.terminate()

        said = read_until(exchange, "postgres stopped")

        assert exchange.wait() == 0
        stopped = [line for line in said if line.startswith("exchange")]
        assert len(stopped) == len(PROGRAMS)
