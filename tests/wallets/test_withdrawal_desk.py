"""What a reviewer reads beside a withdrawal, and who may not approve it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from accounts.models.sign_ins import SignIn
from accounts.roles import Role
from exchange.lib import audit
from tests.makers import make_member
from tests.wallets.cashier import Cashier, practice_cashier
from tests.wallets.test_payout_desk import act, hired, page
from wallets import withdrawals
from wallets.models.withdrawals import Withdrawal

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def cashier(db: None) -> Cashier:
    return practice_cashier()


@pytest.fixture
def waiting(cashier: Cashier, alice: Member) -> Withdrawal:
    """Have a withdrawal in review, to where Alice was paid before, and Mallory, too."""
    cashier.deposit(alice, "9")
    to = cashier.world.outside_address()
    cashier.approved(alice, "0.25", to=to)
    cashier.finish()
    mallory = make_member("mallory")
    cashier.credit(mallory, Decimal(3))
    cashier.fill("3")
    cashier.approved(mallory, "1", to=to)
    row = cashier.approved(alice, "1.5", to=to)
    Withdrawal.objects.filter(pk=row.pk).update(
        state="review", doubts=["large", "new_device"]
    )
    row.refresh_from_db()
    now = timezone.now()
    for device, outcome in (("a", "admitted"), ("b", "wrong_password")):
        SignIn.objects.create(
            member=alice, outcome=outcome, device=device, user_agent=BROWSER, at=now
        )
    return row


def shown(browser: Client, row: Withdrawal) -> str:
    text = browser.get(page(Withdrawal, "change", row.pk)).content.decode()
    return " ".join(text.split())


@pytest.mark.promise("A-8")
def test_a_reviewer_reads_who_asks_and_what_was_before(
    waiting: Withdrawal, olive: Member
) -> None:
    text = shown(hired(olive, Role.RISK), waiting)
    for each in (
        "Level 0, may withdraw",
        "Has 7.248 BTC available and 1.501 locked.",
        "Withdrawals: 1, together 0.251.",
        "Paid 1 times, together 0.25, first on",
        "Other members who are paid there: 1.",
        "with Firefox on Linux",
        "In 7 days: 1 devices, 1 wrong attempts.",
        "It was asked for in a browser that is new to the account.",
    ):
        assert each in text


@pytest.mark.promise("S-79")
def test_what_one_may_not_see_elsewhere_is_not_seen_here(
    waiting: Withdrawal, bob: Member
) -> None:
    text = shown(hired(bob, Role.FINANCE), waiting)
    assert "Has 7.248 BTC available" in text
    assert "Firefox" not in text


def approve(row: Withdrawal, operator: Member) -> Withdrawal:
    return withdrawals.approve(
        withdrawal=row, operator=operator, note="", now=timezone.now()
    )


@pytest.mark.promise("S-37")
def test_who_moved_the_members_level_does_not_approve(
    waiting: Withdrawal, alice: Member, olive: Member, bob: Member
) -> None:
    subject = f"member:{alice.pk}"
    by = f"operator:{olive.pk}"
    audit.record(by, "identity_level_moved", f"member:{bob.pk}", before=0, after=2)
    assert approve(waiting, olive).approvals.count() == 1
    audit.record(by, "identity_level_moved", subject, before=0, after=2)
    with pytest.raises(withdrawals.OwnLimits):
        approve(waiting, olive)
    desk = hired(olive, Role.RISK)
    assert act(desk, Withdrawal, "approve", waiting, "x") == 302
    waiting.refresh_from_db()
    assert waiting.approvals.count() == 1


@pytest.mark.promise("S-37")
def test_who_edited_the_limits_lately_does_not_approve(
    waiting: Withdrawal, alice: Member, olive: Member, desk: Client
) -> None:
    """By the operators' own forms, so that the words of the trail are those."""
    level = IdentityLevel.objects.get(pk=alice.identity_level)
    form = {"currency": level.currency, "withdrawal_24h": "7", "withdrawal_30d": "8"}
    path = reverse("admin:accounts_identitylevel_change", args=[level.pk])
    assert desk.post(path, form).status_code == 302
    with pytest.raises(withdrawals.OwnLimits):
        approve(waiting, olive)
    later = timezone.now() + timedelta(days=31)
    withdrawals.approve(withdrawal=waiting, operator=olive, note="", now=later)

    other = make_member("frank", is_operator=True)
    by = f"operator:{other.pk}"
    subject = f"rules:{waiting.currency_id}"
    audit.record(by, "edited", subject, after={"explorer": "x"})
    assert not audit.has_done(by, "edited", [subject], touching="automatic_up_to")
    audit.record(by, "edited", subject, after={"automatic_up_to": "9"})
    with pytest.raises(withdrawals.OwnLimits):
        approve(waiting, other)
