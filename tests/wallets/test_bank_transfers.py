"""Withdrawals by bank: taken, given to the bank, paid once, and sent back."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts import members
from accounts.models.members import Member
from exchange.lib.models import Mail
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests.makers import fund, make_member
from tests.wallets.tellers import (
    MONEY,
    accept,
    approved,
    call,
    enter,
    make_channel,
    purse,
    read_in,
    take,
)
from tests.wallets.tellers import pay as credit
from wallets import audit, ledger, payouts, queries, withdrawals
from wallets.bank import lines, transfers
from wallets.ledger import House
from wallets.models.bank import BankChannel, BankLine, BankTransfer
from wallets.models.coins import Rules
from wallets.models.withdrawals import Beneficiary, Withdrawal


@pytest.fixture
def channel(db: None) -> BankChannel:
    return make_channel()


@pytest.fixture
def row(alice: Member, olive: Member) -> Withdrawal:
    """A withdrawal of 100, of which 98 arrive."""
    return approved(alice, olive)


def fresh(row: Withdrawal) -> Withdrawal:
    return Withdrawal.objects.get(pk=row.pk)


def pay(transfer: BankTransfer, operator: Member, number: str = "N-1") -> BankTransfer:
    return transfers.paid(
        transfer=transfer, bank_txid=number, operator=operator, now=timezone.now()
    )


def bounce(transfer: BankTransfer, operator: Member) -> BankTransfer:
    return transfers.sent_back(
        transfer=transfer,
        operator=operator,
        reason="no such account",
        now=timezone.now(),
    )


@pytest.mark.promise("I-11", "I-18")
def test_it_is_booked_once_when_the_bank_has_paid(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    transfer = take(row, channel, olive)
    assert take(row, channel, olive) == transfer
    assert fresh(row).state == "building"
    with pytest.raises(IllegalMove):
        withdrawals.cancel(withdrawal=row, by="member:1", now=timezone.now())
    assert purse(alice) == (0, 100)
    for _again in range(2):
        assert pay(transfer, olive).state == "paid"
    assert purse(alice) == (0, 0)
    assert queries.house_balance(House.BANK, MONEY) == 98
    assert queries.house_balance(House.FEES, MONEY) == 2
    assert (fresh(row).state, fresh(row).txid) == ("confirmed", "N-1")
    letter = Mail.objects.order_by("-pk")[0]
    assert (letter.to, letter.subject) == (alice.email, "98.0 CNY are on their way")
    with pytest.raises(transfers.PaidOtherwise):
        pay(transfer, olive, "N-2")


def test_a_number_of_the_bank_pays_once(
    channel: BankChannel, row: Withdrawal, bob: Member, olive: Member
) -> None:
    pay(take(row, channel, olive), olive)
    other = take(approved(bob, olive), channel, olive)
    with pytest.raises(transfers.NumberUsed):
        pay(other, olive)
    with pytest.raises(transfers.BadNumber):
        pay(other, olive, " ")
    assert purse(bob) == (0, 100)


def test_two_banks_may_give_the_same_number(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    pay(take(row, channel, olive), olive, "1")
    other_bank = BankChannel.objects.create(currency_id=MONEY, name="other")
    other = approved(alice, olive)  # of the same amount, to the same account
    take(other, other_bank, olive)
    (line,) = read_in(other_bank, f"1,2026-11-25,-98,Alice,1,W{other.pk}")
    assert accept(line, olive).state == "settled"
    assert (fresh(other).state, fresh(other).txid) == ("confirmed", "1")


def test_a_line_of_the_statement_confirms_it(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    take(row, channel, olive)
    wrong, right = read_in(
        channel,
        f"1,2026-11-25,-97,Alice,1,ref W{row.pk}",
        f"2,2026-11-25,-98,Alice,1,ref w{row.pk}.",
    )
    assert (wrong.state, wrong.doubts) == ("new", ["other_amount"])
    assert right.state == "matched"
    assert accept(right, olive).state == "settled"
    assert accept(right, olive).state == "settled"
    assert (fresh(row).state, fresh(row).txid) == ("confirmed", "2")


def test_a_line_of_what_was_booked_by_hand_books_nothing_more(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    pay(take(row, channel, olive), olive)
    same, second = read_in(
        channel,
        f"N-1,2026-11-25,-98,Alice,1,W{row.pk}",
        f"N-2,2026-11-25,-98,Alice,1,W{row.pk}",
    )
    assert accept(same, olive).state == "settled"
    with pytest.raises(transfers.PaidOtherwise):
        accept(second, olive)
    assert queries.house_balance(House.BANK, MONEY) == 98


def test_what_comes_back_before_goes_to_the_reviewers(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member, bob: Member
) -> None:
    transfer = take(row, channel, olive)
    for _again in range(2):
        assert bounce(transfer, olive).state == "returned"
    assert (fresh(row).state, "bank_returned" in fresh(row).doubts) == ("review", True)
    assert purse(alice) == (0, 100)
    withdrawals.approve(withdrawal=row, operator=bob, note="", now=timezone.now())
    again = take(row, channel, olive)
    assert again != transfer
    pay(again, olive)
    assert purse(alice) == (0, 0)


@pytest.mark.promise("S-80")
def test_words_of_before_do_not_approve_what_the_bank_sent_back(
    channel: BankChannel, alice: Member, bob: Member, olive: Member
) -> None:
    Rules.objects.filter(pk=MONEY).update(automatic_up_to=1)  # it is large: two words
    row = approved(alice, olive)
    assert row.state == "review"
    withdrawals.approve(withdrawal=row, operator=bob, note="", now=timezone.now())
    bounce(take(row, channel, olive), make_member("fiona", is_operator=True))
    for _again in range(2):
        withdrawals.approve(withdrawal=row, operator=olive, note="", now=timezone.now())
        assert fresh(row).state == "review"
    withdrawals.approve(withdrawal=row, operator=bob, note="", now=timezone.now())
    assert fresh(row).state == "approved"


@pytest.mark.promise("S-80")
def test_who_says_that_it_came_back_does_not_decide_about_it(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member, bob: Member
) -> None:
    bounce(take(row, channel, olive), olive)
    now = timezone.now()
    for decide in (withdrawals.approve, withdrawals.refuse):
        with pytest.raises(withdrawals.OwnWord):
            decide(withdrawal=row, operator=olive, note="", now=now)
    with pytest.raises(withdrawals.CameBack):
        withdrawals.cancel(withdrawal=row, by=f"member:{alice.pk}", now=now)
    assert (fresh(row).state, *purse(alice)) == ("review", 0, 100)
    withdrawals.approve(withdrawal=row, operator=bob, note="", now=now)
    withdrawals.cancel(withdrawal=row, by=f"member:{alice.pk}", now=now)
    assert purse(alice) == (100, 0)


def test_what_comes_back_afterwards_is_given_back(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    transfer = pay(take(row, channel, olive), olive)
    (line,) = read_in(channel, f"R-1,2026-11-26,98,Bank,1,return of W{row.pk}")
    assert (line.state, line.transfer) == ("matched", transfer)
    assert accept(line, olive).state == "settled"
    bounce(transfer, olive)
    assert purse(alice) == (98, 0)
    assert queries.house_balance(House.BANK, MONEY) == 0
    assert queries.house_balance(House.FEES, MONEY) == 2
    assert Mail.objects.order_by("-pk")[0].subject == "98.0 CNY came back"


@pytest.mark.promise("I-12")
def test_nobody_gives_back_what_was_paid_by_a_word_alone(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member, bob: Member
) -> None:
    transfer = pay(take(row, channel, olive), olive)
    with pytest.raises(transfers.NotSaid):
        bounce(transfer, olive)
    assert purse(alice) == (0, 0)
    line = enter(channel, olive, amount=Decimal(98), text=f"return of W{row.pk}")
    with pytest.raises(lines.FourEyes):
        accept(line, olive)
    assert accept(line, bob).state == "settled"
    assert purse(alice) == (98, 0)


def test_what_somebody_else_pays_as_a_return_waits_with_a_doubt(
    channel: BankChannel,
    row: Withdrawal,
    alice: Member,
    olive: Member,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call(alice, "Alice Example", monkeypatch)
    pay(take(row, channel, olive), olive)
    theirs, nobodys, hers = read_in(
        channel,
        f"1,2026-11-26,98,Mallory,1,W{row.pk}",
        f"2,2026-11-26,98,,1,W{row.pk}",
        f"3,2026-11-26,98,Alice Example,1,W{row.pk}",
    )
    found = [line.doubts for line in (theirs, nobodys, hers)]
    assert found == [["third_party"], ["no_payer"], []]
    with pytest.raises(lines.Doubtful):
        accept(theirs, olive)
    assert purse(alice) == (0, 0)
    accept(theirs, olive, despite_doubts=True, reason="the other bank's name")
    assert purse(alice) == (98, 0)


def test_what_comes_back_a_second_time_is_other_money(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    pay(take(row, channel, olive), olive)
    once, twice = read_in(
        channel,
        f"R-1,2026-11-26,98,Bank,1,return of W{row.pk}",
        f"R-2,2026-11-26,98,Bank,1,return of W{row.pk}",
    )
    accept(once, olive)
    with pytest.raises(transfers.ReturnedOtherwise):
        accept(twice, olive)
    assert purse(alice) == (98, 0)
    assert BankLine.objects.get(pk=twice.pk).state == "matched"


@pytest.mark.promise("I-11", "I-12")
def test_one_file_may_say_that_it_left_and_that_it_came_back(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    take(row, channel, olive)
    gone, back = read_in(
        channel,
        f"N-1,2026-11-25,-98,A,1,W{row.pk}",
        f"R-1,2026-11-26,98,Bank,1,return of W{row.pk}",
    )
    with pytest.raises(IllegalMove):
        accept(back, olive)  # nothing is known to have left
    assert (fresh(row).state, *purse(alice)) == ("building", 0, 100)
    accept(gone, olive)
    assert accept(back, olive).state == "settled"
    assert purse(alice) == (98, 0)
    assert queries.house_balance(House.BANK, MONEY) == 0


def test_what_never_left_does_not_come_back_by_a_line(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    transfer = take(row, channel, olive)
    (line,) = read_in(channel, f"R-1,2026-11-26,98,Mallory,1,W{row.pk}")
    bounce(transfer, olive)
    with pytest.raises(IllegalMove):
        accept(line, olive)
    assert BankLine.objects.get(pk=line.pk).state == "matched"


def test_the_line_of_a_payment_is_settled_after_it_came_back(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    transfer = take(row, channel, olive)
    (gone,) = read_in(channel, f"N-1,2026-11-25,-98,A,1,W{row.pk}")
    pay(transfer, olive, "N-1")
    back = read_in(channel, f"R-1,2026-11-26,98,Bank,1,return of W{row.pk}")[1]
    accept(back, olive)
    assert accept(gone, olive).state == "settled"
    assert purse(alice) == (98, 0)
    with pytest.raises(transfers.PaidOtherwise):
        pay(transfer, olive, "N-2")


def test_nobody_pays_themselves(
    channel: BankChannel, olive: Member, bob: Member
) -> None:
    mine = approved(olive, bob)
    with pytest.raises(transfers.OwnMoney):
        take(mine, channel, olive)
    transfer = take(mine, channel, bob)
    with pytest.raises(transfers.OwnMoney):
        pay(transfer, olive)
    with pytest.raises(transfers.OwnMoney):
        bounce(transfer, olive)
    (line,) = read_in(channel, f"1,2026-11-25,-98,O,1,W{mine.pk}")
    with pytest.raises(transfers.OwnMoney):
        accept(line, olive)


def test_what_may_not_be_paid_is_not_taken(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    usd = BankChannel.objects.create(currency_id="usd", name="other")
    with pytest.raises(transfers.WrongChannel):
        take(row, usd, olive)
    with pytest.raises(transfers.WrongChannel):
        take(row, make_channel(pays_withdrawals=False), olive)
    open_channel = make_channel(pays_withdrawals=True)
    Beneficiary.objects.update(destination="other")
    with pytest.raises(transfers.NotPayable):
        take(row, open_channel, olive)
    Beneficiary.objects.update(destination=row.destination)
    members.freeze(member=alice, by="operator:1", reason="a test")
    with pytest.raises(transfers.NotPayable):
        take(row, open_channel, olive)
    assert fresh(row).state == "approved"


def test_the_banks_file_computes_nothing(
    channel: BankChannel, row: Withdrawal, alice: Member, olive: Member
) -> None:
    Beneficiary.objects.update(holder="＝HYPERLINK(1)", bank=" +1")
    text = transfers.as_csv([take(row, channel, olive)])
    heads, cells = csv.reader(text.splitlines())
    assert dict(zip(heads, cells, strict=True)) == {
        "reference": f"W{row.pk}",
        "amount": "98.0",
        "currency": "CNY",
        "holder": "'＝HYPERLINK(1)",
        "account": row.destination,
        "bank": "' +1",
    }


def test_the_worker_of_coins_leaves_it_alone(
    channel: BankChannel, row: Withdrawal
) -> None:
    payouts.run(MONEY, now=timezone.now())
    assert MONEY not in queries.coin_codes()
    assert fresh(row).state == "approved"


def test_several_numbers_in_a_line_match_none(
    channel: BankChannel, row: Withdrawal, bob: Member, olive: Member
) -> None:
    other = approved(bob, olive)
    for each in (row, other):
        take(each, channel, olive)
    (line,) = read_in(channel, f"1,2026-11-25,-98,A,1,W{row.pk} W{other.pk}")
    assert (line.state, line.doubts) == ("new", ["several_numbers"])
    with pytest.raises(lines.NothingMatched):
        accept(line, olive, despite_doubts=True)


# --- The audit -----------------------------------------------------------------------


@pytest.mark.broken_books
def test_the_audit_finds_a_transfer_unlike_its_withdrawal(
    channel: BankChannel, row: Withdrawal, olive: Member
) -> None:
    take(row, channel, olive)
    assert not audit.bank_unlike_states()
    # As if somebody could cancel what the bank is about to pay.
    Withdrawal.objects.filter(pk=row.pk).update(state="approved")
    ((what, *_),) = audit.bank_unlike_states()
    assert what == "transfer"


@pytest.mark.broken_books
def test_the_audit_finds_lines_that_settled_nothing(
    channel: BankChannel, row: Withdrawal, olive: Member
) -> None:
    take(row, channel, olive)
    read_in(channel, f"N-1,2026-11-25,-98,A,1,W{row.pk}")
    BankLine.objects.update(state="settled")
    ((what, *_),) = audit.bank_unlike_states()
    assert what == "line"


@pytest.mark.broken_books
def test_the_audit_finds_a_line_of_another_bank_or_amount(
    channel: BankChannel, row: Withdrawal, olive: Member
) -> None:
    take(row, channel, olive)
    (line,) = read_in(channel, f"N-1,2026-11-25,-98,A,1,W{row.pk}")
    accept(line, olive)
    assert not audit.bank_unlike_states()
    other = BankChannel.objects.create(currency_id=MONEY, name="other")
    for wrong in ({"amount": Decimal(-980)}, {"amount": -98, "channel": other}):
        BankLine.objects.update(**wrong)
        ((what, *_),) = audit.bank_unlike_states()
        assert what == "line"


@pytest.mark.broken_books
def test_the_audit_finds_two_lines_for_one_return(
    channel: BankChannel, row: Withdrawal, olive: Member
) -> None:
    pay(take(row, channel, olive), olive)
    rows = [f"R-{each},2026-11-26,98,Bank,1,W{row.pk}" for each in (1, 2)]
    accept(read_in(channel, *rows)[0], olive)
    assert not audit.bank_unlike_states()
    BankLine.objects.update(state="settled")
    ((what, *_),) = audit.bank_unlike_states()
    assert what == "returns"


@pytest.mark.broken_books
def test_the_audit_finds_what_was_taken_back_from_somebody_else(
    channel: BankChannel, alice: Member, bob: Member, olive: Member
) -> None:
    line = accept(credit(channel, alice, "100", "1"), olive)
    fund(bob, f"100 {MONEY}")
    cause = f"bank_line:{line.pk}:reversed"
    with transaction():
        theirs = ledger.account_of(member_id=bob.pk, currency=MONEY)
        ends = (theirs, "a", ledger.house(House.BANK, MONEY), "a")
        move = ledger.Move(*ends, line.amount, "deposit_reversed", cause)
        ledger.post_once(cause, [move], at=timezone.now())
    BankLine.objects.filter(pk=line.pk).update(state="reversed")
    ((what, *_),) = audit.bank_unlike_states()
    assert what == "entry"
