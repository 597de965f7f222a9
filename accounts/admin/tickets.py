"""
The support desk: the queue by who has waited longest, and the thread with a place to
answer. Answers go to the member; notes stay among operators.
"""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import linebreaksbr
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts import tickets
from accounts.models.members import Member
from accounts.models.tickets import Attachment, Comment, ReadMark, Ticket
from accounts.views.tickets import as_download
from exchange.lib import audit
from exchange.lib.admin import Queue, ReadOnly, do_to_each, may
from exchange.lib.errors import ExchangeError

_SENT = _("Your reply to ticket %(number)s was sent.")
_NOTED = _("Your note in ticket %(number)s was kept.")


# The type argument exists for the checker only.
class AnswerForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an operator says; nothing of the ticket itself is edited."""

    text = forms.CharField(
        required=False,
        max_length=tickets.TEXT_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 8, "cols": 80}),
        label=_("Reply"),
    )
    is_note = forms.BooleanField(
        required=False, label=_("A note among operators: the member does not see it")
    )

    class Meta:
        model = Ticket
        fields: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("text"):
            self.add_error("text", _("Please write something."))
        elif not cleaned["is_note"] and self.instance.state == Ticket.State.CLOSED:
            self.add_error(
                "text", _("This ticket is closed: reopen it, or leave a note.")
            )
        return cleaned


@admin.register(Ticket)
class TicketAdmin(ReadOnly):
    list_display = (
        "number",
        "subject",
        "member",
        "state",
        "is_read",
        "waiting_since",
    )
    list_filter = ("state",)
    list_select_related = ("member",)
    search_fields = ("number", "subject", "=member__email", "=member__sn")
    # Who has waited longest comes first; who waits for nothing, last.
    ordering = (F("waiting_since").asc(nulls_last=True), "-updated_at")
    form = AnswerForm
    change_form_template = "admin/accounts/ticket/thread.html"
    fields = ("number", "member", "state", "subject", "thread", "text", "is_note")
    readonly_fields = ("number", "member", "state", "subject", "thread")
    actions = ("close", "reopen")
    queue = Queue(
        _("Tickets waiting for an answer"), Q(state="open"), "?state__exact=open"
    )
    # Words change nothing of value, and an answer takes longer than a proof is fresh.
    needs_fresh_proof = False

    has_answer_permission = may("accounts.answer_ticket")

    def actions_on(self, row: Ticket) -> tuple[str, ...]:
        return ("reopen",) if row.state == Ticket.State.CLOSED else ("close",)

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return self.has_answer_permission(request)

    def get_fields(self, request: HttpRequest, obj: Ticket | None = None) -> list[Any]:
        spoken = [] if self.has_answer_permission(request) else ["text", "is_note"]
        return [name for name in self.fields if name not in spoken]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        rows = super().get_queryset(request)
        return tickets.with_unread(rows, reader_id=int(str(request.user.pk)))

    def get_urls(self) -> list[URLPattern]:
        files = path(
            "attachments/<int:attachment_id>",
            self.admin_site.admin_view(self.download),
            name="accounts_ticket_attachment",
        )
        return [files, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the thread; what is posted is an answer or a note."""
        ticket = self.get_object(request, object_id)
        if ticket is not None and self.has_view_permission(request, ticket):
            reader = cast(Member, request.user)
            tickets.mark_read(ticket=ticket, reader=reader, now=timezone.now())
            if request.method == "POST" and self.has_change_permission(request):
                form = AnswerForm(request.POST, instance=ticket)
                if form.is_valid():
                    self._say(request, ticket, form)
                    return redirect(request.path)
        # Django would save inside a transaction of its own: only errors get there.
        return super().change_view(request, object_id, form_url, extra_context)

    @admin.action(description=_("Close"), permissions=["answer"])
    def close(self, request: HttpRequest, rows: QuerySet[Ticket]) -> None:
        do_to_each(request, rows, lambda row, by: tickets.close(ticket=row, by=by))

    @admin.action(description=_("Reopen"), permissions=["answer"])
    def reopen(self, request: HttpRequest, rows: QuerySet[Ticket]) -> None:
        now = timezone.now()
        do_to_each(
            request, rows, lambda row, by: tickets.reopen(ticket=row, by=by, now=now)
        )

    @admin.display(boolean=True, description=_("read?"))
    def is_read(self, row: Any) -> bool:
        return not row.is_unread

    @admin.display(description=_("Thread"))
    def thread(self, row: Ticket) -> SafeString:
        said = row.comments.select_related("author").prefetch_related("attachments")
        return format_html_join(
            "", "{}", ((_said(each),) for each in said.order_by("pk"))
        )

    def download(self, request: HttpRequest, attachment_id: int) -> HttpResponse:
        """Hand a member's file to an operator who may answer tickets, on the record."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        attachment = get_object_or_404(Attachment, pk=attachment_id)
        audit.record(
            f"operator:{request.user.pk}", "looked_at", f"attachment:{attachment.pk}"
        )
        return as_download(attachment)

    def _say(self, request: HttpRequest, ticket: Ticket, form: AnswerForm) -> None:
        say = tickets.note if form.cleaned_data["is_note"] else tickets.answer
        try:
            say(
                ticket=ticket,
                operator=cast(Member, request.user),
                text=form.cleaned_data["text"],
                now=timezone.now(),
            )
        except ExchangeError as error:
            self.message_user(request, error.message, "ERROR")
        else:
            is_note = form.cleaned_data["is_note"]
            done = _NOTED if is_note else _SENT
            self.message_user(request, done % {"number": ticket.number})


@admin.register(Comment)
class CommentAdmin(ReadOnly):
    list_display = ("at", "ticket", "author", "is_operator", "is_note")
    list_select_related = ("ticket", "author")
    ordering = ("-pk",)


@admin.register(Attachment)
class AttachmentAdmin(ReadOnly):
    list_display = ("name", "kind", "size", "comment")
    list_select_related = ("comment",)
    ordering = ("-pk",)
    exclude = ("stored_as",)


@admin.register(ReadMark)
class ReadMarkAdmin(ReadOnly):
    list_display = ("reader", "ticket", "read_at")
    list_select_related = ("reader", "ticket")
    ordering = ("-pk",)


def _said(comment: Comment) -> SafeString:
    who = str(comment.author) if comment.is_operator else _("Member")
    files = format_html_join(
        " ",
        '<a href="{}">{}</a>',
        (
            (reverse("admin:accounts_ticket_attachment", args=(each.pk,)), each.name)
            for each in comment.attachments.all()
        ),
    )
    return format_html(
        "<div><p><strong>{}</strong> {}{}</p>{}<p>{}</p><hr></div>",
        who,
        comment.at.strftime("%Y-%m-%d %H:%M UTC"),
        format_html(" ({})", _("note")) if comment.is_note else "",
        linebreaksbr(comment.text, autoescape=True),
        files,
    )
