"""
Money that comes and leaves by bank: where it is paid to, by which code we know whose it
is, what the bank says came and went, and which withdrawals are in its hands.

A line of a statement is what the bank says, and is never edited; only its state and
what we hold it for change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, ScaleAtMost, sound_amount
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Withdrawal


class BankChannel(models.Model):
    """An account of ours at a bank, and how its statements look as CSV."""

    class Delimiter(models.TextChoices):
        COMMA = ",", _("comma")
        SEMICOLON = ";", _("semicolon")
        TAB = "\t", _("tab")
        BAR = "|", _("bar")

    class DateFormat(models.TextChoices):
        ISO = "%Y-%m-%d", "2026-11-25"
        POINTS = "%d.%m.%Y", "25.11.2026"
        DAY_FIRST = "%d/%m/%Y", "25/11/2026"
        MONTH_FIRST = "%m/%d/%Y", "11/25/2026"
        DIGITS = "%Y%m%d", "20261125"

    class DecimalMark(models.TextChoices):
        POINT = ".", _("point")
        COMMA = ",", _("comma")

    currency = models.ForeignKey(
        Currency,
        on_delete=models.PROTECT,
        related_name="+",
        limit_choices_to={"kind": Currency.Kind.FIAT},
    )
    name = models.CharField(max_length=40, unique=True)
    holder = models.CharField(max_length=80, help_text=_("To whom members pay."))
    account = models.CharField(max_length=64, help_text=_("The account number."))
    bank = models.CharField(max_length=80)
    note = models.CharField(
        max_length=200, blank=True, help_text=_("What members read beside it.")
    )
    takes_deposits = models.BooleanField(default=True)
    pays_withdrawals = models.BooleanField(default=True)
    deposit_min = AmountField(
        default=0, help_text=_("What is less waits for an operator's word.")
    )
    is_practice = models.BooleanField(
        default=False, help_text=_("There is no such account: members are told so.")
    )
    # Which column of a statement holds what; the first three must be there.
    column_bank_id = models.CharField(max_length=60, default="id")
    column_date = models.CharField(max_length=60, default="date")
    column_amount = models.CharField(max_length=60, default="amount")
    column_payer = models.CharField(max_length=60, blank=True, default="payer")
    column_payer_account = models.CharField(
        max_length=60, blank=True, default="account"
    )
    column_text = models.CharField(max_length=60, blank=True, default="text")
    delimiter = models.CharField(
        max_length=1, choices=Delimiter, default=Delimiter.COMMA
    )
    date_format = models.CharField(
        max_length=10, choices=DateFormat, default=DateFormat.ISO
    )
    decimal_mark = models.CharField(
        max_length=1, choices=DecimalMark, default=DecimalMark.POINT
    )

    class Meta:
        verbose_name = _("bank channel")
        verbose_name_plural = _("bank channels")
        constraints = [
            sound_amount("deposit_min", "bank_deposit_min_sound", zero_allowed=True)
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency_id})"


class BankReference(models.Model):
    """The code by which a channel knows a member; for ever."""

    append_only = True

    channel = models.ForeignKey(
        BankChannel, on_delete=models.PROTECT, related_name="references"
    )
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="bank_references",
    )
    # Without the hyphens it is shown with.
    code = models.CharField(max_length=10, unique=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("bank reference")
        verbose_name_plural = _("bank references")
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "member"], name="one_bank_reference_per_channel"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code[:2]}-{self.code[2:6]}-{self.code[6:]}"


class BankStatement(models.Model):
    """A file of the bank's that was read in, once."""

    append_only = True

    channel = models.ForeignKey(
        BankChannel, on_delete=models.PROTECT, related_name="statements"
    )
    sha256 = models.CharField(max_length=64)
    imported_by = models.CharField(max_length=64)
    imported_at = models.DateTimeField()
    added = models.PositiveIntegerField()
    known = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("bank statement")
        verbose_name_plural = _("bank statements")
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "sha256"], name="a_statement_is_read_once"
            )
        ]

    def __str__(self) -> str:
        return f"bank statement {self.pk}"


