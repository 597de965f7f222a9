"""
`kill -9` of the supervisor itself while orders flow: everything ends with it, and the
next start finds all that was acknowledged.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.faults.programs import free_ports, running, until
from tests.faults.test_kill import _SETUP, Flood, House

COMMAND = [sys.executable, "manage.py", "run_exchange"]


@pytest.mark.promise("F-42", "I-14")
@pytest.mark.xdist_group("faults")
def test_it_loses_nothing_when_everything_ends_with_the_supervisor(
    tmp_path: Path,
) -> None:
    port, stream_port = free_ports(2)
    environment = {
        "PIXIU_DATA": str(tmp_path),
        "PORT": str(port),
        "STREAM_PORT": str(stream_port),
        "WS_PORT": "0",
        "DEMO": "0",
        "DATABASE_URL": "",
        "DATABASE_ADMIN_URL": "",
    }
    flood = Flood(f"http://127.0.0.1:{port}", {})
    house = House(tmp_path, port, stream_port, environment, flood)
    with running(COMMAND, tmp_path / "first.log", **environment) as first:
        until(lambda: "ready:" in first.words(), why=first.words)
        made = house.manage("shell", "--verbosity=0", "-c", _SETUP)
        flood.keys = json.loads(made.stdout.splitlines()[-1])

        with flood.flowing():
            flood.more()
            first.kill()

    with running(COMMAND, tmp_path / "second.log", **environment) as second:
        until(lambda: "ready:" in second.words(), why=second.words)
        house.demand_all()
        audit = house.manage("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
