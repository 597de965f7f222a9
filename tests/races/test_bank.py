"""One line of a bank's, one transfer, and several operators at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone

from accounts.models.members import Member
from exchange.lib.models import Mail
from exchange.lib.transactions import transaction
from tests.makers import make_member
from tests.races.crowd import at_once
from tests.wallets.tellers import (
    MONEY,
    accept,
    approved,
    make_channel,
    pay,
    purse,
    read_in,
    take,
)
from wallets import ledger, queries, withdrawals
from wallets.bank import lines, transfers
from wallets.ledger import AVAILABLE, House, Move
from wallets.models.bank import BankChannel, BankLine, BankReference, BankTransfer
from wallets.models.withdrawals import Withdrawal

pytestmark = pytest.mark.races

THREADS = 8


@pytest.fixture
def channel(db: None) -> BankChannel:
    return make_channel()


@pytest.fixture
def operators(db: None) -> list[Member]:
    return [make_member(f"o{each}", is_operator=True) for each in range(THREADS)]


@pytest.mark.broken_books
def test_a_line_that_is_only_looked_at_is_credited_by_each(
    channel: BankChannel, alice: Member
) -> None:
    """The control: if nobody credits twice here, the test below proves nothing."""
    row = pay(channel, alice, "100", "B-1")
    everybody_has_read = Barrier(4, timeout=30)

    def accept_naively() -> None:
        line = BankLine.objects.get(pk=row.pk)
        everybody_has_read.wait()
        if line.state != "matched":
            return
        bank = ledger.house(House.BANK, MONEY)
        owner = ledger.account_of(member_id=alice.pk, currency=MONEY)
        ends = (bank, AVAILABLE, owner, AVAILABLE)
        with transaction():
            move = Move(*ends, line.amount, "deposit", f"bank_line:{line.pk}")
            ledger.post([move], at=timezone.now())
            BankLine.objects.filter(pk=row.pk).update(
                state="credited", credited_at=timezone.now()
            )

    at_once(*[accept_naively] * 4)
    assert purse(alice) == (400, 0)


@pytest.mark.promise("I-12")
def test_operators_at_once_credit_a_line_once(
    channel: BankChannel, alice: Member, operators: list[Member]
) -> None:
    row = pay(channel, alice, "100", "B-1")
    told = Mail.objects.count()
    results = at_once(*[partial(accept, row, each) for each in operators])
    assert {str(getattr(each, "state", each)) for each in results} == {"credited"}
    assert purse(alice) == (100, 0)
    assert Mail.objects.count() == told + 1


def test_a_line_is_credited_or_sent_back_never_both(
    channel: BankChannel, alice: Member, operators: list[Member]
) -> None:
    row = pay(channel, alice, "100", "B-1")
    at_once(
        *[partial(accept, row, each) for each in operators[:4]],
        *[
            partial(lines.send_back, line=row, operator=each, reason="a test")
            for each in operators[4:]
        ],
    )
    state = BankLine.objects.get().state
    assert (state, *purse(alice)) in {("credited", 100, 0), ("returned", 0, 0)}


def test_the_bank_takes_back_once(
    channel: BankChannel, alice: Member, operators: list[Member]
) -> None:
    row = accept(pay(channel, alice, "100", "B-1"), operators[0])
    now = timezone.now()
    undo = partial(lines.reverse, line=row, reason="a test", now=now)
    at_once(*[partial(undo, operator=each) for each in operators])
    assert purse(alice) == (0, 0)
    assert queries.house_balance(House.BANK, MONEY) == 0


def test_files_at_once_write_a_line_once(channel: BankChannel) -> None:
    texts = ["a", "b"] * 4
    rows = [f"1,2026-11-24,100,Bob,99,{text}" for text in texts]
    at_once(*[partial(read_in, channel, row) for row in rows])
    assert BankLine.objects.count() == 1


def test_a_member_has_one_code_per_channel(channel: BankChannel, alice: Member) -> None:
    now = timezone.now()
    ask = partial(lines.reference_for, member=alice, channel=channel, now=now)
    assert len({str(code) for code in at_once(*[ask] * THREADS)}) == 1
    assert BankReference.objects.filter(channel=channel).count() == 1


@pytest.mark.promise("I-11")
def test_operators_and_a_statement_at_once_book_a_transfer_once(
    channel: BankChannel, alice: Member, olive: Member, operators: list[Member]
) -> None:
    withdrawal = approved(alice, olive)
    transfer = take(withdrawal, channel, olive)
    (line,) = read_in(channel, f"N-1,2026-11-25,-98,Alice,1,W{withdrawal.pk}")
    book = partial(
        transfers.paid, transfer=transfer, bank_txid="N-1", now=timezone.now()
    )
    at_once(
        *[partial(book, operator=each) for each in operators[:4]],
        *[partial(accept, line, each) for each in operators[4:]],
    )
    assert purse(alice) == (0, 0)
    assert queries.house_balance(House.BANK, MONEY) == 98


def test_a_withdrawal_is_cancelled_or_taken_never_both(
    channel: BankChannel, alice: Member, olive: Member
) -> None:
    row = approved(alice, olive)
    now = timezone.now()
    cancel = partial(withdrawals.cancel, withdrawal=row, by="member:1", now=now)
    deeds: list[Callable[[], Any]] = [cancel, partial(take, row, channel, olive)]
    at_once(*deeds * 3)
    is_taken = BankTransfer.objects.exists()
    state = Withdrawal.objects.get(pk=row.pk).state
    assert state == ("building" if is_taken else "cancelled")
    assert purse(alice) == ((0, 100) if is_taken else (100, 0))
