"""Money that comes by bank: codes, statements, matching, and who may accept it."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from django.utils import timezone

from accounts import closing, exports, members
from accounts.models.members import Member
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests.makers import fund
from tests.wallets.tellers import (
    IBAN,
    MONEY,
    accept,
    approved,
    book,
    call,
    code_of,
    enter,
    make_channel,
    pay,
    purse,
    read_in,
    statement,
    take,
)
from wallets import beneficiaries, ledger, queries
from wallets.bank import accounts, codes, lines, statements, transfers
from wallets.ledger import House
from wallets.models.bank import BankChannel, BankLine, BankStatement
from wallets.models.currencies import Currency


@pytest.fixture
def channel(db: None) -> BankChannel:
    return make_channel()


# --- Codes ---------------------------------------------------------------------------


def test_a_code_is_found_however_a_bank_prints_it() -> None:
    code = codes.make()
    shown = f"{code[:2]}-{code[2:6]}-{code[6:]}"
    for text in (
        code,
        shown,
        shown.lower(),
        f"payment px {code[2:5]} {code[5:]} thanks",
        f"REF/{code[:7]}\n{code[7:]}/END",
        f"PX{code}",
    ):
        assert codes.found_in(text) == {code}, text
    assert not set("01IO") & set(codes.SIGNS)


def test_a_damaged_code_is_no_code() -> None:
    code = codes.make()
    places = range(2, len(code))
    for at in places:
        for sign in codes.SIGNS:
            damaged = code[:at] + sign + code[at + 1 :]
            assert codes.is_sound(damaged) == (damaged == code)
    for one, two in combinations(places, 2):
        signs = list(code)
        signs[one], signs[two] = signs[two], signs[one]
        swapped = "".join(signs)
        assert codes.is_sound(swapped) == (swapped == code)
        signs = list(code)
        for at in (one, two):
            here = codes.SIGNS.index(signs[at])
            signs[at] = codes.SIGNS[(here + 7) % len(codes.SIGNS)]
        assert not codes.is_sound("".join(signs))


# --- Statements ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mark", "amount"),
    [
        ("1", ".", "1"),
        ("-12.50", ".", "-12.5"),
        ("+0,01", ",", "0.01"),
        ("1,234.56", ".", "1234.56"),
        ("1.234.567,8", ",", "1234567.8"),
        ("1 234,50", ",", "1234.5"),
        ("9999999999999999999.99", ".", "9999999999999999999.99"),
        ("-12345678901234567890.000000001", ".", "-12345678901234567890.000000001"),
    ],
)
def test_an_amount_is_read_exactly(text: str, mark: str, amount: str) -> None:
    assert statements.amount_of(text, mark) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        *(("1,234", "."), ("1.234", ","), ("1,23.45", "."), ("1,234,56.7", ".")),
        *(("1.234.567", "."), ("1,2.3", "."), ("12,34", "."), ("", "."), ("-", ".")),
        *(
            ("1e3", "."),
            ("NaN", "."),
            ("٣", "."),
            ("5-", "."),
            ("--5", "."),
            ("5.", "."),
        ),
        *((".5", "."), ("1,234 567.00", "."), ("0x1", "."), ("9" * 30, ".")),
    ],
)
def test_what_may_mean_two_amounts_is_none(text: str, mark: str) -> None:
    with pytest.raises(statements.BadLine):
        statements.amount_of(text, mark)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "mark", "is_read"),
    [
        *(("1.000", ".", False), ("1,000", ",", False), ("-12.500", ".", False)),
        *(("999.000", ".", False), ("1000.000", ".", True), ("0.500", ".", True)),
        *(("1.0000", ".", True), ("1,234.500", ".", True), ("1.00", ".", True)),
    ],
)
def test_three_decimals_may_be_thousands_where_there_are_two(
    text: str, mark: str, is_read: bool
) -> None:
    channel = make_channel(decimal_mark=mark, delimiter=";")
    content = f"id;date;amount;payer;account;text\n1;2026-11-24;{text};Bob;99;a"
    found = statements.read(channel, content.encode())
    assert (bool(found.lines), bool(found.bad)) == (is_read, not is_read)


@pytest.mark.django_db
def test_three_decimals_are_decimals_where_there_are_three() -> None:
    Currency.objects.filter(pk=MONEY).update(digits=3)
    found = statements.read(make_channel(), statement("1,2026-11-24,1.000,Bob,99,a"))
    assert [line.amount for line in found.lines] == [1]


def test_a_file_is_read_whole_or_not_at_all(channel: BankChannel) -> None:
    rows = [
        "1,2026-11-24,100,Bob,99,hello",
        "2,24.11.2026,100,Bob,99,hello",
        "3,2026-11-24,1.001,Bob,99,hello",
        ",2026-11-24,1,Bob,99,hello",
        "1,2026-11-24,5,Bob,99,again",
        "7,2026-11-24,0,Bob,99,nothing",
        "8,2026-11-24,1,Bob",
    ]
    with pytest.raises(lines.HasBadLines) as refusal:
        read_in(channel, *rows)
    found: Any = refusal.value.facts["lines"]
    assert [number for number, _why in found] == [3, 4, 5, 6, 7, 8]
    assert all(why for _number, why in found)
    assert not BankLine.objects.exists()
    assert not BankStatement.objects.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"id,date\n1,2\n",
        b"id,id,date,amount,payer,account,text\n",
        "id,date,amount,payer,account,text\n1,2026-11-24,1,Ä,,".encode("latin-1"),
        statement('1,2026-11-24,1,"Bob,,'),
        statement("1,2026-11-24,1,B\0b,,"),
        statement(*["1,2026-11-24,1,Bob,,"] * (statements.LINES_MAX + 1)),
        b"x" * (statements.BYTES_MAX + 1),
        statement(),
    ],
)
def test_what_is_no_statement_is_refused(channel: BankChannel, content: bytes) -> None:
    with pytest.raises((statements.BadStatement, lines.HasBadLines)):
        lines.read_in(channel=channel, content=content, by="o", now=timezone.now())
    assert not BankLine.objects.exists()


def test_another_banks_form_is_read(channel: BankChannel) -> None:
    other = make_channel(
        delimiter=";",
        decimal_mark=",",
        date_format="%d.%m.%Y",
        column_bank_id="Nr",
        column_date="Tag",
        column_amount="Betrag",
        column_payer="",
        column_payer_account="",
        column_text="Zweck",
    )
    text = "\ufeffTag;Nr;Betrag;Zweck;Saldo\r\n24.11.2026;a;-1.234,56;Miete;0\r\n"
    lines.read_in(channel=other, content=text.encode(), by="o", now=timezone.now())
    row = BankLine.objects.get()
    assert (row.amount, row.text, row.state) == (Decimal("-1234.56"), "Miete", "new")


def test_the_same_again_does_nothing_twice(channel: BankChannel) -> None:
    now = timezone.now()
    first, second = "1,2026-11-24,100,Bob,99,a", "2,2026-11-24,5,Bob,99,b"
    terms: dict[str, Any] = {"channel": channel, "by": "operator:0", "now": now}
    one, is_new = lines.read_in(content=statement(first), **terms)
    assert (is_new, one.added, one.known) == (True, 1, 0)
    assert lines.read_in(content=statement(first), **terms) == (one, False)
    both = statement(first, second)
    seen = lines.preview(channel=channel, content=both, now=now)
    assert (len(seen.added), seen.known, seen.matched, seen.bad) == (1, 1, 0, [])
    two, _is_new = lines.read_in(content=both, **terms)
    assert (two.added, two.known) == (1, 1)
    with pytest.raises(lines.HasBadLines):
        lines.read_in(content=statement("1,2026-11-24,101,Bob,99,a"), **terms)
    assert BankLine.objects.count() == 2


def test_a_day_that_may_be_two_is_none(channel: BankChannel) -> None:
    digits = make_channel(date_format="%Y%m%d")
    found = statements.read(
        digits, statement("1,2026111,1,Bob,99,a", "2,20261124,1,Bob,99,a")
    )
    assert [bad.number for bad in found.bad] == [2]
    assert [str(line.booked_on) for line in found.lines] == ["2026-11-24"]


def test_a_number_is_known_in_another_way_of_writing_it(channel: BankChannel) -> None:
    plainly = ("\u00c4-17", "A\u0308-17", "\u00c4-１７", "\u00c4\uff0d17")
    unseen = ("\u00c4-17\u200e", "\u061c\u00c4-17", "A\u200b\u0308-17", "Ä-1\u200d7")
    for written in plainly + unseen:
        found = read_in(channel, f"{written},2026-11-24,100,Bob,99,a")
        assert [row.bank_txid for row in found] == ["\u00c4-17"]
    with pytest.raises(lines.HasBadLines):  # sixteen signs for one
        read_in(channel, "\ufdfa" * 64 + ",2026-11-24,100,Bob,99,a")


# --- Matching ------------------------------------------------------------------------


def test_a_code_says_whose_it_is_and_an_account_is_only_a_hint(
    channel: BankChannel, alice: Member, bob: Member
) -> None:
    book(alice)
    mine, yours = code_of(alice, channel), code_of(bob, channel)
    spoiled = mine[:-1] + ("2" if mine[-1] != "2" else "3")
    found = read_in(
        channel,
        f"1,2026-11-24,100,Bob,99,{mine.lower()}",
        "2,2026-11-24,100,Bob,DE89370400440532013000,no code",
        f"3,2026-11-24,100,Bob,99,{mine} and {yours}",
        f"4,2026-11-24,100,Bob,99,{spoiled}",
        f"5,2026-11-24,-100,Bob,99,{mine}",
    )
    assert [(row.state, row.member, row.doubts) for row in found] == [
        ("matched", alice, []),
        ("new", None, []),
        ("new", None, ["several_codes"]),
        ("new", None, []),
        ("new", None, []),
    ]
    assert [row.suggestion for row in found] == [None, alice, None, None, None]


def test_a_code_of_another_channel_matches_nobody(
    channel: BankChannel, alice: Member
) -> None:
    other = BankChannel.objects.create(currency_id="usd", name="other")
    (row,) = read_in(channel, f"1,2026-11-24,1,Bob,99,{code_of(alice, other)}")
    assert row.state == "new"


def test_somebody_elses_money_waits_with_a_doubt(
    channel: BankChannel, alice: Member, olive: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(alice, "Alice María Example", monkeypatch)
    code = code_of(alice, channel)
    found = read_in(
        channel,
        f"1,2026-11-24,100,EXAMPLE Alice Maria,99,{code}",
        f"2,2026-11-24,100,Mallory Example,99,{code}",
        f"3,2026-11-24,100,,99,{code}",
    )
    assert [row.doubts for row in found] == [[], ["third_party"], ["no_payer"]]
    with pytest.raises(lines.Doubtful):
        accept(found[1], olive)
    assert purse(alice) == (0, 0)
    accept(found[1], olive, despite_doubts=True, reason="her mother")
    assert purse(alice) == (100, 0)


@pytest.mark.parametrize(
    ("name", "other", "is_alike"),
    [
        ("王小明", "王小明", True),
        ("王小明", "王小红", False),
        ("Alice Example", "Mr Alice Example", True),
        ("Alice", "Alice Mallory", False),
        ("Alice Example", "", False),
        ("Ann Lee", "Anne Lee", False),
    ],
)
def test_names_are_compared_by_their_words(
    name: str, other: str, is_alike: bool
) -> None:
    assert lines.are_alike(name, other) == is_alike


def test_less_than_the_least_is_a_doubt(alice: Member, olive: Member) -> None:
    channel = make_channel(deposit_min=Decimal(10))
    row = pay(channel, alice, "9.99", "1")
    assert row.doubts == ["below_minimum"]


# --- Deciding ------------------------------------------------------------------------


@pytest.mark.promise("I-12")
def test_it_is_credited_once_and_told_once(
    channel: BankChannel, alice: Member, olive: Member, bob: Member
) -> None:
    row = pay(channel, alice, "100.25", "B-1")
    assert purse(alice) == (0, 0)
    assert accept(row, olive).state == "credited"
    assert accept(row, bob).state == "credited"
    assert purse(alice) == (Decimal("100.25"), 0)
    assert queries.house_balance(House.BANK, MONEY) == Decimal("-100.25")
    (letter,) = Mail.objects.filter(to=alice.email)
    assert letter.subject == "100.25 CNY have arrived"


def test_nobody_decides_about_their_own(
    channel: BankChannel, olive: Member, bob: Member
) -> None:
    row = pay(channel, olive, "100", "1")
    with pytest.raises(transfers.OwnMoney):
        accept(row, olive)
    with pytest.raises(transfers.OwnMoney):
        lines.send_back(line=row, operator=olive, reason="a")
    (_, nobodys) = read_in(channel, "2,2026-11-24,5,X,99,none")
    with pytest.raises(transfers.OwnMoney):
        lines.assign(line=nobodys, member=olive, operator=olive, reason="a")
    with pytest.raises(transfers.OwnMoney):
        lines.assign(line=row, member=bob, operator=olive, reason="a")
    assert accept(row, bob).state == "credited"


def test_nobody_decides_about_the_line_of_their_own_withdrawal(
    channel: BankChannel, olive: Member, bob: Member
) -> None:
    mine = approved(olive, bob)
    take(mine, channel, bob)
    (row,) = read_in(channel, f"1,2026-11-25,-98,O,1,W{mine.pk}")
    for decide in (lines.send_back, lines.ignore):
        with pytest.raises(transfers.OwnMoney):
            decide(line=row, operator=olive, reason="a")
    assert BankLine.objects.get().state == "matched"


def test_what_one_assigns_another_accepts(
    channel: BankChannel, alice: Member, olive: Member, bob: Member
) -> None:
    (row,) = read_in(channel, "1,2026-11-24,5,X,99,none")
    with pytest.raises(lines.NothingMatched):
        accept(row, bob)
    row = lines.assign(line=row, member=alice, operator=olive, reason="a call")
    with pytest.raises(lines.FourEyes):
        accept(row, olive)
    assert accept(row, bob).state == "credited"
    assert purse(alice) == (5, 0)
    with pytest.raises(IllegalMove):
        lines.assign(line=row, member=bob, operator=olive, reason="again")
    record = AuditRecord.objects.get(action="bank_line_assigned")
    assert record.facts == {"member": alice.pk, "reason": "a call"}


def test_what_one_writes_down_another_accepts(
    channel: BankChannel, alice: Member, olive: Member, bob: Member
) -> None:
    row = enter(channel, olive, text=code_of(alice, channel))
    assert row.state == "matched"
    with pytest.raises(lines.FourEyes):
        accept(row, olive)
    with pytest.raises(lines.KnownLine):
        enter(channel, bob)
    accept(row, bob)
    assert purse(alice) == (50, 0)


def test_what_is_sent_back_or_ignored_credits_nobody(
    channel: BankChannel, alice: Member, olive: Member
) -> None:
    first, second = pay(channel, alice, "1", "1"), pay(channel, alice, "2", "2")
    lines.send_back(line=first, operator=olive, reason="not hers")
    lines.ignore(line=second, operator=olive, reason="our own")
    for row in (first, second):
        with pytest.raises(IllegalMove):
            accept(row, olive)
    assert purse(alice) == (0, 0)


def test_a_closed_account_is_credited_nothing(
    channel: BankChannel, alice: Member, olive: Member
) -> None:
    row = pay(channel, alice, "1", "1")
    now = timezone.now()
    members.close(member=alice, by="operator:1", reason="a test", now=now)
    with pytest.raises(lines.Closed):
        accept(row, olive)


def test_what_the_bank_takes_back_is_taken_as_far_as_it_is_there(
    channel: BankChannel, alice: Member, olive: Member, bob: Member
) -> None:
    row = accept(pay(channel, alice, "100", "1"), olive)
    _spend(alice, bob, "70")
    for operator in (olive, bob):
        reversed_row = lines.reverse(
            line=row, operator=operator, reason="chargeback", now=timezone.now()
        )
        assert reversed_row.state == "reversed"
    assert purse(alice) == (0, 0)
    assert queries.house_balance(House.LOSSES, MONEY) == -70
    assert queries.house_balance(House.BANK, MONEY) == 0
    assert Member.objects.get(pk=alice.pk).state == "frozen"
    assert AuditRecord.objects.filter(is_alarm=True).count() == 1


def test_a_member_takes_along_what_came_by_bank(
    channel: BankChannel, alice: Member
) -> None:
    pay(channel, alice, "100", "B-1")
    (told,) = exports.parts["bank_deposits"](alice)
    assert (told["bank_txid"], told["amount"]) == ("B-1", "100.0")
    (reference,) = exports.parts["bank_references"](alice)
    assert reference["channel__name"] == "town"
    said = [each for ask in closing.obstacles for each in ask(alice)]
    assert "A deposit of 100.0 CNY is being checked." in said


# --- Fund sources --------------------------------------------------------------------


def test_an_iban_with_a_typing_error_is_refused(alice: Member) -> None:
    assert book(alice).destination == "DE89370400440532013000"
    with pytest.raises(beneficiaries.KnownDestination):
        book(alice, "de89 3704 0044 0532 0130 00")
    with pytest.raises(beneficiaries.BadDestination):
        book(alice, IBAN.replace("89", "98"))
    assert book(alice, "6222 0000 1111 2222").destination == "6222000011112222"
    assert book(alice, "12-34/5 A").destination == "12-34/5 A"
    assert accounts.is_sound_iban("GB82 WEST 1234 5698 7654 32")


def _spend(member: Member, other: Member, amount: str) -> None:
    """Let money go to somebody else."""
    with transaction():
        mine = ledger.account_of(member_id=member.pk, currency=MONEY)
        theirs = ledger.account_of(member_id=other.pk, currency=MONEY)
        sum_ = Decimal(amount)
        move = ledger.Move(mine, "a", theirs, "a", sum_, "by_hand", "test:spend")
        ledger.post([move], at=timezone.now())
    fund(other, f"1 {MONEY}")
