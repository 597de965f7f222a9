"""
The identity check: levels, a case for each member, its documents and their pages.

What a person says of themselves is sealed, in one piece bound to the case; numbers of
documents are sealed in theirs. Pictures are not here: see accounts.vault.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition

from exchange.lib.fields import AmountField, sound_amount

LEVEL_MAX = 3


class IdentityLevel(models.Model):
    """How far somebody is known, and how much they may withdraw for it."""

    level = models.PositiveSmallIntegerField(primary_key=True)
    # Limits are counted in this currency, whatever is withdrawn.
    currency = models.CharField(max_length=10)
    withdrawal_24h = AmountField()
    withdrawal_30d = AmountField()

    class Meta:
        ordering = ("level",)
        constraints = [
            models.CheckConstraint(
                condition=Q(level__lte=LEVEL_MAX), name="identity_level_exists"
            ),
            sound_amount(
                "withdrawal_24h", "withdrawal_24h_is_sound", zero_allowed=True
            ),
            sound_amount(
                "withdrawal_30d", "withdrawal_30d_is_sound", zero_allowed=True
            ),
            models.CheckConstraint(
                condition=Q(withdrawal_24h__lte=models.F("withdrawal_30d")),
                name="a_day_allows_no_more_than_a_month",
            ),
        ]

    def __str__(self) -> str:
        return f"level {self.level}"


class IdentityCase(models.Model):
    """What we know of one member, and where checking it stands."""

    class State(models.TextChoices):
        UNVERIFIED = "unverified", _("not sent yet")
        VERIFYING = "verifying", _("being checked")
        VERIFIED = "verified", _("verified")
        REJECTED = "rejected", _("not accepted")

    member = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="identity_case",
    )
    state = FSMField(max_length=10, choices=State.choices, default=State.UNVERIFIED)
    sealed = models.BinaryField(null=True)  # the personal data
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    # Whoever opened it last while it waits has it for a while: see accounts.reviews.
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        editable=False,
    )
    claimed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions = [("review_identity", "May see and decide identity cases")]
        indexes = [
            models.Index(
                fields=["sent_at"],
                condition=Q(state="verifying"),
                name="cases_that_wait",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=["unverified", "verifying", "verified", "rejected"]
                ),
                name="identity_case_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state="unverified")
                | Q(sealed__isnull=False, sent_at__isnull=False),
                name="a_case_is_sent_with_personal_data",
            ),
            models.CheckConstraint(
                condition=~Q(claimed_by=models.F("member")),
                name="nobody_reviews_their_own_identity",
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.pk} of member {self.member_id}"

    @transition(
        field=state, source=[State.UNVERIFIED, State.REJECTED], target=State.VERIFYING
    )
    def send(self) -> None:
        """The member has handed in everything."""

    @transition(field=state, source=State.VERIFYING, target=State.VERIFIED)
    def accept(self) -> None:
        """Every document was accepted."""

    @transition(field=state, source=State.VERIFYING, target=State.REJECTED)
    def reject(self) -> None:
        """A document was rejected; the member may send that one again."""

    @transition(
        field=state, source=[State.VERIFIED, State.REJECTED], target=State.UNVERIFIED
    )
    def reopen(self) -> None:
        """What was decided holds no longer: other data, an old document, a doubt."""


class IdentityDocument(models.Model):
    """One document of a case. A part of the case has one that counts."""

    class Part(models.TextChoices):
        IDENTITY = "identity", _("Identity document")
        ADDRESS = "address", _("Proof of address")

    class Kind(models.TextChoices):
        ID_CARD = "id_card", _("Identity card")
        PASSPORT = "passport", _("Passport")
        DRIVING_LICENCE = "driving_licence", _("Driving licence")
        BANK_STATEMENT = "bank_statement", _("Bank statement")
        TAX_BILL = "tax_bill", _("Tax bill")
        UTILITY_BILL = "utility_bill", _("Utility bill")

    class State(models.TextChoices):
        QUARANTINED = "quarantined", _("being scanned")
        SUBMITTED = "submitted", _("received")
        ACCEPTED = "accepted", _("accepted")
        REJECTED = "rejected", _("not accepted")
        REPLACED = "replaced", _("replaced")

    class Reason(models.TextChoices):
        UNREADABLE = "unreadable", _("The picture cannot be read.")
        CUT_OFF = "cut_off", _("Not all of the document is in the picture.")
        WRONG_KIND = "wrong_kind", _("This is another kind of document.")
        OUT_OF_DATE = "out_of_date", _("The document is out of date.")
        MISMATCH = "mismatch", _("It does not agree with your personal data.")
        ALTERED = "altered", _("The picture seems to have been altered.")
        UNSAFE = "unsafe", _("The file was found to be unsafe.")
        OTHER = "other", _("Please read the note on the page.")

    case = models.ForeignKey(
        IdentityCase, on_delete=models.PROTECT, related_name="documents"
    )
    part = models.CharField(max_length=8, choices=Part)
    kind = models.CharField(max_length=16, choices=Kind)
    state = FSMField(max_length=12, choices=State.choices)
    sealed = models.BinaryField(null=True)  # its number
    # A keyed digest of kind and number: tells equal ones, and nothing else.
    number_digest = models.CharField(max_length=64, blank=True, db_index=True)
    expires_on = models.DateField(null=True)
    reason = models.CharField(max_length=12, choices=Reason, blank=True)
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    scanned_at = models.DateTimeField(null=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        editable=False,
    )
    erased_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_on"],
                condition=Q(state="accepted"),
                name="documents_that_run_out",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["case", "part"],
                condition=~Q(state="replaced"),
                name="one_document_counts_for_each_part",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "quarantined",
                        "submitted",
                        "accepted",
                        "rejected",
                        "replaced",
                    ]
                ),
                name="identity_document_state_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="rejected") | ~Q(reason=""),
                name="who_is_rejected_hears_why",
            ),
            models.CheckConstraint(
                condition=Q(
                    part="identity", kind__in=["id_card", "passport", "driving_licence"]
                )
                | Q(
                    part="address",
                    kind__in=["bank_statement", "tax_bill", "utility_bill"],
                ),
                name="identity_document_kind_fits_its_part",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} of case {self.case_id}"

    @transition(field=state, source=State.QUARANTINED, target=State.SUBMITTED)
    def release(self) -> None:
        """The scanner found nothing."""

    @transition(field=state, source=State.SUBMITTED, target=State.ACCEPTED)
    def accept(self) -> None:
        """An operator believes it."""

    @transition(
        field=state,
        source=[State.QUARANTINED, State.SUBMITTED],
        target=State.REJECTED,
    )
    def reject(self, reason: str) -> None:
        """An operator does not, or the scanner found something."""
        self.reason = reason

    @transition(field=state, source=State.ACCEPTED, target=State.SUBMITTED)
    def look_again(self) -> None:
        """It was accepted beside other personal data than now."""

    @transition(
        field=state,
        source=[State.QUARANTINED, State.SUBMITTED, State.ACCEPTED, State.REJECTED],
        target=State.REPLACED,
    )
    def replace(self) -> None:
        """Another one takes its place, or has to."""


class DocumentPage(models.Model):
    """A picture of a document: where it lies, and its key, sealed."""

    document = models.ForeignKey(
        IdentityDocument, on_delete=models.PROTECT, related_name="pages"
    )
    number = models.PositiveSmallIntegerField()
    file = models.CharField(max_length=32, unique=True)  # in the vault
    key_sealed = models.BinaryField()
    size_bytes = models.PositiveIntegerField()

    class Meta:
        ordering = ("document", "number")
        constraints = [
            models.UniqueConstraint(
                fields=["document", "number"], name="pages_are_numbered"
            )
        ]

    def __str__(self) -> str:
        return f"page {self.number} of document {self.document_id}"


class CaseOpening(models.Model):
    """An operator said why they must see a case, and may for a while."""

    append_only = True

    case = models.ForeignKey(
        IdentityCase, on_delete=models.PROTECT, related_name="openings"
    )
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["case", "operator", "-at"], name="openings_of_a_case")
        ]

    def __str__(self) -> str:
        return f"case {self.case_id} opened by operator {self.operator_id}"
