"""
Keeps the processes of the exchange alive, and ends them together.

A small supervisor for one machine: it starts programs in order, starts again what
dies, passes their words on under their names, and stops them in reverse order. It
knows programs, not the exchange: which there are is said in the command
`run_exchange`. On several machines, systemd or containers do this work.

Promises: programs never outlive the supervisor, not even after `kill -9` (see
`processes`); and the supervisor does not outlive who started it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from signal import Signals

from exchange.lib import processes

_POLL_SECONDS = 0.1
_READY_SECONDS_MAX = 60
_STOP_SECONDS_MAX = 10
_RETRY_SECONDS_MIN = 0.2
_RETRY_SECONDS_MAX = 15
# A program that lived this long has recovered: its next retry is quick again.
_HEALTHY_SECONDS = 20
_LOG_BYTES_MAX = 10 * 1024**2
_CHILD_ENVIRONMENT = {"PIXIU_SUPERVISED": "1", "PYTHONUNBUFFERED": "1"}


class Stopped(Exception):
    """Somebody asked us to end."""


class Failed(Exception):
    """Something that must work at start did not; the message says what."""


@dataclass
class Program:
    """One process to keep alive. Programs of a higher tier are stopped first."""

    name: str
    command: list[str]
    tier: int = 1
    stop_signal: Signals = signal.SIGTERM
    is_ready: Callable[[], bool] = lambda: True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    started_at: float = field(default=0.0, init=False)
    retry_at: float = field(default=0.0, init=False)


class Supervisor:
    """
    Runs programs in the folder `data`, which must be ours alone.

    Use it from the main thread: signals arrive there, and children are tied to the
    thread that starts them.
    """

    def __init__(self, data: Path) -> None:
        self._logs = data / "logs"
        self._pids = data / "pids"
        for folder in (self._logs, self._pids):
            folder.mkdir(parents=True, exist_ok=True)
        self._programs: list[Program] = []
        self._pumps: list[threading.Thread] = []
        self._parent = os.getppid()
        self._stop_requests = 0
        self._print_lock = threading.Lock()

    def __enter__(self) -> Supervisor:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._request_stop)
        # nohup says that the end of the terminal is not ours.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self._parent = 0
        else:
            signal.signal(signal.SIGHUP, self._request_stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()

    def say(self, text: str, *, name: str = "exchange") -> None:
        """Print one line under a name."""
        with self._print_lock:
            try:
                print(f"{name:<10} | {text}", flush=True)  # noqa: T201 - our one voice
            except OSError:
                pass  # whoever read us has gone; we end by other means

    def start(self, *programs: Program) -> None:
        """
        Start programs side by side and wait until all of them are ready.

        Raises Stopped, or Failed when one is not ready in time.
        """
        for program in programs:
            self._programs.append(program)
            self._spawn(program)
        deadline = time.monotonic() + _READY_SECONDS_MAX
        waiting = list(programs)
        while waiting:
            self._tend()
            waiting = [p for p in waiting if not (self._is_alive(p) and p.is_ready())]
            if waiting and time.monotonic() > deadline:
                names = ", ".join(program.name for program in waiting)
                raise Failed(f"not ready in time: {names}; see {self._logs}")

    def finish(self, name: str, command: list[str]) -> None:
        """
        Run a command to its end, while keeping the programs alive.

        Raises Stopped, or Failed when the command fails.
        """
        once = Program(name, command)
        process = self._open(once)
        try:
            while process.poll() is None:
                self._tend()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise Failed(f"{name} failed ({_ending(process.returncode)})")

    def watch(self) -> None:
        """Keep the programs alive until somebody asks to end: raises Stopped."""
        while True:
            self._tend()

    def _tend(self) -> None:
        """Look after everything once, and wait a moment."""
        if os.getppid() != self._parent and self._parent:
            self.say("whoever started us has ended")
            raise Stopped
        if self._stop_requests:
            raise Stopped
        for program in self._programs:
            if self._is_alive(program):
                continue
            if program.process is not None:
                self._mourn(program, program.process.returncode)
            elif time.monotonic() >= program.retry_at:
                self._spawn(program)
        time.sleep(_POLL_SECONDS)

    def _mourn(self, program: Program, code: int) -> None:
        """Note how a program ended, and when to start it again."""
        now = time.monotonic()
        if now - program.started_at > _HEALTHY_SECONDS:
            program.failures = 0
        delay = min(_RETRY_SECONDS_MIN * 2**program.failures, _RETRY_SECONDS_MAX)
        program.failures += 1
        program.retry_at = now + delay
        program.process = None
        self.say(f"{program.name} ended ({_ending(code)}); again in {delay:.1f} s")

    def _spawn(self, program: Program) -> None:
        program.process = self._open(program)
        program.started_at = time.monotonic()
        (self._pids / program.name).write_text(f"{program.process.pid}\n")
        self.say(f"{program.name} started (process {program.process.pid})")

    def _open(self, program: Program) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            processes.tied(program.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | _CHILD_ENVIRONMENT,
            start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
        )
        pump = threading.Thread(
            target=self._pump, args=(program.name, process), daemon=True
        )
        pump.start()
        self._pumps = [p for p in self._pumps if p.is_alive()] + [pump]
        return process

    def _pump(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Pass the words of one process on, to the terminal and to its log."""
        path = self._logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        with process.stdout or BytesIO() as output, path.open("ab") as log:
            for line in output:
                log.write(line)
                log.flush()
                self.say(line.decode(errors="replace").rstrip(), name=name)

    def _is_alive(self, program: Program) -> bool:
        return program.process is not None and program.process.poll() is None

    def _request_stop(self, *_: object) -> None:
        self._stop_requests += 1

    def _stop_all(self) -> None:
        """Stop the programs tier by tier, the highest first."""
        for tier in sorted({program.tier for program in self._programs}, reverse=True):
            members = [p for p in self._programs if p.tier == tier]
            self._stop([p for p in members if self._is_alive(p)])
        for pump in self._pumps:
            pump.join(timeout=1)

    def _stop(self, programs: Iterable[Program]) -> None:
        alive = list(programs)
        for program in alive:
            if program.process is not None:
                program.process.send_signal(program.stop_signal)
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        while alive:
            # Whoever asks twice does not want to wait.
            if time.monotonic() > deadline or self._stop_requests > 1:
                for program in alive:
                    self.say(f"{program.name} is killed")
                    _kill_group(program.process)
            for program in [p for p in alive if not self._is_alive(p)]:
                alive.remove(program)
                (self._pids / program.name).unlink(missing_ok=True)
                self.say(f"{program.name} stopped")
            time.sleep(_POLL_SECONDS / 5)


def manage(*arguments: str) -> list[str]:
    """Return the command line of one of our management commands."""
    return [sys.executable, "manage.py", *arguments]


def module(*arguments: str) -> list[str]:
    """Return the command line of a library's program, in our own Python."""
    return [sys.executable, "-m", *arguments]


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its session is its own
    except ProcessLookupError:
        pass
    process.wait()


def _ending(code: int) -> str:
    return f"signal {Signals(-code).name}" if code < 0 else f"exit {code}"
