"""
Tickets: a member asks, operators answer, until it is closed.

A member's words open a ticket again, whatever its state; an operator's answer hands it
back. Notes are for operators alone. What was said stays said. Each reader has a mark of
their own that says how far they have read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts import attachments, standing, throttling
from accounts.attachments import Kept, Sent
from accounts.models.members import Member
from accounts.models.tickets import Attachment, Comment, ReadMark, Ticket
from accounts.notices import Event, tell
from exchange.lib import audit, mail, states, words
from exchange.lib.errors import Invalid, NotFound
from exchange.lib.transactions import transaction, transaction_required

SUBJECT_LENGTH_MAX = 140
TEXT_LENGTH_MAX = 10_000

_State = Ticket.State


class BadWords(Invalid):
    """Nothing was said, or more than fits."""

    code = "bad_words"
    text = _("Please write something: a subject of at most 140 characters, and a text.")


class UnknownTicket(NotFound):
    """There is no such ticket, or it is somebody else's."""

    code = "unknown_ticket"
    text = _("There is no such ticket.")


def ask(
    *, member: Member, subject: str, text: str, files: Sequence[Sent], now: datetime
) -> Ticket:
    """
    Open a ticket with a member's question, and let our support know.

    Raises BadWords, words.Unseen, attachments.BadFile, throttling.LimitReached or, with
    files, standing.AddressNotConfirmed and pictures.DarkroomBusy.
    """
    subject, text = _subject(subject), _text(text)
    _demand_may_send(member, files)
    throttling.count_comment(member.pk, now=now)
    with attachments.kept(files) as kept, transaction():
        ticket = Ticket.objects.create(
            member=member,
            subject=subject,
            created_at=now,
            updated_at=now,
            waiting_since=now,
        )
        _say(ticket, member, text, now, files=kept)
        audit.record(f"member:{member.pk}", "asked", audit.label(ticket))
        _tell_support(ticket)
    return ticket


def reply(*, ticket: Ticket, text: str, files: Sequence[Sent], now: datetime) -> None:
    """
    Say something more as the member whose ticket it is; one that was answered or closed
    is open again. Raises as `ask` does.
    """
    text = _text(text)
    _demand_may_send(ticket.member, files)
    throttling.count_comment(ticket.member_id, now=now)
    with attachments.kept(files) as kept, transaction():
        fresh = states.lock_row(ticket)
        _say(fresh, fresh.member, text, now, files=kept)
        _touch(fresh, now)
        states.advance(fresh, "reopen", by=f"member:{fresh.member_id}")
        _tell_support(fresh)


def answer(*, ticket: Ticket, operator: Member, text: str, now: datetime) -> None:
    """
    Answer as an operator, and let the member know by mail. Raises BadWords, or
    IllegalMove where the ticket is closed.
    """
    text = _text(text)
    with transaction():
        fresh = states.lock_row(ticket)
        _touch(fresh, now)
        states.advance(fresh, "answer", by=f"operator:{operator.pk}")
        _say(fresh, operator, text, now, is_operator=True)
        tell(
            fresh.member,
            Event.TICKET_ANSWERED,
            number=fresh.number,
            subject=fresh.subject,
            url=f"{settings.SITE_URL}{reverse('ticket', args=(fresh.number,))}",
        )


def note(*, ticket: Ticket, operator: Member, text: str, now: datetime) -> None:
    """Leave a note that only operators see; the ticket stays as it is."""
    text = _text(text)
    with transaction():
        fresh = states.lock_row(ticket)
        _say(fresh, operator, text, now, is_operator=True, is_note=True)


def close(*, ticket: Ticket, by: str) -> None:
    """Close a ticket; one that is closed stays closed."""
    with transaction():
        states.advance(ticket, "close", by=by)


def reopen(*, ticket: Ticket, by: str, now: datetime) -> None:
    """Open a ticket again; one that is open stays open."""
    with transaction():
        _touch(ticket, now)
        states.advance(ticket, "reopen", by=by)


