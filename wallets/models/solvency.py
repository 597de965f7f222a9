"""
What was published of our solvency. All of it is append-only: what members were shown
once must be what everybody is shown for years.

There is no row per member: a million of them a day would be most of the database. Each
proof has one random seed, from which all nonces are derived, and flat files that say
where a member's leaves are: see wallets.solvency.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from exchange.lib.fields import AmountField, sound_amount
from wallets.models.currencies import Currency


class Proof(models.Model):
    """One snapshot of the books, and the manifest that was signed over it."""

    append_only = True

    number = models.PositiveIntegerField(unique=True)
    snapshot = models.CharField(max_length=20, unique=True)  # 2026-11-24T00:00:00Z
    salt = models.CharField(max_length=32, unique=True)  # of members' handles
    sealed_seed = models.BinaryField()  # of all nonces
    envelope = models.TextField()
    hash = models.CharField(max_length=64, unique=True)  # of the manifest
    # One to one: two manifests that follow the same one would be two histories.
    previous = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="next"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(number=1, previous__isnull=True)
                | Q(number__gt=1, previous__isnull=False),
                name="each_proof_but_the_first_follows_one",
            ),
        ]

    def __str__(self) -> str:
        return f"proof {self.number} of {self.snapshot}"

    @property
    def taken_at(self) -> datetime:
        return datetime.fromisoformat(self.snapshot)

    @property
    def folder(self) -> str:
        """The name of the folder with its files."""
        return f"{self.snapshot.replace(':', '')}-{self.salt[:8]}"


class Root(models.Model):
    """What one snapshot says of one currency."""

    append_only = True

    proof = models.ForeignKey(Proof, on_delete=models.PROTECT, related_name="roots")
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+")
    liabilities = AmountField()
    depth = models.PositiveSmallIntegerField()
    hash = models.CharField(max_length=64)
    legacy_file = models.TextField()

    class Meta:
        constraints = [
            sound_amount("liabilities", "liabilities_are_sound", zero_allowed=True),
            models.UniqueConstraint(
                fields=["proof", "currency"], name="one_root_per_proof_and_currency"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.liabilities} {self.currency_id} owed at proof {self.proof_id}"

    @property
    def assets(self) -> Statement | None:
        return getattr(self, "statement", None)

    @property
    def is_covered(self) -> bool | None:
        """Whether we hold what we owe; None where nobody has said what we hold."""
        return None if self.assets is None else self.assets.total >= self.liabilities


class Statement(models.Model):
    """What we held of a currency, said by a node or by signatures, not by our books."""

    append_only = True

    root = models.OneToOneField(Root, on_delete=models.PROTECT)
    height = models.PositiveBigIntegerField()
    block_hash = models.CharField(max_length=64)
    total = AmountField()
    text = models.TextField()  # each address; its hash is in the manifest

    class Meta:
        constraints = [
            sound_amount("total", "holdings_are_sound", zero_allowed=True),
        ]

    def __str__(self) -> str:
        return f"{self.total} held at height {self.height}"
