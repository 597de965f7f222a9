"""One signed request, sent a hundred times at the same moment: one works."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from accounts.models.members import Member
from markets.models import Order
from tests.makers import Answer, ApiClient, fund
from tests.races.crowd import at_once
from wallets.queries import balance

pytestmark = pytest.mark.races

COPIES, THREADS = 100, 20
SELL: dict[str, object] = {"market": "btccny", "side": "sell", "volume": "0.1"}


@pytest.mark.promise("S-44")
def test_it_takes_one_of_a_hundred_copies(alice: Member, alices_bot: ApiClient) -> None:
    fund(alice, "100 btc")
    signed = alices_bot.signed("POST", "orders", {**SELL, "price": "100"})

    def send_some() -> list[Answer]:
        return [
            alices_bot.browser.post("/api/v2/orders", signed)
            for _ in range(COPIES // THREADS)
        ]

    answers = [
        answer
        for some in at_once(*[send_some] * THREADS)
        if isinstance(some, list)
        for answer in some
    ]

    replayed = [a.json()["error"]["code"] for a in answers if a.status_code == 401]
    assert Counter(a.status_code for a in answers) == {201: 1, 401: COPIES - 1}
    assert set(replayed) == {2006}
    assert Order.objects.count() == 1
    assert balance(alice.pk, "btc").locked == Order.objects.get().locked


def test_it_places_one_order_under_one_client_id(
    alice: Member, alices_bot: ApiClient
) -> None:
    """Each copy is signed anew, as by a bot that heard nothing: one order all told."""
    fund(alice, "100 btc")
    terms = {**SELL, "price": "100", "client_id": "once"}
    deeds = [
        partial(
            alices_bot.browser.post,
            "/api/v2/orders",
            alices_bot.signed("POST", "orders", terms),
        )
        for _ in range(THREADS)
    ]

    answers = at_once(*deeds)

    ids = {answer.json()["id"] for answer in answers}  # type: ignore[union-attr]
    assert ids == set(Order.objects.values_list("pk", flat=True))
    assert len(ids) == 1
