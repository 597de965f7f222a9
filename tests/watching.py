"""Watching other processes end, without sleeping: for tests that kill."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.databases import ROOT

SECONDS_MAX = 20


def run_python(source: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a piece of Python in a process of its own; its words are readable."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", source, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def ending_of(pid: int) -> Iterator[None]:
    """Expect the process to end because of what is done in the block."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise AssertionError(f"process {pid} had ended before") from None
    try:
        assert not select.select([descriptor], [], [], 0)[0], "ended before"
        yield
        ended, _, _ = select.select([descriptor], [], [], SECONDS_MAX)
        assert ended, f"process {pid} outlived its end"
    finally:
        os.close(descriptor)


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read lines until one contains the words; fail when the process falls silent."""
    lines = []
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if words in line:
            return lines
    raise AssertionError(f"never said {words!r}:\n" + "\n".join(lines))
