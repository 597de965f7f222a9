"""Which passwords are refused, and that no other is."""

from __future__ import annotations

import pytest

from accounts import password_rules
from accounts.models.members import Member
from accounts.password_rules import WeakPassword

CAROL = Member(email="carol.brightwater@example.com", display_name="Carol")


def demand_strong(password: str) -> None:
    password_rules.demand_strong(password, CAROL)


@pytest.mark.promise("S-1")
def test_it_wants_twelve_characters() -> None:
    with pytest.raises(WeakPassword, match="at least 12 characters"):
        demand_strong("vkq ptz wuh")

    demand_strong("vkq ptz wuhx")


@pytest.mark.promise("S-2")
@pytest.mark.parametrize(
    "password",
    [
        "violet umbrella on the roof",
        "  leading and trailing  ",
        "пароль длинный и хороший",
        "貔貅是一种中国古代的神兽名字",
        "🐉🌊🗻🍜🚲🎻🧭🪁🦉🍄🛶🧵",
        "ab!" + "xyz" * 340,
        "x" * 1010 + "and something",
    ],
)
def test_it_takes_every_script_and_length(password: str) -> None:
    demand_strong(password)


@pytest.mark.promise("S-3")
@pytest.mark.parametrize(
    "password",
    [
        "allsmallletters",
        "ALLBIGLETTERS",
        "839204710593",
        "!?)(%&_-;:'#",
        "one Kind  0f",
    ],
)
def test_it_has_no_rules_of_composition(password: str) -> None:
    demand_strong(password)


@pytest.mark.promise("S-4")
@pytest.mark.parametrize(
    "password",
    [
        *("password12345", "Password!!!!", "password123456789", "qwertyuiop123"),
        *("passwordpassword", "aaaaaaaaaaaa", "abcabcabcabc", "123123123123"),
        *("123456789012", "PIXIU-pixiu-2026", "pixiuexchange", "exchange1234"),
        *("pixiu password 1", "brightwater1", "Brightwater2026!", "carol.brightwater"),
        *("carol.brightwater@example.com", "bitcoinbitcoin", "letmein letmein"),
    ],
)
def test_it_refuses_what_is_easy_to_guess(password: str) -> None:
    with pytest.raises(WeakPassword):
        demand_strong(password)


def test_it_refuses_what_is_absurdly_long() -> None:
    with pytest.raises(WeakPassword, match="at most 1024"):
        demand_strong("violet " * 150)


@pytest.mark.promise("S-77")
def test_it_refuses_where_a_rule_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("the rule is broken")

    monkeypatch.setattr(password_rules, "_is_obvious", fail)

    with pytest.raises(RuntimeError):
        demand_strong("violet umbrella on the roof")
