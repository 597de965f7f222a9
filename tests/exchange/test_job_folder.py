"""The folder of jobs: a message is whole before anybody can see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from exchange.lib import job_folder


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    names = ("data_folder_in", "data_folder_out", "control_folder")
    options = dict.fromkeys(names, str(tmp_path))
    url = f"{job_folder.SCHEME}://"
    with Connection(url, transport_options=options) as connection:
        yield connection


def test_it_brings_messages_in_order(connection: Connection) -> None:
    queue = connection.SimpleQueue("jobs")
    for number in range(3):
        queue.put({"number": number})

    taken = [queue.get(block=False).payload["number"] for _ in range(3)]

    assert sorted(taken) == [0, 1, 2]


def test_it_shows_nobody_half_a_message(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    rename = Path.rename

    def look_first(draft: Path, target: Path) -> Path:
        seen.append([path.name for path in tmp_path.glob("*.msg")])
        json.loads(draft.read_text())  # complete before it gets its name
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", look_first)
    queue = connection.SimpleQueue("others")

    queue.put({"number": 1})

    assert seen == [[]]
    assert queue.get(block=False).payload == {"number": 1}
