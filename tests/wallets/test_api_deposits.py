"""REST v2: deposits, in the ancestor's words."""

from __future__ import annotations

import pytest

from accounts.models.members import Member
from tests.makers import ApiClient, make_token
from tests.wallets.places import practice_place, rules


def test_it_has_no_deposits_yet(alices_bot: ApiClient) -> None:
    for params in ({}, {"currency": "btc", "limit": 100, "state": "accepted"}):
        answer = alices_bot.get("deposits.json", **params)

        assert (answer.status_code, answer.json()) == (200, [])


def test_it_tells_deposits_in_the_ancestors_words(
    alice: Member, bob: Member, alices_bot: ApiClient, bobs_bot: ApiClient
) -> None:
    place = practice_place()
    rules(("0", 2))
    txid = place.pay(alice, "1.5")
    place.scan()
    (seen,) = alices_bot.get("deposits").json()
    assert seen["state"] == "submitted"
    assert seen["done_at"] is None
    place.mine(3)
    place.scan()
    told = alices_bot.get("deposit", txid=txid).json()
    assert told == seen | {
        "amount": "1.5",
        "fee": "0.0",
        "currency": "ltc",
        "confirmations": "3",
        "state": "accepted",
        "done_at": told["done_at"],
    }
    assert alices_bot.get("deposits", state="accepted", currency="ltc").json() == [told]
    assert alices_bot.get("deposits", state="submitted").json() == []
    address = alices_bot.get("deposit_address", currency="ltc").json()
    assert address == {"address": place.deposits()[0].address}

    assert bobs_bot.get("deposits").json() == []
    assert bobs_bot.get("deposit", txid=txid).status_code == 404


def test_it_knows_no_transaction(alices_bot: ApiClient) -> None:
    answer = alices_bot.get("deposit", txid="abc")

    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": 2012, "message": "Deposit##txid=abc doesn't exist."}
    }


def test_it_has_no_address_yet(alices_bot: ApiClient) -> None:
    answer = alices_bot.get("deposit_address", currency="btc")

    assert (answer.status_code, answer.content) == (200, b"null")
    assert answer["Content-Type"] == "application/json"


BAD = {
    "deposits?limit=0": "limit must be in range: 1..100",
    "deposits?limit=101": "limit must be in range: 1..100",
    "deposits?state=wait": "state does not have a valid value",
    "deposits?currency=xxx": "currency does not have a valid value",
    "deposit": "txid is missing",
    "deposit_address": "currency is missing, currency does not have a valid value",
    "deposit_address?currency=xxx": "currency does not have a valid value",
}


@pytest.mark.parametrize("path", BAD)
def test_it_names_what_is_wrong(alices_bot: ApiClient, path: str) -> None:
    name, _, query = path.partition("?")
    params = dict([query.split("=")]) if query else {}

    answer = alices_bot.get(name, **params)

    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": 1001, "message": BAD[path]}}


@pytest.mark.parametrize("path", ["deposits", "deposit", "deposit_address"])
def test_any_key_opens_them_and_none_does_not(alice: Member, path: str) -> None:
    bot = ApiClient(make_token(alice, scopes=["profile"]))

    unsigned = bot.browser.get(f"/api/v2/{path}")

    assert (unsigned.status_code, unsigned.json()["error"]) == (
        401,
        {"code": 2001, "message": "Authorization failed"},
    )
    params = {"txid": "x"} if path == "deposit" else {"currency": "btc"}
    assert bot.get(path, **params).status_code in {200, 404}
