"""
Runs the whole exchange on this machine, until Ctrl-C.

Which processes there are, in both modes, is said here; how they are kept alive is the
supervisor's business. The same programs stand in docker-compose.yml.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from exchange import checks
from exchange.lib import postgres
from exchange.supervisor import (
    Failed,
    Program,
    Stopped,
    Supervisor,
    manage,
    module,
)

# Tiers: what is stopped later is needed by what is stopped earlier.
_DATABASE, _SERVICES, _BOTS = range(3)
_WEB_THREADS = 8  # the requests that wait for PostgreSQL at the same time


class Command(BaseCommand):
    help = "Run the whole exchange: database, web, stream, floor, jobs and the demo."
    # The others would want the database that this command starts.
    requires_system_checks = [checks.PRODUCTION]

    def handle(self, *args: Any, **options: Any) -> None:
        os.chdir(settings.BASE_DIR)
        with _only_one():
            _demand_free("PORT", settings.PORT)
            _demand_free("STREAM_PORT", settings.STREAM_PORT)
            try:
                with Supervisor(settings.DATA_DIR) as supervisor:
                    _run(supervisor)
            except Stopped:
                return
            except (Failed, postgres.CannotRun) as error:
                raise CommandError(str(error)) from error


def _run(supervisor: Supervisor) -> None:
    if settings.EMBEDDED_POSTGRES:
        postgres.prepare(settings.DATA_DIR)
        supervisor.start(_database())
    supervisor.finish("database", manage("prepare_database"))
    if not settings.PRODUCTION:
        # Before the floor: the history is made by a floor of its own.
        supervisor.finish("demo", manage("seed_demo"))
    supervisor.start(*services())
    if settings.WS_PORT:
        _serve_bots(supervisor)
    if settings.DEMO:
        supervisor.start(*bots())
    # Not where we listen: passkeys and the links in mails work at this address only.
    supervisor.say(f"ready: {settings.SITE_URL}/ - Ctrl-C ends it")
    supervisor.watch()


def services() -> list[Program]:
    """Return the programs every exchange consists of."""
    return [
        Program("web", web(settings.PORT), _SERVICES, is_ready=_web_answers),
        Program(
            "stream",
            _stream(),
            _SERVICES,
            is_ready=partial(_listens, settings.STREAM_PORT),
        ),
        Program("floor", _floor(), _SERVICES),
        Program("jobs", _worker("jobs", "--queues", "jobs"), _SERVICES),
        Program("wallets", _worker("wallets", "--queues", "wallets"), _SERVICES),
        # A process of its own, so that killing the jobs leaves no second clock behind.
        Program("clock", _celery("beat", "--pidfile="), _SERVICES),
    ]


def _serve_bots(supervisor: Supervisor) -> None:
    """
    Serve the ancestor's websocket API on the port it always had. Others like that port,
    too; an exchange runs without, since the stream serves the same.
    """
    if problem := _taken(settings.WS_PORT):
        supervisor.say(
            f"no websocket API on WS_PORT {settings.WS_PORT} ({problem}); bots find it"
            f" at ws://{settings.HOST}:{settings.STREAM_PORT}/ws/v2, or choose another:"
            " make run WS_PORT=9080"
        )
        return
    command = _granian("asginl", settings.WS_PORT, "exchange.asgi:bots")
    is_ready = partial(_listens, settings.WS_PORT)
    supervisor.start(Program("websocket", command, _SERVICES, is_ready=is_ready))


def bots() -> list[Program]:
    """Return the two bots that make the demo a living market."""
    return [
        Program("maker", manage("demo_bot", "maker"), _BOTS),
        Program("taker", manage("demo_bot", "taker"), _BOTS),
    ]


def _database() -> Program:
    return Program(
        "postgres",
        postgres.command(settings.DATA_DIR),
        _DATABASE,
        stop_signal=postgres.STOP_SIGNAL,
        is_ready=lambda: postgres.is_ready(settings.DATA_DIR),
    )


def web(port: int, workers: int = 1) -> list[str]:
    """Return the command that serves pages and REST; the benches run it, too."""
    threads, many = f"--blocking-threads={_WEB_THREADS}", f"--workers={workers}"
    return _granian("wsgi", port, "exchange.wsgi:application", threads, many)


def _stream() -> list[str]:
    return _granian("asginl", settings.STREAM_PORT, "exchange.asgi:application")


def _granian(interface: str, port: int, target: str, *options: str) -> list[str]:
    return module(
        "granian",
        f"--interface={interface}",
        f"--host={settings.HOST}",
        f"--port={port}",
        "--respawn-failed-workers",
        "--workers-kill-timeout=5",
        "--log-level=error",
        *options,
        target,
    )


def _floor() -> list[str]:
    if settings.AMQP_URL:
        return _worker("floor", "--floor")
    return manage("run_floor")


def _worker(name: str, *options: str) -> list[str]:
    # Alone in its process: a job that takes long is a job that needs its own worker.
    quiet = ("--without-gossip", "--without-mingle")
    return _celery("worker", f"--hostname={name}@%h", "--pool=solo", *quiet, *options)


def _celery(*arguments: str) -> list[str]:
    return module("celery", "--app=exchange", "--quiet", *arguments)


def _web_answers() -> bool:
    """Ask the web whether it is well, by a name that it answers to."""
    names = (host for host in settings.ALLOWED_HOSTS if not host.startswith(("*", ".")))
    name = next(names, _here())
    connection = http.client.HTTPConnection(_here(), settings.PORT, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": name})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((_here(), port), timeout=5).close()
    except OSError:
        return False
    return True


def _here() -> str:
    """Return the address under which this machine reaches what it serves."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
    return everywhere.get(settings.HOST, settings.HOST)


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the data folder for the length of a block; refuse when somebody has it."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.DATA_DIR / "run_exchange.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"The exchange runs already: {lock.read().strip() or 'starting'}. "
                "Stop it first, or set PIXIU_DATA and PORT for a second one."
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {settings.SITE_URL}/\n")
        lock.flush()
        yield


def _demand_free(name: str, port: int) -> None:
    if problem := _taken(port):
        raise CommandError(
            f"Cannot listen on {settings.HOST}, {name} {port}: {problem}. "
            "Choose another: make run PORT=9000"
        )


def _taken(port: int) -> str:
    """Say why nobody can listen on a port; an empty text where one can."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
