"""
Real processes for tests: started, waited for by what they do, and always ended.

Nothing here sleeps and hopes: `until` asks again and again, up to a deadline.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exchange.lib import processes
from exchange.supervisor import module
from tests.databases import ROOT

T = TypeVar("T")

DEADLINE_SECONDS = 90  # for a machine with much else to do
_POLL_SECONDS = 0.05


def until(
    condition: Callable[[], T],
    *,
    seconds: float = DEADLINE_SECONDS,
    why: Callable[[], object] = str,
) -> T:
    """Wait until a condition is true and return what it said; fail after a while."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{condition} did not come true: {why()}")
        time.sleep(_POLL_SECONDS)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on at the moment."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass
class Running:
    """A process of a test, and what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """`kill -9`: no last words."""
        self.process.kill()
        self.process.wait()

    def words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[Running]:
    """Have a process for the length of a block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            processes.tied(command),  # a killed test leaves nothing behind
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def floor_command(name: str) -> list[str]:
    """Return the command of a production floor."""
    return module(
        *("celery", "--app=exchange", "worker", "--pool=solo", "--floor"),
        *(f"--hostname={name}@%h", "--without-gossip", "--without-mingle"),
        "--loglevel=info",
    )
