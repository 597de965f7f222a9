"""What members and operators see of bank money, and what operators may do."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts import members, roles
from accounts.models.members import Member
from accounts.roles import Role
from exchange.lib.models import AuditRecord
from exchange.lib.templatetags.figures import amount
from tests.makers import Answer, make_member, prove
from tests.wallets.tellers import (
    accept,
    approved,
    code_of,
    make_channel,
    pay,
    purse,
    read_in,
    statement,
    take,
)
from wallets.bank import codes, statements
from wallets.models.bank import (
    BankChannel,
    BankLine,
    BankReference,
    BankTransfer,
    BankWithdrawal,
)
from wallets.models.withdrawals import Withdrawal

IMPORT = "/admin/wallets/bankline/import/"
ENTER = "/admin/wallets/bankline/enter/"


@pytest.fixture
def channel(db: None) -> BankChannel:
    return make_channel(note="Ask us.", deposit_min=10)


@pytest.fixture
def browser(alice: Member) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def finance(db: None) -> Client:
    return hired("fiona", Role.FINANCE)


def hired(name: str, role: Role) -> Client:
    member = make_member(name)
    roles.grant(member=member, role=role, by="operator:0", reason="a test")
    client = Client()
    client.force_login(member)
    prove(client, member)
    return client


def text(answer: Answer) -> str:
    return " ".join(answer.content.decode().split())


def act(browser: Client, action: str, row: Any, **form: Any) -> Answer:
    sent = {"action": action, "_selected_action": [row.pk], "reason": "a test", **form}
    name = row._meta.model_name
    return browser.post(reverse(f"admin:wallets_{name}_changelist"), sent)


def offer(browser: Client, channel: BankChannel, content: bytes) -> str:
    file = SimpleUploadedFile("a.csv", content)
    return text(browser.post(IMPORT, {"channel": channel.pk, "file": file}))


# --- Members -------------------------------------------------------------------------


def test_a_member_reads_where_to_pay_to_and_with_which_code(
    channel: BankChannel, browser: Client, alice: Member, olive: Member
) -> None:
    page = text(browser.get("/funds/deposit/cny"))
    code = code_of(alice, channel)
    assert codes.is_sound(code.replace("-", ""))
    for words in (
        *(f'data-copy="{code}"', 'data-copy="123-456"', "Pixiu Ltd", "Town Bank"),
        *("Write this code into the text", "10 CNY", "Ask us.", "Nothing has come yet"),
    ):
        assert words in page, words
    accept(pay(channel, alice, "1250.50", "B-7"), olive)
    page = text(browser.get("/funds/deposit/cny"))
    assert f"{amount(Decimal('1250.50'))} CNY" in page
    assert "credited" in page
    assert BankReference.objects.filter(channel=channel).count() == 1


def test_money_can_be_deposited_from_every_page_of_funds(
    channel: BankChannel, browser: Client
) -> None:
    assert 'href="/funds/deposit/cny"' in text(browser.get("/funds"))
    assert 'href="/funds/deposit/cny"' in text(browser.get("/funds/deposit/ltc"))


def test_without_a_channel_the_page_says_so(browser: Client, alice: Member) -> None:
    BankChannel.objects.all().delete()
    assert "paused" in text(browser.get("/funds/deposit/cny"))
    make_channel(takes_deposits=False)
    assert "paused" in text(browser.get("/funds/deposit/cny"))
    make_channel(takes_deposits=True)
    members.freeze(member=alice, by="operator:1", reason="a test")
    assert "Town Bank" not in text(browser.get("/funds/deposit/cny"))
    assert not BankReference.objects.exists()


def test_a_withdrawal_by_bank_shows_its_own_way(
    channel: BankChannel, browser: Client, alice: Member, olive: Member
) -> None:
    approved(alice, olive)
    page = text(browser.get("/funds/withdraw/cny"))
    assert "being prepared" in page
    assert "signed" not in page
    assert "Cancel it" in page


def test_the_practice_channel_says_what_it_is(
    browser: Client, settings: Any, db: None
) -> None:
    settings.DEMO = True
    for _again in range(2):
        call_command("seed", verbosity=0)
    assert BankChannel.objects.filter(is_practice=True).count() == 2
    page = text(browser.get("/funds/deposit/usd"))
    assert "Never send real money there" in page


@pytest.mark.django_db
def test_there_is_no_practice_channel_where_money_is_real(settings: Any) -> None:
    BankChannel.objects.all().delete()
    settings.DEMO = False
    call_command("seed", verbosity=0)
    assert not BankChannel.objects.exists()


# --- Operators -----------------------------------------------------------------------


def test_a_statement_is_looked_at_before_it_is_read_in(
    channel: BankChannel, finance: Client, alice: Member
) -> None:
    content = "\ufeff".encode() + statement(
        f"1,2026-11-24,100,<b>Bob</b>,99,{code_of(alice, channel)}",
        "2,2026-11-24,-5,Bank,,=1+1",
    )
    page = offer(finance, channel, content)
    for words in ("2 new lines", "1 of them matched", "&lt;b&gt;Bob", "Read it in"):
        assert words in page, words
    assert not BankLine.objects.exists()
    packed = page.split('name="seen" value="')[1].split('"')[0]
    answer = finance.post(IMPORT, {"seen": packed}, follow=True)
    assert "2 new lines, 0 known ones" in text(answer)
    answer = finance.post(IMPORT, {"seen": packed}, follow=True)
    assert "was read in before" in text(answer)
    assert "was read in before" in offer(finance, channel, content)
    assert BankLine.objects.count() == 2
    stranger = hired("felix", Role.FINANCE)
    assert stranger.post(IMPORT, {"seen": packed}).status_code == 403
    assert finance.post(IMPORT, {"seen": packed + "x"}).status_code == 403


def test_a_bad_line_is_named_and_nothing_read_in(
    channel: BankChannel, finance: Client
) -> None:
    page = offer(finance, channel, statement('1,2026-11-24,"1,000",Bob,99,a'))
    assert "Line 2: This is no plain amount: 1,000" in page
    assert "Read it in" not in page
    assert "not UTF-8" in offer(finance, channel, b"\xff")


def test_a_line_is_written_down_and_booked_by_two(
    channel: BankChannel, finance: Client, alice: Member
) -> None:
    form = {
        "channel": channel.pk,
        "bank_txid": "H-1",
        "booked_on": "2026-11-24",
        "amount": "20",
        "text": code_of(alice, channel),
    }
    assert finance.post(ENTER, form | {"amount": "1e1"}).status_code == 400
    assert finance.post(ENTER, form).status_code == 302
    assert "is there already" in text(finance.post(ENTER, form))
    line = BankLine.objects.get()
    act(finance, "accept", line)
    assert purse(alice) == (0, 0)
    act(hired("felix", Role.FINANCE), "accept", line)
    assert purse(alice) == (20, 0)
    act(finance, "undo", line)
    assert purse(alice) == (0, 0)


def test_a_line_of_nobody_is_assigned(
    channel: BankChannel, finance: Client, alice: Member
) -> None:
    line, other = read_in(
        channel, "1,2026-11-24,50,Al,99,oh", "2,2026-11-24,50,Al,99,oh"
    )
    act(finance, "assign", line, email=alice.email)
    assert BankLine.objects.get(pk=line.pk).member == alice
    act(finance, "send_back", line)
    act(finance, "ignore", other)
    states = list(BankLine.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["returned", "ignored"]


def test_a_withdrawal_is_taken_exported_and_paid(
    channel: BankChannel, finance: Client, alice: Member, olive: Member
) -> None:
    row = approved(alice, olive)
    assert "Withdrawals to pay by bank" in text(finance.get("/admin/"))
    proxy = BankWithdrawal.objects.get(pk=row.pk)
    page = act(finance, "take", proxy, channel="", reason="")
    assert page.status_code == 200
    act(finance, "take", proxy, channel=channel.pk)
    transfer = BankTransfer.objects.get()
    answer = act(finance, "for_the_bank", transfer)
    assert answer["Content-Type"].startswith("text/csv")
    assert f"W{row.pk},98.0,CNY" in answer.content.decode()
    assert AuditRecord.objects.filter(action="transfers_exported").exists()
    act(finance, "paid", transfer, bank_txid="N-9")
    assert Withdrawal.objects.get(pk=row.pk).txid == "N-9"
    act(finance, "sent_back", transfer)
    assert purse(alice) == (0, 0)


def test_what_a_frozen_member_asked_for_is_not_given_to_the_bank(
    channel: BankChannel, finance: Client, alice: Member, olive: Member
) -> None:
    row = approved(alice, olive)
    transfer = take(row, channel, olive)
    members.freeze(member=alice, by="operator:1", reason="a test")
    answer = act(finance, "for_the_bank", transfer)
    assert f"W{row.pk}" not in answer.content.decode()
    transfers = reverse("admin:wallets_banktransfer_changelist")
    assert f"W{row.pk}: Its owner is frozen" in text(finance.get(transfers))
    members.thaw(member=alice, by="operator:1", reason="a test")
    assert f"W{row.pk}" in act(finance, "for_the_bank", transfer).content.decode()


@pytest.mark.promise("S-79")
def test_support_decides_nothing_about_bank_money(
    channel: BankChannel, alice: Member
) -> None:
    line = pay(channel, alice, "100", "1")
    for role in (Role.SUPPORT, Role.RISK, Role.ENGINEER, Role.AUDITOR):
        browser = hired(f"r{role}", role)
        assert browser.get(IMPORT).status_code == 403
        assert browser.get(ENTER).status_code == 403
        assert act(browser, "accept", line).status_code == 403
    assert purse(alice) == (0, 0)


def test_a_channel_is_changed_on_the_record(
    channel: BankChannel, finance: Client
) -> None:
    path = reverse("admin:wallets_bankchannel_change", args=[channel.pk])
    assert finance.get(path).status_code == 200
    assert finance.get(reverse("admin:wallets_bankchannel_add")).status_code == 403
    engineer = hired("emil", Role.ENGINEER)
    assert engineer.get(reverse("admin:wallets_bankchannel_add")).status_code == 200


@pytest.mark.parametrize("sign", ["x", "random", "书"])
def test_the_largest_file_can_be_looked_at_and_read_in(
    channel: BankChannel, finance: Client, sign: str
) -> None:
    numbers = Random(7)
    signs = {
        "random": "abcdefghijklmnopqrstuvwxyz0123456789",
        "书": [chr(number) for number in range(0x4E00, 0x9F00)],
    }.get(sign, sign)
    rows: list[str] = []
    while len(statement(*rows)) < statements.BYTES_MAX - 3_200:
        words = "".join(numbers.choice(signs) for _ in range(900))
        rows.append(f"{len(rows)},2026-11-24,1,Bob,99,{words}")
    page = offer(finance, channel, statement(*rows))
    packed = page.split('name="seen" value="')[1].split('"')[0]
    answer = finance.post(IMPORT, {"seen": packed})
    assert answer.status_code == 302
    assert BankLine.objects.count() == len(rows)
