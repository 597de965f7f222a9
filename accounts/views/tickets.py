"""The support pages: one's tickets, a new one, the thread of one."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import attachments, tickets
from accounts.forms.tickets import ReplyForm, TicketForm
from accounts.models.tickets import Attachment, Ticket
from accounts.views.doors import member_page, who
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError

# Whoever opens it in a browser all the same: nothing in it may run or load.
_SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"


@require_safe
@member_page
def show_all(request: HttpRequest) -> HttpResponse:
    is_closed = "closed" in request.GET
    rows = tickets.listed(who(request), is_closed=is_closed)
    return render(
        request, "accounts/tickets.html", {"tickets": rows, "is_closed": is_closed}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def ask(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _form(request, TicketForm())
    form = TicketForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form(request, form, status=400)
    try:
        ticket = tickets.ask(
            member=who(request),
            subject=form.cleaned_data["subject"],
            text=form.cleaned_data["text"],
            files=form.cleaned_data["attachments"],
            now=timezone.now(),
        )
    except ExchangeError as error:
        return _refused(_form, request, form, error)
    return redirect("ticket", ticket.number)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def show(request: HttpRequest, number: str) -> HttpResponse:
    """Show the thread; what is posted is a reply."""
    ticket = _own(request, number)

    def page(request: HttpRequest, form: ReplyForm, status: int = 200) -> HttpResponse:
        said = tickets.thread(ticket)
        context = {"ticket": ticket, "comments": said, "form": form}
        return render(request, "accounts/ticket.html", context, status=status)

    if request.method != "POST":
        tickets.mark_read(ticket=ticket, reader=who(request), now=timezone.now())
        return page(request, ReplyForm())
    form = ReplyForm(request.POST, request.FILES)
    if not form.is_valid():
        return page(request, form, status=400)
    try:
        tickets.reply(
            ticket=ticket,
            text=form.cleaned_data["text"],
            files=form.cleaned_data["attachments"],
            now=timezone.now(),
        )
    except ExchangeError as error:
        return _refused(page, request, form, error)
    messages.success(request, _("Your message was sent."))
    return redirect("ticket", number)


@require_POST
@member_page
def close(request: HttpRequest, number: str) -> HttpResponse:
    tickets.close(ticket=_own(request, number), by=f"member:{who(request).pk}")
    messages.success(request, _("The ticket is closed."))
    return redirect("tickets")


@require_POST
@member_page
def reopen(request: HttpRequest, number: str) -> HttpResponse:
    by = f"member:{who(request).pk}"
    tickets.reopen(ticket=_own(request, number), by=by, now=timezone.now())
    messages.success(request, _("The ticket is open again."))
    return redirect("ticket", number)


@require_safe
@member_page
def download(request: HttpRequest, number: str, attachment_id: int) -> HttpResponse:
    ticket = _own(request, number)
    try:
        return as_download(tickets.attachment_of(ticket, attachment_id))
    except tickets.UnknownTicket as error:
        raise Http404 from error


def as_download(attachment: Attachment) -> HttpResponse:
    """Hand a file out as a download that no browser runs anything of."""
    answer = HttpResponse(
        attachments.content_of(attachment), content_type=attachment.kind
    )
    name = content_disposition_header(True, attachment.name)
    answer.headers["Content-Disposition"] = str(name)
    answer.headers["Content-Security-Policy"] = _SANDBOX
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _own(request: HttpRequest, number: str) -> Ticket:
    try:
        return tickets.of(who(request), number)
    except tickets.UnknownTicket as error:
        raise Http404 from error


def _form(request: HttpRequest, form: TicketForm, status: int = 200) -> HttpResponse:
    return render(request, "accounts/ticket_new.html", {"form": form}, status=status)


def _refused(
    page: Callable[..., HttpResponse],
    request: HttpRequest,
    form: ReplyForm,
    error: ExchangeError,
) -> HttpResponse:
    is_file = isinstance(error, attachments.BadFile)
    form.add_error("attachments" if is_file else None, error.message)
    answer = page(request, form, status=refusals.status_of(error))
    return refusals.with_pause(answer, error)
