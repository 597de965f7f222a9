"""The streams the engine is measured with are the ones they have always been."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from exchange.benches import engine as bench
from exchange.benches import workload
from exchange.benches.workload import Workload

# SHA-256 of the rows as lines of text, from the generator these were taken over from.
STREAMS = {
    "main": "e641021975611a02bd3baadb83f8c15a07ec83dfb578cb746c0bc0a5576cf63b",
    "peatio": "87a9d8eae6db490a68a36dfd708cb5fe25b9bada47e021ff1ad0b526d3d349bb",
    "depth": "f04d7be378bfe0b4072f4cd15fe5d69143e38c9ad58f48442bb3195c8e82d5cc",
}
DRAW: dict[str, Callable[[], Workload]] = {
    "main": lambda: workload.main(20_000),
    "peatio": lambda: workload.peatio(5_000),
    "depth": lambda: workload.depth(1_000, 5_000),
}


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> tuple[str, Workload]:
    return request.param, DRAW[request.param]()


def test_it_draws_the_stream_it_always_drew(stream: tuple[str, Workload]) -> None:
    name, drawn = stream

    lines = "".join(f"{row}\n" for row in drawn.rows)
    assert sha256(lines.encode()).hexdigest() == STREAMS[name]


def test_it_agrees_with_the_book_that_runs_along(stream: tuple[str, Workload]) -> None:
    _, drawn = stream

    tally = bench.tally_of(bench.commands(drawn.rows))

    assert tally == drawn.tally
