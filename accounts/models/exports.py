"""What members took away of their data."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition


class DataExport(models.Model):
    """A member's data in one file: asked for, made by a job, deleted days later."""

    class State(models.TextChoices):
        REQUESTED = "requested"
        READY = "ready"
        FAILED = "failed"
        DELETED = "deleted"

    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="exports"
    )
    state = FSMField(default=State.REQUESTED, choices=State.choices, protected=True)
    requested_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)
    size_bytes = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["member", "-id"], name="exports_by_member"),
            models.Index(
                fields=["id"],
                condition=Q(state__in=["requested", "ready"]),
                name="exports_at_work",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["requested", "ready", "failed", "deleted"]),
                name="export_state_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(ready_at__isnull=False),
                name="what_is_ready_says_since_when",
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.pk} of member {self.member_id}: {self.state}"

    @transition(field=state, source=State.REQUESTED, target=State.READY)
    def finish(self, *, at: str, size_bytes: int) -> None:
        self.ready_at = datetime.fromisoformat(at)
        self.size_bytes = size_bytes

    @transition(field=state, source=State.REQUESTED, target=State.FAILED)
    def fail(self) -> None:
        """Nothing came of it; the log says why."""

    @transition(field=state, source=State.READY, target=State.DELETED)
    def forget(self) -> None:
        """The file is gone; the row remembers that it was there."""
