"""REST v2: transfers between members."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts import members
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from tests.makers import ApiClient, fund, make_token
from wallets import queries, valuation
from wallets.models.transfers import Transfer


@pytest.fixture(autouse=True)
def _limits(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuation, "sources", [lambda _currency, _in: Decimal(1)])
    IdentityLevel.objects.update(withdrawal_24h=100, withdrawal_30d=100)


@pytest.fixture
def payer(alice: Member) -> ApiClient:
    """Alice's key that may withdraw, and ten coins."""
    fund(alice, "10 btc", "10 cny")
    return payer_of(alice)


def payer_of(member: Member) -> ApiClient:
    scopes = {"scopes": ["withdraw"], "trusted_ips": ["127.0.0.1"]}
    return ApiClient(make_token(member, **scopes))


def wish(**changes: Any) -> dict[str, Any]:
    return {"recipient": "bob@example.com", "currency": "btc", "amount": "2"} | changes


@pytest.mark.promise("S-47")
def test_it_pays_and_both_read_of_it(
    payer: ApiClient, alice: Member, bob: Member, bobs_bot: ApiClient
) -> None:
    answer = payer.post("transfers", **wish(note="rent", client_id="a-1"))

    assert answer.status_code == 201
    told = answer.json()
    assert told == {
        "id": Transfer.objects.get().pk,
        "direction": "sent",
        "member": bob.sn,
        "currency": "btc",
        "amount": "2.0",
        "note": "rent",
        "client_id": "a-1",
        "created_at": told["created_at"],
    }
    assert payer.get("transfer", id=told["id"]).json() == told
    his = told | {"direction": "received", "member": alice.sn, "client_id": None}
    assert bobs_bot.get("transfer", id=told["id"]).json() == his
    assert bobs_bot.get("transfers").json() == [his]
    assert queries.balance(bob.pk, "btc").available == 2


@pytest.mark.promise("R-2", "R-3", "I-15")
def test_a_retry_pays_nothing_twice(payer: ApiClient, bob: Member) -> None:
    first = payer.post("transfers", **wish(client_id="a"))
    again = payer.post("transfers", **wish(client_id="a", recipient=" BOB@example.com"))
    other = payer.post("transfers", **wish(client_id="a", amount="3"))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (other.status_code, other.json()["error"]["code"]) == (409, 2000)
    assert queries.balance(bob.pk, "btc").available == 2


REFUSED = [
    ({"recipient": None}, 400, "recipient is missing"),
    ({"amount": None}, 400, "amount is missing"),
    ({"currency": "xyz"}, 400, "currency does not have a valid value"),
    ({"recipient": "bob"}, 400, "member number"),
    ({"recipient": "nobody@example.com"}, 404, "no member"),
    ({"recipient": "alice@example.com"}, 400, "your own account"),
    ({"amount": "0"}, 400, "above zero"),
    ({"amount": "-1"}, 400, "plain decimal"),
    ({"amount": "1e1"}, 400, "plain decimal"),
    ({"amount": "0.0000000001"}, 400, "at most 8 digits"),
    ({"amount": "11"}, 400, "that much available"),
    ({"client_id": "a b"}, 400, "without blanks"),
    ({"note": "x" * 141}, 400, "shorter note"),
]


@pytest.mark.parametrize(("changes", "status", "said"), REFUSED)
def test_it_says_what_is_wrong(
    payer: ApiClient, bob: Member, changes: dict[str, Any], status: int, said: str
) -> None:
    whole = {name: each for name, each in wish(**changes).items() if each is not None}

    answer = payer.post("transfers", **whole)

    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert not Transfer.objects.exists()


def test_limits_and_freezes_hold_here_too(
    payer: ApiClient, alice: Member, bob: Member
) -> None:
    IdentityLevel.objects.update(withdrawal_24h=1, withdrawal_30d=1)
    answer = payer.post("transfers", **wish())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 2000)
    members.freeze(member=alice, by="operator:1", reason="a test")
    answer = payer.post("transfers", **wish())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 2000)
    assert not Transfer.objects.exists()


@pytest.mark.promise("S-47")
@pytest.mark.parametrize("scope", ["all", "trade", "read"])
def test_no_other_key_pays(alice: Member, bob: Member, scope: str) -> None:
    fund(alice, "10 btc")
    answer = ApiClient(make_token(alice, scopes=[scope])).post("transfers", **wish())
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 2011)


def test_it_lists_them_newest_first_by_currency_and_page(
    payer: ApiClient, bob: Member, bobs_bot: ApiClient
) -> None:
    for number in range(1, 5):
        payer.post("transfers", **wish(amount=str(number)))
        payer.post("transfers", **wish(amount=str(number), currency="cny"))

    def amounts(**params: Any) -> list[str]:
        return [each["amount"] for each in bobs_bot.get("transfers", **params).json()]

    assert amounts() == ["4.0", "4.0", "3.0"]
    assert amounts(currency="btc") == ["4.0", "3.0", "2.0"]
    assert amounts(currency="btc", page=2) == ["1.0"]
    assert amounts(limit=2, page=2) == ["3.0", "3.0"]
    assert amounts(page=99) == []
    assert amounts(page=-1, limit=100) == amounts(limit=100)
    assert bobs_bot.get("transfers", limit=101).status_code == 400


@pytest.mark.promise("S-69")
def test_others_transfers_are_unknown(
    payer: ApiClient, bob: Member, mallory: Member
) -> None:
    id = payer.post("transfers", **wish()).json()["id"]
    spy = ApiClient(make_token(mallory))
    for asked in (id, 10**15):
        answer = spy.get("transfer", id=asked)
        assert answer.status_code == 404
        message = f"Transfer##id={asked} doesn't exist."
        assert answer.json() == {"error": {"code": 2013, "message": message}}
    assert spy.get("transfers").json() == []