class BankTransfer(models.Model):
    """
    A withdrawal in the hands of the bank. One that came back before it was booked may
    be taken in hand again, by a new row.
    """

    class State(models.TextChoices):
        TAKEN = "taken", _("in hand")
        PAID = "paid", _("paid")
        RETURNED = "returned", _("sent back by the bank")

    withdrawal = models.ForeignKey(
        Withdrawal, on_delete=models.PROTECT, related_name="transfers"
    )
    channel = models.ForeignKey(
        BankChannel, on_delete=models.PROTECT, related_name="transfers"
    )
    state = FSMField(default=State.TAKEN, choices=State.choices)
    taken_by = models.CharField(max_length=64)
    taken_at = models.DateTimeField()
    bank_txid = models.CharField(max_length=64, null=True)
    paid_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("bank transfer")
        verbose_name_plural = _("bank transfers")
        permissions = [("pay_by_bank", "Can pay withdrawals by bank")]
        constraints = [
            models.UniqueConstraint(
                fields=["withdrawal"],
                condition=~models.Q(state="returned"),
                name="a_withdrawal_is_in_one_transfer",
            ),
            models.UniqueConstraint(
                fields=["channel", "bank_txid"], name="a_bank_number_pays_once"
            ),
            models.CheckConstraint(
                condition=models.Q(bank_txid__isnull=True, paid_at__isnull=True)
                | models.Q(bank_txid__isnull=False, paid_at__isnull=False),
                name="paid_transfers_have_a_number",
            ),
            models.CheckConstraint(
                condition=models.Q(state="taken", paid_at__isnull=True)
                | models.Q(state="paid", paid_at__isnull=False)
                | models.Q(state="returned"),
                name="transfers_say_when_they_were_paid",
            ),
        ]

    def __str__(self) -> str:
        return f"W{self.withdrawal_id}"

    @transition(field=state, source=State.TAKEN, target=State.PAID)
    def pay(self, *, bank_txid: str, at: str, **_facts: Any) -> None:
        self.bank_txid, self.paid_at = bank_txid, datetime.fromisoformat(at)

    @transition(field=state, source=[State.TAKEN, State.PAID], target=State.RETURNED)
    def come_back(self, **_facts: Any) -> None:
        pass


class BankLine(models.Model):
    """
    One booking on an account of ours, as the bank tells it; money that left is below
    zero.

    member      whose deposit we hold it for
    transfer    the withdrawal we hold it for
    suggestion  somebody whose account it came from; only a hint
    doubts      why it is not accepted like the others: codes of wallets.bank.lines
    """

    class State(models.TextChoices):
        NEW = "new", _("not matched")
        MATCHED = "matched", _("being checked")
        CREDITED = "credited", _("credited")
        SETTLED = "settled", _("settled")
        RETURNED = "returned", _("sent back")
        IGNORED = "ignored", _("ignored")
        REVERSED = "reversed", _("taken back by the bank")

    channel = models.ForeignKey(
        BankChannel, on_delete=models.PROTECT, related_name="lines"
    )
    # None where somebody wrote it down by hand.
    statement = models.ForeignKey(
        BankStatement, on_delete=models.PROTECT, related_name="lines", null=True
    )
    entered_by = models.CharField(max_length=64)
    bank_txid = models.CharField(max_length=64)
    booked_on = models.DateField()
    amount = AmountField()
    payer = models.CharField(max_length=140, blank=True)
    payer_account = models.CharField(max_length=64, blank=True)
    text = models.CharField(max_length=1000, blank=True)
    state = FSMField(default=State.NEW, choices=State.choices)
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="bank_lines",
        null=True,
    )
    transfer = models.ForeignKey(
        BankTransfer, on_delete=models.PROTECT, related_name="lines", null=True
    )
    suggestion = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    doubts = models.JSONField(default=list)
    matched_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    credited_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("bank line")
        verbose_name_plural = _("bank lines")
        permissions = [("accept_bank_line", "Can decide about lines of statements")]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "bank_txid"], name="a_bank_line_is_written_once"
            ),
            models.CheckConstraint(
                # NaN sorts above every number.
                condition=models.Q(amount__gt=-(10**30), amount__lt=10**30)
                & ~models.Q(amount=0)
                & models.Q(ScaleAtMost("amount")),
                name="a_bank_line_moves_something",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["credited", "reversed"])
                | models.Q(
                    amount__gt=0,
                    member__isnull=False,
                    credited_at__isnull=False,
                ),
                name="credited_bank_lines_say_whose",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="settled") | models.Q(transfer__isnull=False),
                name="settled_bank_lines_say_what",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-id"], name="bank_lines_by_member"),
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["new", "matched"]),
                name="bank_lines_to_decide",
            ),
        ]

    def __str__(self) -> str:
        return f"bank line {self.pk}: {self.amount} {self.channel.currency_id}"

    @transition(field=state, source=State.MATCHED, target=State.CREDITED)
    def credit(self, *, at: str, **_facts: Any) -> None:
        self.credited_at = datetime.fromisoformat(at)

    @transition(field=state, source=State.MATCHED, target=State.SETTLED)
    def settle(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=[State.NEW, State.MATCHED], target=State.RETURNED)
    def send_back(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=[State.NEW, State.MATCHED], target=State.IGNORED)
    def ignore(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.CREDITED, target=State.REVERSED)
    def reverse(self, **_facts: Any) -> None:
        pass


class BankWithdrawal(Withdrawal):
    """Withdrawals of money that are approved, for the operators' list of them."""

    class Meta:
        proxy = True
        verbose_name = _("withdrawal by bank")
        verbose_name_plural = _("withdrawals by bank")
