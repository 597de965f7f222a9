"""Tickets: what members ask and operators answer, and who has read how far."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django_fsm import FSMField, transition

# Without what people confuse on the telephone: 30^8 numbers that nobody guesses.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ346789"


def new_number() -> str:
    """Make a ticket's number: 8 letters and digits that say nothing."""
    return "".join(secrets.choice(_LETTERS) for _ in range(8))


class Ticket(models.Model):
    """A question of a member's, and all that was said about it."""

    class State(models.TextChoices):
        OPEN = "open"  # the member waits for us
        ANSWERED = "answered"  # we wait for the member
        CLOSED = "closed"

    number = models.CharField(
        max_length=8, unique=True, default=new_number, editable=False
    )
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tickets"
    )
    subject = models.CharField(max_length=140)
    state = FSMField(default=State.OPEN, choices=State.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When somebody last said something, other operators aside.
    updated_at = models.DateTimeField(db_default=Now())
    # Since when the member waits for an answer.
    waiting_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "answered", "closed"]),
                name="ticket_state_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", waiting_since__isnull=False)
                | models.Q(~models.Q(state="open"), waiting_since__isnull=True),
                name="only_open_tickets_wait",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-updated_at"], name="tickets_by_member"),
            models.Index(
                fields=["waiting_since"],
                condition=models.Q(state="open"),
                name="tickets_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"ticket {self.number}"

    @transition(field=state, source=[State.OPEN, State.ANSWERED], target=State.ANSWERED)
    def answer(self) -> None:
        self.waiting_since = None

    @transition(field=state, source=[State.ANSWERED, State.CLOSED], target=State.OPEN)
    def reopen(self) -> None:
        self.waiting_since = self.updated_at

    @transition(field=state, source=[State.OPEN, State.ANSWERED], target=State.CLOSED)
    def close(self) -> None:
        self.waiting_since = None


class Comment(models.Model):
    """Something that was said in a ticket, and is not unsaid: append-only."""

    append_only = True

    ticket = models.ForeignKey(
        Ticket, on_delete=models.PROTECT, related_name="comments"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    # Whether the author spoke for the exchange.
    is_operator = models.BooleanField(default=False)
    # Among operators: the member does not see it.
    is_note = models.BooleanField(default=False)
    text = models.TextField(max_length=10_000)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_note=False) | models.Q(is_operator=True),
                name="only_operators_write_notes",
            )
        ]

    def __str__(self) -> str:
        return f"comment {self.pk} in ticket {self.ticket_id}"


class Attachment(models.Model):
    """A file that came with a comment; its bytes lie sealed outside the database."""

    class Kind(models.TextChoices):
        JPEG = "image/jpeg"
        PNG = "image/png"
        PDF = "application/pdf"

    comment = models.ForeignKey(
        Comment, on_delete=models.PROTECT, related_name="attachments"
    )
    # What the sender called it; nothing on our disk is called so.
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=Kind)
    size = models.PositiveIntegerField()
    stored_as = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return f"attachment {self.pk} of comment {self.comment_id}"


class ReadMark(models.Model):
    """How far somebody has read in a ticket."""

    reader = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    ticket = models.ForeignKey(
        Ticket, on_delete=models.PROTECT, related_name="read_marks"
    )
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reader", "ticket"], name="one_read_mark_each"
            )
        ]

    def __str__(self) -> str:
        return f"member {self.reader_id} in ticket {self.ticket_id}"
