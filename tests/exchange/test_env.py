"""The environment: read once, typed, and loudly refused where it does not fit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from exchange.lib import env
from exchange.lib.env import BadEnvironment

NAME = "PIXIU_TEST_VARIABLE"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("on", True), ("YES", True), ("0", False), ("off", False)],
)
def test_it_reads_a_switch(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv(NAME, value)

    assert env.flag(NAME, default=not expected) is expected


@pytest.mark.parametrize("value", ["maybe", "2", "tru"])
def test_it_refuses_what_is_no_switch(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(NAME, value)

    with pytest.raises(BadEnvironment, match=NAME):
        env.flag(NAME, default=True)


@pytest.mark.parametrize("value", ["-1", "11", "1.5", "ten", "１", "9" * 50])
def test_it_refuses_numbers_out_of_bounds(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(NAME, value)

    with pytest.raises(BadEnvironment, match=NAME):
        env.number(NAME, 5, low=1, high=10)


def test_it_takes_the_default_where_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(NAME, "  ")

    assert env.number(NAME, 5) == 5
    assert env.flag(NAME, default=True) is True
    assert env.text(NAME, "quiet") == "quiet"
    assert env.words(NAME, "a, ,b") == ["a", "b"]


def test_it_refuses_a_word_that_is_not_on_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(NAME, "staging")

    with pytest.raises(BadEnvironment, match=NAME):
        env.choice(NAME, "development", ("development", "production"))


def test_it_makes_a_secret_once_and_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(NAME, raising=False)

    secret = env.secret(NAME, kept_in=tmp_path / "keys")

    assert len(secret) >= 32
    assert env.secret(NAME, kept_in=tmp_path / "keys") == secret
    kept = tmp_path / "keys" / NAME.lower()
    assert kept.stat().st_mode & 0o077 == 0


def test_it_prefers_the_secret_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))

    assert env.secret(NAME, kept_in=None) == "from a file"

    monkeypatch.setenv(NAME, "from the environment")
    assert env.secret(NAME, kept_in=None) == "from the environment"


def test_it_makes_no_secrets_up_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)

    with pytest.raises(BadEnvironment, match="production"):
        env.secret(NAME, kept_in=None)


def test_amounts_are_read_by_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMITS", "btc:2.5, ltc:400")
    assert env.amounts("LIMITS") == {"btc": Decimal("2.5"), "ltc": Decimal(400)}
    assert env.amounts("UNSET") == {}
    for wrong in ("btc", "btc:", "btc:-1", "btc:1e9", "2.5"):
        monkeypatch.setenv("LIMITS", wrong)
        with pytest.raises(env.BadEnvironment, match="LIMITS"):
            env.amounts("LIMITS")
