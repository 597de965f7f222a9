"""The embedded server: private, durable enough, and gone with whoever started it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from exchange.lib import postgres
from tests.watching import ending_of, read_until, run_python

_START = """
import signal, sys
from pathlib import Path
from exchange.lib import postgres
with postgres.running(Path(sys.argv[1]), durable=False):
    print("up")
    signal.pause()
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    yield folder
    sockets = Path(postgres.embedded_dsn(folder, "postgres", "postgres")["HOST"])
    shutil.rmtree(sockets, ignore_errors=True)


def _ask(data: Path, question: str) -> str:
    connection = postgres.connect(data)
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            (answer,) = cursor.fetchone() or ("",)
            return str(answer)
    finally:
        connection.close()


def _postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def test_it_can_be_reached_through_a_private_socket_only(data: Path) -> None:
    with postgres.running(data, durable=False):
        folder = Path(postgres.embedded_dsn(data, "postgres", "postgres")["HOST"])

        assert _ask(data, "SHOW listen_addresses") == ""
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        # Root hands the server to another account, and opens no folder for it.
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_it_does_not_trade_safety_for_speed(data: Path) -> None:
    (data / "postgres").mkdir()

    command = " ".join(postgres.command(data))

    assert "fsync" not in command
    assert "synchronous_commit" not in command
    assert "full_page_writes" not in command


def test_it_uses_a_server_that_runs_and_leaves_it_alone(data: Path) -> None:
    with postgres.running(data, durable=False):
        first = _postmaster(data)
        with postgres.running(data, durable=False):
            assert _postmaster(data) == first

        assert postgres.is_ready(data)

    assert not postgres.is_ready(data)


@pytest.mark.promise("F-10")
def test_it_comes_back_with_its_data_after_kill_9(data: Path) -> None:
    starter = run_python(_START, str(data))
    read_until(starter, "up")
    connection = postgres.connect(data)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS amount")
    connection.close()

    with ending_of(_postmaster(data)):
        os.kill(_postmaster(data), signal.SIGKILL)
    starter.kill()
    starter.communicate()

    with postgres.running(data, durable=False):
        assert _ask(data, "SELECT amount FROM kept") == "7"


def test_it_ends_when_its_starter_is_killed(data: Path) -> None:
    starter = run_python(_START, str(data))
    read_until(starter, "up")

    with ending_of(_postmaster(data)):
        starter.kill()

    starter.communicate()
    with pytest.raises(psycopg2.OperationalError):
        postgres.connect(data)


def test_it_refuses_a_socket_folder_made_by_a_stranger(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 25)
    data.mkdir()
    sockets = Path(postgres.embedded_dsn(data, "postgres", "postgres")["HOST"])
    sockets.symlink_to(tmp_path)

    try:
        with pytest.raises(postgres.CannotRun, match="belongs to somebody else"):
            postgres.prepare(data, durable=False)
    finally:
        sockets.unlink()


def test_it_knows_where_it_is_without_looking(tmp_path: Path) -> None:
    dsn = postgres.embedded_dsn(tmp_path / "nowhere", "pixiu_app", "pixiu")

    assert dsn["USER"] == "pixiu_app"
    assert dsn["NAME"] == "pixiu"
    assert not (tmp_path / "nowhere").exists()
