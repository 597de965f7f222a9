"""
Withdrawals: what members want paid out, to whom, and by which transaction it was.

A withdrawal's way: review or approved → building → signed → broadcast → confirmed. Many
go out in one payout. Its signed bytes are here before the network sees them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class Beneficiary(models.Model):
    """
    An entry of a member's address book: a coin's address, or a bank account.

    It can be paid once its owner has confirmed it by mail and the cool-off is over.
    """

    class State(models.TextChoices):
        UNCONFIRMED = "unconfirmed", _("waits for the confirmation by mail")
        CONFIRMED = "confirmed", _("confirmed")
        REMOVED = "removed", _("removed")

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="beneficiaries",
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=40)
    # The address, or the number of the account.
    destination = models.CharField(max_length=128)
    # Of bank accounts only.
    bank = models.CharField(max_length=80, blank=True)
    holder = models.CharField(max_length=80, blank=True)
    state = FSMField(default=State.UNCONFIRMED, choices=State.choices)
    created_at = models.DateTimeField()
    # From when on it can be paid; set by the clock of the database.
    usable_from = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("beneficiary")
        verbose_name_plural = _("beneficiaries")
        constraints = [
            models.UniqueConstraint(
                fields=["member", "currency", "destination"],
                condition=~models.Q(state="removed"),
                name="one_beneficiary_per_destination",
            ),
            models.CheckConstraint(
                condition=models.Q(state="confirmed", usable_from__isnull=False)
                | ~models.Q(state="confirmed"),
                name="confirmed_beneficiaries_say_from_when",
            ),
        ]

    def __str__(self) -> str:
        return f"beneficiary {self.pk} of member {self.member_id}"

    @transition(field=state, source=State.UNCONFIRMED, target=State.CONFIRMED)
    def confirm(self, **_facts: Any) -> None:
        pass

    @transition(
        field=state, source=[State.UNCONFIRMED, State.CONFIRMED], target=State.REMOVED
    )
    def remove(self, **_facts: Any) -> None:
        pass


class Payout(models.Model):
    """
    One payment to the chain for one or many withdrawals.

    It has one transaction or, where fees were raised, several that all spend a common
    coin, so that one of them can be confirmed at most.
    """

    class State(models.TextChoices):
        BUILDING = "building", _("building")
        SIGNED = "signed", _("signed")
        BROADCAST = "broadcast", _("broadcast")
        CONFIRMED = "confirmed", _("confirmed")
        # Nothing was signed: its withdrawals wait again.
        GIVEN_UP = "given_up", _("given up")
        # Its coins went elsewhere for good: its withdrawals are with the reviewers.
        LOST = "lost", _("lost")

    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    state = FSMField(default=State.BUILDING, choices=State.choices)
    created_at = models.DateTimeField()
    # Raised by whoever takes the work over: who has an old one writes nothing.
    fence = models.PositiveIntegerField(default=0)
    # What an operator must look into; empty while all is well.
    problem = models.CharField(max_length=200, blank=True)
    # An operator wants it to be confirmed sooner.
    wants_higher_fee = models.BooleanField(default=False)
    # The miner's, of the transaction that was confirmed.
    fee = AmountField(null=True)

    class Meta:
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        permissions = [("return_payout", "Can give back what a lost payout owes")]
        indexes = [
            models.Index(
                fields=["currency"],
                condition=~models.Q(state__in=["confirmed", "given_up"]),
                name="payouts_under_way",
            )
        ]
        constraints = [
            sound_amount(
                "fee",
                "payouts_own_fee_is_sound",
                zero_allowed=True,
                null_allowed=True,
            ),
            models.CheckConstraint(
                condition=models.Q(state="confirmed", fee__isnull=False)
                | (~models.Q(state="confirmed") & models.Q(fee=None)),
                name="confirmed_payouts_say_the_fee",
            ),
        ]

    def __str__(self) -> str:
        return f"payout {self.pk}"

    @transition(field=state, source=State.BUILDING, target=State.SIGNED)
    def sign(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.BUILDING, target=State.GIVEN_UP)
    def give_up(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.SIGNED, target=State.BROADCAST)
    def send(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=[State.SIGNED, State.BROADCAST], target=State.LOST)
    def lose(self, **_facts: Any) -> None:
        self.problem = ""
        self.wants_higher_fee = False

    @transition(
        field=state, source=[State.SIGNED, State.BROADCAST], target=State.CONFIRMED
    )
    def confirm(self, *, fee: str, **_facts: Any) -> None:
        self.fee = Decimal(fee)
        self.problem = ""


class PayoutTransaction(models.Model):
    """
    A signed transaction: its bytes are kept before anybody else sees them. `paid` is
    what others get by it.
    """

    append_only = True

    payout = models.ForeignKey(
        Payout, on_delete=models.PROTECT, related_name="transactions"
    )
    txid = models.CharField(max_length=64, unique=True)
    raw = models.TextField()
    paid = AmountField()
    fee = AmountField()
    size = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("payout transaction")
        verbose_name_plural = _("payout transactions")
        constraints = [
            sound_amount("paid", "paid_out_is_positive"),
            sound_amount("fee", "payout_fee_is_sound", zero_allowed=True),
        ]

    def __str__(self) -> str:
        return self.txid


class SpentCoin(models.Model):
    """
    A coin that a payout spends, or a move between our own wallets: ours to know, since
    nodes forget their locks.
    """

    append_only = True

    payout = models.ForeignKey(
        Payout, on_delete=models.PROTECT, related_name="coins", null=True
    )
    treasury_move = models.ForeignKey(
        "wallets.TreasuryMove",
        on_delete=models.PROTECT,
        related_name="coins",
        null=True,
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount = AmountField()

    class Meta:
        verbose_name = _("spent coin")
        verbose_name_plural = _("spent coins")
        constraints = [
            sound_amount("amount", "spent_coin_is_positive"),
            models.UniqueConstraint(
                fields=["currency", "txid", "vout"], name="a_coin_is_spent_once"
            ),
            models.CheckConstraint(
                condition=models.Q(payout=None) ^ models.Q(treasury_move=None),
                name="a_coin_is_spent_by_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class Withdrawal(models.Model):
    """
    What a member wants paid out.

    amount    what leaves the member's balance: net and fee
    fee       ours
    net       what the beneficiary gets
    doubts    why an operator has to look at it: codes of risk rules
    proof     the one code that was shown for it, and for nothing else; withdrawals by
              API key have none
    """

    class State(models.TextChoices):
        REVIEW = "review", _("being reviewed")
        APPROVED = "approved", _("approved")
        BUILDING = "building", _("being prepared")
        SIGNED = "signed", _("signed")
        BROADCAST = "broadcast", _("sent")
        CONFIRMED = "confirmed", _("confirmed")
        CANCELLED = "cancelled", _("cancelled")
        REFUSED = "refused", _("refused")

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="withdrawals"
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(
        Beneficiary, on_delete=models.PROTECT, related_name="withdrawals"
    )
    # As it was when it was asked for, whatever becomes of the address book.
    destination = models.CharField(max_length=128)
    amount = AmountField()
    fee = AmountField()
    net = AmountField()
    # What it was worth in the currency that limits are counted in, when asked for.
    value = AmountField()
    state = FSMField(default=State.REVIEW, choices=State.choices)
    client_id = models.CharField(max_length=64, null=True)
    proof = models.OneToOneField(
        "accounts.Proof", on_delete=models.PROTECT, related_name="+", null=True
    )
    token = models.ForeignKey(
        "accounts.ApiToken", on_delete=models.PROTECT, related_name="+", null=True
    )
    doubts = models.JSONField(default=list)
    # What the member reads where it was refused.
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    payout = models.ForeignKey(
        Payout, on_delete=models.PROTECT, related_name="withdrawals", null=True
    )
    # The transaction, or the bank's number of the transfer.
    txid = models.CharField(max_length=64, blank=True)
    confirmations = models.IntegerField(default=0)
    # So many payments of it were signed and came to nothing: see `Payout.lose`.
    returns = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("withdrawal")
        verbose_name_plural = _("withdrawals")
        permissions = [("decide_withdrawal", "Can approve and refuse withdrawals")]
        constraints = [
            sound_amount("amount", "withdrawal_amount_is_positive"),
            sound_amount("net", "withdrawal_net_is_positive"),
            sound_amount("fee", "withdrawal_fee_is_sound", zero_allowed=True),
            sound_amount("value", "withdrawal_value_is_sound", zero_allowed=True),
            models.CheckConstraint(
                condition=models.Q(amount=models.F("net") + models.F("fee")),
                name="withdrawal_amount_is_net_and_fee",
            ),
            models.UniqueConstraint(
                fields=["member", "client_id"], name="one_withdrawal_per_client_id"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["review", "approved"], payout=None)
                | ~models.Q(state__in=["review", "approved"]),
                name="waiting_withdrawals_are_in_no_payout",
            ),
            # Of those that an operator found paid without us. Numbers of banks are no
            # ids of transactions: two banks may give the same one.
            models.UniqueConstraint(
                fields=["currency", "txid", "destination", "net"],
                condition=models.Q(
                    state="confirmed", payout=None, txid__regex=r"^[0-9a-f]{64}$"
                ),
                name="a_payment_settles_one_withdrawal",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-id"], name="withdrawals_by_member"),
            models.Index(
                fields=["currency", "id"],
                condition=models.Q(state="approved"),
                name="withdrawals_to_pay",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(state="review"),
                name="withdrawals_to_review",
            ),
        ]

    def __str__(self) -> str:
        return f"withdrawal {self.pk}: {self.net} {self.currency_id}"

    @transition(field=state, source=State.REVIEW, target=State.APPROVED)
    def approve(self, **_facts: Any) -> None:
        pass

    @transition(
        field=state, source=[State.REVIEW, State.APPROVED], target=State.CANCELLED
    )
    def cancel(self, **_facts: Any) -> None:
        pass

    @transition(
        field=state, source=[State.REVIEW, State.APPROVED], target=State.REFUSED
    )
    def refuse(self, *, note: str = "", **_facts: Any) -> None:
        self.note = note

    @transition(field=state, source=State.APPROVED, target=State.BUILDING)
    def build(self, *, payout: int, **_facts: Any) -> None:
        self.payout_id = payout

    # By bank: see wallets.bank.transfers.
    @transition(field=state, source=State.APPROVED, target=State.BUILDING)
    def take(self, **_facts: Any) -> None:
        pass

    @transition(field=state, source=State.BUILDING, target=State.CONFIRMED)
    def pay(self, *, txid: str, **_facts: Any) -> None:
        self.txid = txid

    @transition(field=state, source=State.BUILDING, target=State.APPROVED)
    def requeue(self, **_facts: Any) -> None:
        self.payout = None

    # What turns out, when it is to be paid, to be for a person to look at.
    @transition(
        field=state, source=[State.APPROVED, State.BUILDING], target=State.REVIEW
    )
    def doubt(self, *, doubt: str, **_facts: Any) -> None:
        self.payout = None
        self.doubts = [*self.doubts, doubt]

    @transition(field=state, source=State.BUILDING, target=State.SIGNED)
    def sign(self, *, txid: str, **_facts: Any) -> None:
        self.txid = txid

    @transition(field=state, source=State.SIGNED, target=State.BROADCAST)
    def send(self, **_facts: Any) -> None:
        pass

    @transition(
        field=state,
        source=[State.SIGNED, State.BROADCAST],
        target=State.CONFIRMED,
    )
    def confirm(self, *, txid: str = "", **_facts: Any) -> None:
        self.txid = txid or self.txid

    # Something else had paid it: see wallets.findings.
    @transition(field=state, source=State.REVIEW, target=State.CONFIRMED)
    def settle(self, *, txid: str, confirmations: int, **_facts: Any) -> None:
        self.txid, self.confirmations = txid, confirmations

    @transition(
        field=state, source=[State.SIGNED, State.BROADCAST], target=State.REVIEW
    )
    def give_back(self, **_facts: Any) -> None:
        self.payout, self.txid, self.confirmations = None, "", 0
        self.returns += 1
        self.doubts = [*self.doubts, "given_back"]

    @property
    def looks_paid(self) -> bool:
        """Say whether it waits for operators to find out if something has paid it."""
        return self.state == self.State.REVIEW and "looks_paid" in self.doubts

    @property
    def came_back(self) -> bool:
        """Say whether the bank sent it back, and operators have to look why."""
        return self.state == self.State.REVIEW and "bank_returned" in self.doubts

    def cause(self, what: str) -> str:
        """Name the cause of a step by which it is paid: once for each time it is."""
        again = f":{self.returns}" if self.returns else ""
        return f"withdrawal:{self.pk}:{what}{again}"


class Approval(models.Model):
    """
    One operator's word that a withdrawal may be paid, of what was known then: `turn`
    counts the doubts. Where another one comes up, those of before say nothing of it.
    """

    append_only = True

    withdrawal = models.ForeignKey(
        Withdrawal, on_delete=models.PROTECT, related_name="approvals"
    )
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    turn = models.PositiveSmallIntegerField(default=0)
    at = models.DateTimeField()
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(
                fields=["withdrawal", "operator", "turn"],
                name="an_operator_approves_once_a_turn",
            )
        ]

    def __str__(self) -> str:
        return f"approval of withdrawal {self.withdrawal_id}"


class Finding(models.Model):
    """
    One operator's word of what the chain has: by which transaction a withdrawal was
    paid without us ("": there is none), or a payout's coins went elsewhere.

    turn   how often the doubt had come up by then: an older word says nothing of it
    """

    append_only = True

    withdrawal = models.ForeignKey(
        Withdrawal, on_delete=models.PROTECT, related_name="findings", null=True
    )
    payout = models.ForeignKey(
        Payout, on_delete=models.PROTECT, related_name="findings", null=True
    )
    txid = models.CharField(max_length=64, blank=True)
    turn = models.PositiveSmallIntegerField(default=1)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField()
    note = models.CharField(max_length=200)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(withdrawal=None, payout__isnull=False)
                | models.Q(withdrawal__isnull=False, payout=None),
                name="a_finding_is_of_one_thing",
            ),
            models.UniqueConstraint(
                fields=["withdrawal", "txid", "turn", "operator"],
                name="a_finding_is_given_once",
            ),
            models.UniqueConstraint(
                fields=["payout", "txid", "operator"],
                name="a_payouts_finding_is_given_once",
            ),
        ]

    def __str__(self) -> str:
        return f"finding {self.pk} of operator {self.operator_id}"
