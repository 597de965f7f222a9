"""Programs live together and end together."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.watching import ending_of, read_until, run_python

_HEAD = """
import signal, sys
from pathlib import Path
from exchange.supervisor import Program, Supervisor, Stopped, Failed

def python(source):
    return [sys.executable, "-c", source]

SLEEPER = python("import signal; signal.pause()")
STUBBORN = python(
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)

# Whoever runs the tests may have been told to ignore it (nohup).
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def main(*steps):
    try:
        with Supervisor(Path(sys.argv[1])) as supervisor:
            for step in steps:
                step(supervisor)
            supervisor.say("up")
            supervisor.watch()
    except Stopped:
        print("stopped by request")
    except Failed as error:
        print("failed:", error)
"""


@contextmanager
def supervising(data: Path, *steps: str) -> Iterator[subprocess.Popen[str]]:
    process = run_python(f"{_HEAD}\nmain({', '.join(steps)})", str(data))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _start(*programs: str) -> str:
    return f"lambda s: s.start({', '.join(programs)})"


def _pid(data: Path, name: str) -> int:
    return int((data / "pids" / name).read_text())


def test_it_starts_again_what_dies(tmp_path: Path) -> None:
    with supervising(tmp_path, _start("Program('floor', SLEEPER)")) as process:
        read_until(process, "up")
        first = _pid(tmp_path, "floor")

        os.kill(first, signal.SIGKILL)

        said = read_until(process, "floor started")
        assert said[0].endswith("floor ended (signal SIGKILL); again in 0.2 s")
        assert _pid(tmp_path, "floor") != first


def test_it_leaves_nothing_behind_after_kill_9(tmp_path: Path) -> None:
    with supervising(tmp_path, _start("Program('floor', SLEEPER)")) as process:
        read_until(process, "up")

        with ending_of(_pid(tmp_path, "floor")):
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_the_highest_tier_first(tmp_path: Path, signum: int) -> None:
    steps = [_start("Program('postgres', SLEEPER, 0)", "Program('web', SLEEPER, 1)")]
    with supervising(tmp_path, *steps) as process:
        read_until(process, "up")

        process.send_signal(signum)

        said = read_until(process, "stopped by request")
        assert [line.split("| ")[-1] for line in said] == [
            "web stopped",
            "postgres stopped",
            "stopped by request",
        ]


def test_it_kills_the_deaf_at_the_second_request(tmp_path: Path) -> None:
    with supervising(tmp_path, _start("Program('web', STUBBORN)")) as process:
        read_until(process, "deaf")
        with ending_of(_pid(tmp_path, "web")):
            process.send_signal(signal.SIGINT)
            # It says nothing until then; the first request has arrived once Python
            # has run its handler, which the second one cannot overtake.
            process.send_signal(signal.SIGTERM)

            assert read_until(process, "web is killed")


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    step = _start("Program('floor', SLEEPER)")
    source = f"import os; print(os.getpid(), flush=True)\n{_HEAD}\nmain({step})"
    shell = run_python(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])",
        source,
        str(tmp_path),
    )
    said = read_until(shell, "up")
    supervisor = int(said[0])

    with ending_of(_pid(tmp_path, "floor")), ending_of(supervisor):
        shell.kill()

    shell.communicate()


def test_it_passes_words_on_under_a_name_and_logs_them(tmp_path: Path) -> None:
    step = "lambda s: s.finish('seed', python(\"print('four markets')\"))"
    with supervising(tmp_path, step) as process:
        assert "seed       | four markets" in read_until(process, "four markets")

        assert (tmp_path / "logs" / "seed.log").read_text() == "four markets\n"


def test_it_says_which_command_failed(tmp_path: Path) -> None:
    with supervising(tmp_path, "lambda s: s.finish('seed', python('1/0'))") as process:
        said = read_until(process, "failed:")

        assert said[-1] == "failed: seed failed (exit 1)"
