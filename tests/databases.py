"""
The tests' databases: a real one for each test, with real commits.

A template is migrated and seeded once for each state of the code; every database test
works on a copy of its own, connected as the application's role, so that missing rights
are found. Each session of tests has a data folder to itself, and in it an embedded
PostgreSQL that need not wait for the disk, unless DATABASE_ADMIN_URL names a server.

Which test gets a copy, and when, is decided in conftest.py.
"""

from __future__ import annotations

import ast
import fcntl
import functools
import hashlib
import itertools
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import extensions

from exchange.lib import postgres

ROOT = Path(__file__).resolve().parent.parent
# Each test copies some 400 files: in memory that takes 20 ms, on a busy disk 200.
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made below it is ours, see _folder
_MEMORY_BYTES_MIN = 2 * 1024**3
_SESSIONS_MAX = 16  # at a time, in one checkout
# What a developer's shell may hold must not change what the tests see. The services
# they may use are handed over under other names.
_OURS = {"DATABASE_ADMIN_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "LOG_LEVEL"}


@contextmanager
def session() -> Iterator[None]:
    """
    Set the environment of a session of tests, with a server, for its length.

    Must come before Django reads its settings. Processes started inside inherit it.
    """
    with _own_folder() as data:
        _clean_environment(data)
        if "DATABASE_ADMIN_URL" in os.environ:
            os.environ.setdefault("DATABASE_URL", _application_url())
            yield
            return
        with (
            (data / "postgres.log").open("ab") as log,
            postgres.running(data, durable=False, log=log),
        ):
            yield


@contextmanager
def template() -> Iterator[str]:
    """Return the template's name, making it when the code has changed."""
    name = f"{_prefix()}_{_code_hash()}"
    with _cursor_of_admin() as cursor:
        with _only_one():
            cursor.execute("SELECT pg_advisory_lock_shared(hashtext(%s))", [name])
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not cursor.fetchone():
                _drop_stale(cursor)
                _build(cursor, name)
        yield name  # the shared lock, held until the end, says that it is in use


@contextmanager
def copier(template_name: str) -> Iterator[Callable[[], str]]:
    """
    Return a function that makes a fresh copy of the template and says its name.

    A copy is dropped when the next but one is made, not earlier: its last sessions need
    a little time to end, and DROP DATABASE waits for them in steps of 100 ms.
    """
    from django.conf import settings

    owner = settings.DATABASE_ROLES["owner"]
    names = (f"{template_name}_{os.getpid()}_{number}" for number in itertools.count())
    copies: deque[str] = deque()
    with closing(_connect_as_tester()) as tester, tester.cursor() as cursor:

        def make() -> str:
            if len(copies) == 2:
                drop()
            copies.append(next(names))
            cursor.execute(
                f'CREATE DATABASE "{copies[-1]}" '
                f'TEMPLATE "{template_name}" OWNER "{owner}"'
            )
            return copies[-1]

        def drop() -> None:
            name = copies.popleft()
            try:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            except psycopg2.errors.InsufficientPrivilege:
                # We may not end an autovacuum; without FORCE the server does it itself.
                cursor.execute(f'DROP DATABASE "{name}"')

        try:
            yield make
        finally:
            while copies:
                drop()


def url(name: str) -> str:
    """Return the DATABASE_URL of a copy, for a process that a test starts."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    return (
        f"postgresql://{database['USER']}:{database['PASSWORD']}@/{name}"
        f"?host={database['HOST']}&port={database['PORT']}"
    )


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Take a data folder that no other session of this checkout is using."""
    for number in range(_SESSIONS_MAX):
        with (_folder() / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            folder = _folder() / str(number)
            folder.mkdir(exist_ok=True)
            yield folder
            return
    raise RuntimeError(f"{_SESSIONS_MAX} test sessions run already in this checkout.")


@contextmanager
def _only_one() -> Iterator[None]:
    with (_folder() / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def _folder() -> Path:
    """Return where the sessions of this checkout keep their data."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES_MIN:
        folder = _MEMORY / f"{_prefix()}_{os.geteuid()}"
        folder.mkdir(mode=0o711, exist_ok=True)
        if folder.lstat().st_uid == os.geteuid() and not folder.is_symlink():
            return folder
    folder = ROOT / ".data" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _clean_environment(data: Path) -> None:
    for name in ("AMQP_URL", "REDIS_URL"):
        os.environ[f"TEST_{name}"] = os.environ.pop(name, "")
    for name in _names_in_settings() - _OURS:
        os.environ.pop(name, None)
    if "DATABASE_ADMIN_URL" not in os.environ:
        # Somebody's exchange, perhaps: the tests have no business there.
        os.environ.pop("DATABASE_URL", None)
    os.environ["PIXIU_DATA"] = str(data)
    os.environ["DJANGO_SETTINGS_MODULE"] = "exchange.settings"


def _names_in_settings() -> set[str]:
    """Find every name that settings.py reads from the environment."""
    tree = ast.parse((ROOT / "exchange" / "settings.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def _application_url() -> str:
    parts = extensions.parse_dsn(os.environ["DATABASE_ADMIN_URL"])
    return (
        f"postgresql://pixiu_app@/pixiu?host={parts.get('host', '')}"
        f"&port={parts.get('port', '5432')}"
    )


def _prefix() -> str:
    """Name this checkout and its PostgreSQL: several may share a server or a folder."""
    whole = os.fsencode(ROOT) + os.environ.get("POSTGRES_BIN", "").encode()
    return f"pixiu_test_{hashlib.sha256(whole).hexdigest()[:6]}"


def _code_hash() -> str:
    """Name the state of the code that makes and seeds a database."""
    digest = hashlib.sha256()
    for app in ("accounts", "exchange", "markets", "wallets"):
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in {".py", ".yml", ".yaml", ".sql"}:
                digest.update(os.fsencode(path.relative_to(ROOT)))
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


@contextmanager
def _cursor_of_admin() -> Iterator[extensions.cursor]:
    from exchange.lib import databases

    with databases.administrator() as admin:
        if admin is None:
            raise RuntimeError("The tests need DATABASE_ADMIN_URL, or no server given.")
        with admin.cursor() as cursor:
            yield cursor


def _drop_stale(cursor: extensions.cursor) -> None:
    """Drop what older states of the code and killed sessions have left behind."""
    cursor.execute(
        "SELECT datname, split_part(datname, '_', 4) FROM pg_database "
        "WHERE starts_with(datname, %s)",
        [f"{_prefix()}_"],
    )
    for name, code in cursor.fetchall():
        key = f"{_prefix()}_{code}"
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [key])
        (is_free,) = cursor.fetchone() or (False,)
        if is_free:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [key])


def _build(cursor: extensions.cursor, name: str) -> None:
    from io import StringIO

    from django.core.management import call_command

    draft = f"{name}_draft"
    cursor.execute(f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
    call_command("prepare_database", database=draft, stdout=StringIO())
    cursor.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')


def _connect_as_tester() -> extensions.connection:
    from django.conf import settings

    from exchange.lib import databases

    database, tester = settings.DATABASES["default"], databases.tester()
    connection = psycopg2.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=tester.name,
        password=tester.password,
        dbname="postgres",
    )
    connection.autocommit = True  # CREATE DATABASE runs outside of transactions only
    return connection
