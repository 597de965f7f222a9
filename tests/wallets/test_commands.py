"""The commands that play the world around a chain, and wake its scanner."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models.members import Member
from tests.wallets.places import COIN, practice_place, rules
from wallets.chains.practice import Practice

pytestmark = pytest.mark.django_db


def practice(*words: object) -> list[str]:
    out = StringIO()
    call_command("practice", *map(str, words), stdout=out)
    return out.getvalue().split("\n")[:-1]


def test_coins_come_in_are_credited_and_taken_back(alice: Member) -> None:
    place = practice_place()
    rules(("0", 2))
    txid, height = practice("pay", place.address(alice), "1.5", COIN)
    assert len(txid) == 64
    (seen,) = place.deposits()
    assert (seen.state, seen.amount) == ("seen", 1.5)

    practice("blocks", 2, COIN)
    assert place.deposits()[0].state == "credited"
    before = Practice(COIN).tip().height
    assert practice("reorg", 2, COIN) == [f"{COIN}: height {before + 1}"]
    assert place.deposits()[0].state == "credited"  # mined again
    assert practice("status", COIN) == [f"{COIN}: height {before + 1}"]
    assert height.startswith(f"{COIN}: height")


def test_without_a_currency_it_is_about_every_practice_chain() -> None:
    assert {line.split(":")[0] for line in practice("status")} >= {"btc", "ltc"}


@pytest.mark.parametrize(
    "words",
    [
        *(["blocks", "0", COIN], ["blocks", "1001", COIN], ["reorg", "0", COIN]),
        *(["pay", "nowhere", "1", COIN], ["status", "cny"], ["status", "xxx"]),
        ["pay", "nowhere", "-1", COIN],
    ],
)
def test_it_refuses_what_makes_no_sense(words: list[str]) -> None:
    with pytest.raises(CommandError):
        practice(*words)


@pytest.mark.parametrize("words", [["blocks", "1"], ["reorg", "1"], ["status"]])
def test_it_plays_on_no_real_chain(words: list[str], settings: Any) -> None:
    settings.CHAIN_URLS = {COIN: "http://nobody:x@127.0.0.1:9/wallet/x"}
    with pytest.raises(CommandError, match="is real"):
        practice(*words, COIN)
    settings.PRODUCTION = True
    settings.CHAIN_URLS = {}
    with pytest.raises(CommandError):
        practice(*words)


def test_a_notification_makes_the_scanner_look_and_is_not_believed(
    alice: Member,
) -> None:
    place = practice_place()
    rules(("0", 1))
    txid = place.pay(alice, "1")
    place.mine(1)

    for heard in ("0" * 64, txid, txid):
        call_command("walletnotify", COIN, heard, stdout=StringIO())

    (row,) = place.deposits()
    assert (row.txid, row.state) == (txid, "credited")
    with pytest.raises(CommandError):
        call_command("walletnotify", "xxx", txid)
