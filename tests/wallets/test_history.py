"""The history: exact balances, pages by key, and files that spreadsheets read."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.templatetags import figures
from tests.makers import ApiClient, fund, make_token, match
from tests.wallets.places import practice_place, rules
from wallets import ledger, queries, statement
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.statement import Reader, Wanted
from wallets.views import history
from wallets.views.history import _cell


@pytest.fixture
def browser(alice: Member) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def trader(alice: Member, bob: Member) -> Member:
    """Alice has sold to Bob, at a better price, and has an order left."""
    fund(alice, "10 btc")
    fund(bob, "10000 cny")
    hers, his = ApiClient(make_token(alice)), ApiClient(make_token(bob))
    his.post("orders", market="btccny", side="buy", volume="0.5", price="110")
    hers.post("orders", market="btccny", side="sell", volume="2", price="100")
    match("btccny")
    return alice


def file_of(browser: Client, path: str) -> list[list[str]]:
    answer: Any = browser.get(path)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:])))


# --- The statement --------------------------------------------------------------------


def test_the_newest_line_has_the_balance_of_now(trader: Member) -> None:
    lines = list(Reader(trader, Wanted()).all())

    for currency in ("btc", "cny"):
        newest = next(line for line in lines if line.currency == currency)
        held = queries.balance(trader.pk, currency)
        assert (newest.available, newest.locked) == (held.available, held.locked)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_each_balance_is_the_one_before_and_the_change(
    trader: Member, at_once: int
) -> None:
    lines = list(Reader(trader, Wanted()).all(at_once))[::-1]

    assert len(lines) >= 5
    held = dict.fromkeys(("btc", "cny"), (Decimal(0), Decimal(0)))
    for line in lines:
        available, locked = held[line.currency]
        held[line.currency] = (available + line.free, locked + line.bound)
        assert held[line.currency] == (line.available, line.locked)


def test_a_narrowed_statement_has_the_same_balances(trader: Member) -> None:
    every = {line.id: line for line in Reader(trader, Wanted()).all()}

    for kind in statement.KINDS:
        for at_once in (1, 1000):
            lines = list(Reader(trader, Wanted(kind=kind)).all(at_once))
            assert lines == [line for line in every.values() if line.kind == kind]
    for currency in ("btc", "cny", "ltc"):
        lines = list(Reader(trader, Wanted(currency=currency)).all(2))
        assert lines == [each for each in every.values() if each.currency == currency]


def test_every_reason_has_words_and_a_kind() -> None:
    assert statement.dictionary().keys() == set(ledger.Reason.values)
    for reason in ledger.Reason:
        assert statement.kind_of(reason) in statement.KINDS


def test_a_page_costs_the_same_whatever_was_before(alice: Member) -> None:
    for _ in range(3):
        fund(alice, "1 btc")
    with CaptureQueriesContext(
        connection,
    ) as few:
        Reader(alice, Wanted()).read(2)
    for _ in range(30):
        fund(alice, "1 btc")
    with CaptureQueriesContext(connection) as many:
        Reader(alice, Wanted()).read(2)

    assert len(few) == len(many) == 3


# --- Pages ----------------------------------------------------------------------------


def test_it_says_that_nothing_has_moved(browser: Client) -> None:
    for path in ("", "/deposits", "/withdrawals"):
        page = browser.get(f"/funds/history{path}").content.decode()
        assert "Nothing has moved yet." in page
        narrowed = browser.get(f"/funds/history{path}?currency=btc").content.decode()
        assert "Nothing fits." in narrowed


def test_it_shows_what_moved_in_words(browser: Client, trader: Member) -> None:
    page = browser.get("/funds/history").content.decode()

    for words in ("Trade", "Set aside for an order", "Demo money"):
        assert words in page
    assert "+10" in page
    only = browser.get("/funds/history?kind=trade&currency=cny").content.decode()
    assert "Set aside for an order" not in only.split("<tbody>")[1]


def test_pages_follow_each_other_without_a_gap(browser: Client, alice: Member) -> None:
    for number in range(1, 103):
        fund(alice, f"{number} btc")

    seen: list[str] = []
    path = "/funds/history?currency=btc"
    while path:
        page = browser.get(path)
        seen += [str(line.change) for line in page.context["table"].data]
        older = page.context["older"]
        path = f"/funds/history?{older}" if older else ""

    assert [Decimal(each) for each in seen] == list(range(102, 0, -1))


def test_days_are_those_of_the_member(browser: Client, alice: Member) -> None:
    """At 20:00 UTC it is tomorrow in Shanghai."""
    Member.objects.filter(pk=alice.pk).update(time_zone="Asia/Shanghai")
    ledger.grant(
        member_id=alice.pk,
        currency="btc",
        amount=Decimal(7),
        reference="test:evening",
        now=datetime(2026, 3, 1, 20, 0, tzinfo=UTC),
    )

    there = browser.get("/funds/history?since=2026-03-02&until=2026-03-02")
    before = browser.get("/funds/history?since=2026-03-01&until=2026-03-01")

    assert "2026-03-02 04:00" in there.content.decode()
    assert "Nothing fits." in before.content.decode()
    (_, row) = file_of(browser, "/funds/history/csv?since=2026-03-02")
    assert row[0] == "2026-03-02 04:00:00 +0800"


@pytest.mark.parametrize(
    "query", ["currency=xxx", "kind=x", "since=never", "before=-1", "before=x"]
)
def test_what_is_no_filter_is_said(browser: Client, query: str) -> None:
    assert browser.get(f"/funds/history?{query}").status_code == 400
    assert len(file_of(browser, f"/funds/history/csv?{query}")) == 1


@pytest.mark.parametrize("query", ["currency=xxx", "state=x", "since=never"])
def test_what_is_no_filter_lets_nothing_through(
    browser: Client, alice: Member, query: str
) -> None:
    rules(("0", 1))
    place = practice_place()
    place.pay(alice, "1")
    place.scan()

    page = browser.get(f"/funds/history/deposits?{query}")

    assert page.status_code == 400
    assert "Please correct what is marked above." in page.content.decode()
    assert len(file_of(browser, "/funds/history/deposits/csv")) == 2
    assert len(file_of(browser, f"/funds/history/deposits/csv?{query}")) == 1
    assert browser.get(f"/funds/history/withdrawals?{query}").status_code == 400


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_days_at_the_ends_of_time_are_days(browser: Client, date: str) -> None:
    answer = browser.get(f"/funds/history?since={date}&until={date}")
    assert answer.status_code == 200
    answer = browser.get(f"/funds/history/deposits?since={date}&until={date}")
    assert answer.status_code == 200


def test_nobody_sees_what_is_anothers(browser: Client, bob: Member) -> None:
    fund(bob, "5 btc")
    place = practice_place()
    rules(("0", 1))
    place.pay(bob, "1")
    place.scan()

    for path in ("", "/deposits", "/withdrawals"):
        assert len(file_of(browser, f"/funds/history{path}/csv")) == 1
        page = browser.get(f"/funds/history{path}").content.decode()
        assert "Nothing has moved yet." in page


def test_deposits_are_sorted_and_narrowed(browser: Client, alice: Member) -> None:
    place = practice_place()
    rules(("0", 1))
    for amount in ("2", "3", "1"):
        place.pay(alice, amount)
        place.scan()
    place.mine(2)
    place.scan()
    place.pay(alice, "9")
    place.scan()

    def amounts(query: str) -> list[Any]:
        page = browser.get(f"/funds/history/deposits?{query}")
        return [row.record.amount for row in page.context["table"].paginated_rows]

    assert amounts("") == [9, 1, 3, 2]
    assert amounts("sort=amount") == [1, 2, 3, 9]
    assert amounts("sort=-amount&state=credited") == [3, 2, 1]
    assert amounts("state=seen") == [9]
    assert amounts("currency=btc") == []
    assert amounts("sort=member__password") == [9, 1, 3, 2]
    assert len(file_of(browser, "/funds/history/deposits/csv?state=credited")) == 4


def test_how_long_a_page_is_is_ours_to_say(
    browser: Client, alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_ROWS", 2)
    rules(("0", 1))
    place = practice_place()
    for amount in ("1", "2", "3"):
        place.pay(alice, amount)
    place.scan()

    def amounts(**asked: str) -> list[Any]:
        path = "/funds/history/deposits"
        page = browser.get(path, {"sort": "amount"} | asked)
        return [row.record.amount for row in page.context["table"].paginated_rows]

    for number in ("-1", "0", "1", "9" * 9, "9" * 5000):
        assert amounts(per_page=number) == [1, 2]
    for odd in ("", "x", "1"):
        assert amounts(page=odd) == [1, 2]
    for last in ("2", "0", "-1", "9" * 30):
        assert amounts(page=last) == [3]


# --- Files ----------------------------------------------------------------------------


def test_a_file_has_all_that_was_asked_for(browser: Client, trader: Member) -> None:
    head, *rows = file_of(browser, "/funds/history/csv")

    lines = list(Reader(trader, Wanted()).all())
    assert head[:3] == ["When", "Currency", "What"]
    assert [Decimal(row[3]) for row in rows] == [line.change for line in lines]
    assert [Decimal(row[6]) for row in rows] == [line.balance for line in lines]
    assert len(file_of(browser, "/funds/history/csv?kind=trade")) < len(rows)


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"),
        *("＝1+1", "＋1", "－1", "＠SUM(A1)"),
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    assert _cell(text) == f"'{text}"


def test_a_number_stays_a_number() -> None:
    cells = [_cell(Decimal(text)) for text in ("-0.00000001", "1E+3", "12.50", "0")]
    assert cells == ["-0.00000001", "1000.0", "12.5", "0.0"]
    long = "-12345678901234567890.123456789012345678"
    assert _cell(Decimal(long)) == long
    assert figures.amount(Decimal(long)).replace(",", "") == long
    shown = [figures.amount(Decimal(text)) for text in ("1E+3", "12.50", "0.00", "7")]
    assert shown == ["1,000", "12.5", "0", "7"]


@pytest.mark.broken_books  # a withdrawal written by hand, without its money
@pytest.mark.promise("S-75")
def test_a_label_in_a_file_of_withdrawals_is_no_formula(
    browser: Client, alice: Member
) -> None:
    now = timezone.now()
    friend = Beneficiary.objects.create(
        member=alice,
        currency_id="ltc",
        label='=HYPERLINK("http://x")',
        destination="somewhere",
        created_at=now,
    )
    Withdrawal.objects.create(
        member=alice,
        currency_id="ltc",
        beneficiary=friend,
        destination="somewhere",
        amount=2,
        fee=1,
        net=1,
        value=0,
        state="cancelled",
        created_at=now - timedelta(days=1),
        updated_at=now,
    )

    _, row = file_of(browser, "/funds/history/withdrawals/csv?state=cancelled")
    page = browser.get("/funds/history/withdrawals?sort=-amount").content.decode()

    assert row[1:5] == ["LTC", "2.0", "1.0", '\'=HYPERLINK("http://x")']
    assert "=HYPERLINK(&quot;" in page
