"""A bank for tests: a channel, its statements, and members who use it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts import identity, proofs
from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib.transactions import transaction
from tests.accounts.mailbox import token
from tests.makers import fund
from wallets import beneficiaries, queries, withdrawals
from wallets.bank import lines, transfers
from wallets.bank.statements import Line
from wallets.models.bank import BankChannel, BankLine, BankTransfer
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import Source

MONEY = "cny"
HEAD = "id,date,amount,payer,account,text\n"
IBAN = "DE89 3704 0044 0532 0130 00"


def make_channel(**terms: Any) -> BankChannel:
    wanted = {"holder": "Pixiu Ltd", "account": "123-456", "bank": "Town Bank"} | terms
    row, _is_new = BankChannel.objects.update_or_create(
        currency_id=MONEY, name="town", defaults=wanted
    )
    return row


def code_of(member: Member, channel: BankChannel) -> str:
    row = lines.reference_for(member=member, channel=channel, now=timezone.now())
    return str(row)


def statement(*rows: str) -> bytes:
    """Return a file: statement("1,2026-11-24,100,Bob,99,hello")."""
    return (HEAD + "\n".join(rows)).encode()


def read_in(channel: BankChannel, *rows: str) -> list[BankLine]:
    """Read a file in, as an operator who is nobody else here."""
    content = statement(*rows)
    lines.read_in(channel=channel, content=content, by="operator:0", now=timezone.now())
    return list(channel.lines.order_by("pk"))


def pay(channel: BankChannel, member: Member, amount: str, number: str) -> BankLine:
    """Let a statement say that a member has paid."""
    text = code_of(member, channel)
    rows = read_in(channel, f"{number},2026-11-24,{amount},Bob,99,{text}")
    return next(row for row in rows if row.bank_txid == number)


def enter(channel: BankChannel, by: Member, **terms: Any) -> BankLine:
    """Have an operator write a line down by hand."""
    wanted: dict[str, Any] = {
        "bank_txid": "hand-1",
        "booked_on": date(2026, 11, 24),
        "amount": Decimal(50),
    }
    line = Line(**wanted | terms)
    by_whom = f"operator:{by.pk}"
    return lines.enter(channel=channel, line=line, by=by_whom, now=timezone.now())


def accept(line: BankLine, operator: Member, **terms: Any) -> BankLine:
    return lines.accept(line=line, operator=operator, now=timezone.now(), **terms)


def purse(member: Member) -> tuple[Decimal | int, Decimal | int]:
    row = queries.balance(member.pk, MONEY)
    return row.available, row.locked


def book(member: Member, destination: str = IBAN) -> Beneficiary:
    """Have an account in the address book that is confirmed and rested."""
    row = beneficiaries.add(
        member=member,
        currency=Currency.objects.get(pk=MONEY),
        label="my account",
        destination=destination,
        bank="Village Bank",
        holder="Alice Example",
        now=timezone.now(),
    )
    return beneficiaries.confirm(token(member.email, "confirm"), row.pk)


def approved(member: Member, operator: Member, amount: str = "100") -> Withdrawal:
    """Have a withdrawal of money approved; the member is funded for it."""
    IdentityLevel.objects.update(withdrawal_24h=10**9, withdrawal_30d=10**9)
    fund(member, f"{amount} {MONEY}")
    now = timezone.now()
    with transaction():
        proof = proofs.record(
            member=member,
            session_key="a",
            purpose=Proof.Purpose.WITHDRAWAL,
            factor=Proof.Factor.TOTP,
            now=now,
        )
    mine = Beneficiary.objects.filter(member=member, currency=MONEY).order_by("pk")
    row = withdrawals.place(
        member=member,
        beneficiary=mine.first() or book(member),
        amount=Decimal(amount),
        source=Source(proof=proof),
        now=now,
    )
    if row.state == "review":
        row = withdrawals.approve(withdrawal=row, operator=operator, note="", now=now)
    return row


def take(row: Withdrawal, channel: BankChannel, operator: Member) -> BankTransfer:
    return transfers.take(
        withdrawal=row, channel=channel, operator=operator, now=timezone.now()
    )


def call(member: Member, name: str, monkeypatch: Any) -> None:
    """Let a member be verified under a name."""
    known = {member.pk: name}
    monkeypatch.setattr(
        identity, "verified_name", lambda somebody: known.get(somebody.pk)
    )