def of(member: Member, number: str) -> Ticket:
    """Return a member's ticket. Raises UnknownTicket for everybody else's."""
    if not number.isalnum():
        raise UnknownTicket
    found = Ticket.objects.filter(member=member, number=number)
    ticket: Ticket | None = found.order_by("pk").first()
    if ticket is None:
        raise UnknownTicket
    return ticket


def attachment_of(ticket: Ticket, attachment_id: int) -> Attachment:
    """Return a file that a ticket's member may see. Raises UnknownTicket."""
    found = Attachment.objects.filter(
        pk=attachment_id, comment__ticket=ticket, comment__is_note=False
    )
    attachment: Attachment | None = found.order_by("pk").first()
    if attachment is None:
        raise UnknownTicket
    return attachment


def listed(member: Member, *, is_closed: bool) -> list[Any]:
    """Return a member's tickets, those first where something happened last."""
    closed = Q(state=_State.CLOSED)
    rows = Ticket.objects.filter(closed if is_closed else ~closed, member=member)
    return list(with_unread(rows, reader_id=member.pk).order_by("-updated_at", "-pk"))


def thread(ticket: Ticket) -> list[Comment]:
    """Return what was said that the member may see, in order."""
    said = Comment.objects.filter(ticket=ticket, is_note=False)
    return list(said.prefetch_related("attachments").order_by("pk"))


def with_unread(rows: QuerySet[Ticket], *, reader_id: int) -> QuerySet[Any]:
    """
    Let tickets say (`is_unread`) whether somebody else has said something that this
    reader has not read. Notes are unread by operators only.
    """
    mark = ReadMark.objects.filter(ticket=OuterRef("ticket"), reader_id=reader_id)
    others = Comment.objects.filter(ticket=OuterRef("pk")).exclude(author_id=reader_id)
    unread = others.exclude(is_note=True, ticket__member_id=reader_id).annotate(
        read_at=Subquery(mark.values("read_at")[:1])
    )
    return rows.annotate(
        is_unread=Exists(unread.filter(read_at=None))
        | Exists(unread.filter(at__gt=F("read_at")))
    )


def mark_read(*, ticket: Ticket, reader: Member, now: datetime) -> None:
    """Remember that somebody has read all that was said until now."""
    ReadMark.objects.update_or_create(
        ticket=ticket, reader=reader, defaults={"read_at": now}
    )


def _demand_may_send(member: Member, files: Sequence[Sent]) -> None:
    """Everybody may ask; files, which cost us work, are for those we can write to."""
    if files:
        standing.demand_activated(member)


@transaction_required
def _say(
    ticket: Ticket,
    author: Member,
    text: str,
    now: datetime,
    *,
    is_operator: bool = False,
    is_note: bool = False,
    files: Sequence[Kept] = (),
) -> None:
    comment = Comment.objects.create(
        ticket=ticket,
        author=author,
        is_operator=is_operator,
        is_note=is_note,
        text=text,
        at=now,
    )
    for each in files:
        Attachment.objects.create(
            comment=comment,
            name=each.name,
            kind=each.kind,
            size=each.size,
            stored_as=each.stored_as,
        )


def _touch(ticket: Ticket, now: datetime) -> None:
    Ticket.objects.filter(pk=ticket.pk).update(updated_at=now)


@transaction_required
def _tell_support(ticket: Ticket) -> None:
    """Say that somebody waits, not what they said: mail is no safe place for it."""
    if not settings.SUPPORT_EMAIL:
        return
    page = reverse("admin:accounts_ticket_change", args=(ticket.pk,))
    facts = {"number": ticket.number, "url": f"{settings.SITE_URL}{page}"}
    letter = render_to_string("mail/ticket_waiting.txt", facts)
    mail.write(to=settings.SUPPORT_EMAIL, words=letter, language="en")


def _subject(text: str) -> str:
    subject = words.line(text)
    if not 0 < len(subject) <= SUBJECT_LENGTH_MAX:
        raise BadWords
    return subject


def _text(text: str) -> str:
    said = words.cleaned(text).strip()
    if not 0 < len(said) <= TEXT_LENGTH_MAX:
        raise BadWords
    return said
