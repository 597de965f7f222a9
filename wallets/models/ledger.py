"""
The books: accounts, balances and entries.

One entry moves a positive amount of one currency from one pocket to another; a pocket
is (account, available | locked). So an unbalanced entry cannot be written, and the sum
over all accounts of a currency is zero at every instant. Nobody but wallets.ledger
writes here.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency

# Entries are the hottest table. A foreign key would lock two account rows for every
# entry (ten a trade); accounts are never deleted, only wallets.ledger writes entries,
# and the audit checks that every entry's accounts exist.
_UNKEYED: dict[str, Any] = {"db_constraint": False, "db_index": False}


class House(models.TextChoices):
    """
    The chart of accounts: the house's own, one of each per currency.

    Custody accounts (hot, warm, cold, bank) mirror what we hold outside: their balance
    is *minus* the holding.
    """

    HOT = "hot", "Custody: hot wallet (minus the holding)"
    WARM = "warm", "Custody: warm wallet (minus the holding)"
    COLD = "cold", "Custody: cold storage (minus the holding)"
    BANK = "bank", "Custody: bank (minus the holding)"
    FEES = "fees", "Income: trading and withdrawal fees"
    NETWORK_FEES = "network_fees", "Expense: miners' fees"
    LOSSES = "losses", "Expense: reversed deposits we could not take back"
    IN_TRANSIT = "in_transit", "Clearing: withdrawals signed, not yet confirmed"
    SUSPENSE = "suspense", "Clearing: deposits of unknown owners"
    ADJUSTMENTS = "adjustments", "Equity: corrections, approved by two operators"
    GRANTS = "grants", "Equity: demo money; unused in production"


class Reason(models.TextChoices):
    """Why an amount moved. Words, not numbers: people read them for years."""

    ORDER_PLACED = "order_placed"
    ORDER_CLOSED = "order_closed"
    TRADE = "trade"
    FEE = "fee"
    PRICE_IMPROVEMENT = "price_improvement"
    GRANT = "grant"
    ADJUSTMENT = "adjustment"
    TRANSFER = "transfer"
    DEPOSIT = "deposit"
    DEPOSIT_REVERSED = "deposit_reversed"
    DEPOSIT_LOST = "deposit_lost"  # of what was reversed, what was no longer there
    DEPOSIT_CLAIMED = "deposit_claimed"  # from suspense to the member it belongs to
    WITHDRAWAL_PLACED = "withdrawal_placed"
    WITHDRAWAL_CLOSED = "withdrawal_closed"  # cancelled or refused
    WITHDRAWAL_SIGNED = "withdrawal_signed"
    WITHDRAWAL_FEE = "withdrawal_fee"
    WITHDRAWAL_SENT = "withdrawal_sent"  # confirmed: it has left
    # Signed, and never confirmed: another payment has spent its coins.
    WITHDRAWAL_RETURNED = "withdrawal_returned"
    FEE_RETURNED = "fee_returned"
    NETWORK_FEE = "network_fee"
    SWEEP = "sweep"  # between our own wallets


class Pocket(models.TextChoices):
    AVAILABLE = "a", "available"
    LOCKED = "l", "locked"


class Account(models.Model):
    """Where one currency of one member, or of one purpose of the house, is kept."""

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="accounts",
        null=True,
        blank=True,
    )
    house = models.CharField(max_length=16, choices=House, null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(member__isnull=True) ^ Q(house__isnull=True),
                name="account_is_a_members_or_the_houses",
            ),
            models.UniqueConstraint(
                fields=["member", "currency"],
                name="one_account_per_member_and_currency",
            ),
            models.UniqueConstraint(
                fields=["house", "currency"], name="one_house_account_per_purpose"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.house or f'member {self.member_id}'} {self.currency_id}"


class Balance(models.Model):
    """
    What a member has, as the sum of their entries. House accounts have no balance row,
    so that markets never queue on one.
    """

    account = models.OneToOneField(
        Account, on_delete=models.PROTECT, primary_key=True, related_name="balance"
    )
    available = AmountField(default=0)
    locked = AmountField(default=0)

    class Meta:
        constraints = [
            sound_amount("available", "available_is_never_negative", zero_allowed=True),
            sound_amount("locked", "locked_is_never_negative", zero_allowed=True),
        ]

    def __str__(self) -> str:
        return f"account {self.account_id}: {self.available} + {self.locked} locked"


class Posting(models.Model):
    """
    A cause that was written into the books, once: "deposit:7:1". Its entries name the
    same cause as their reference. Append-only.

    A table of its own, because a unique index over entries would be in the way of
    partitions. Orders and trades need none: settlement moves on by compare-and-set.
    """

    append_only = True

    cause = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.cause


class Entry(models.Model):
    """
    An amount that moved from one pocket to another. Append-only.

    The entries with one cause (reason, reference) are a posting.
    """

    append_only = True

    at = models.DateTimeField()
    amount = AmountField()
    source = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    source_pocket = models.CharField(max_length=1, choices=Pocket)
    target = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    target_pocket = models.CharField(max_length=1, choices=Pocket)
    reason = models.CharField(max_length=20, choices=Reason)
    # What caused it: "order:7", "trade:9", "grant:…". By text, never by key.
    reference = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            sound_amount("amount", "entry_amount_is_positive"),
            models.CheckConstraint(
                condition=~(
                    Q(source=F("target")) & Q(source_pocket=F("target_pocket"))
                ),
                name="entry_goes_somewhere_else",
            ),
        ]
        indexes = [
            models.Index(fields=["source", "id"], name="entries_out"),
            models.Index(fields=["target", "id"], name="entries_in"),
        ]

    def __str__(self) -> str:
        return f"entry {self.pk}: {self.amount} for {self.reason} {self.reference}"
