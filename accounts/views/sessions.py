"""Where a member is signed in, and every attempt to sign in so far."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import sessions, sign_ins
from accounts.session_store import digest_of
from accounts.views.doors import member_page, proof_page, who

_ROWS = 20


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    """List the live sessions, and one page of the history."""
    history = Paginator(sign_ins.of(who(request)), _ROWS)
    context = {
        "sessions": sessions.of(who(request), now=timezone.now()),
        "this_one": digest_of(str(request.session.session_key)),
        "history": history.get_page(request.GET.get("page")),
    }
    return render(request, "accounts/sessions.html", context)


@require_POST
@proof_page(password_suffices=True)
def end(request: HttpRequest) -> HttpResponse:
    """End one session. It may be this one: then it is a sign-out."""
    try:
        sessions.end(member=who(request), digest=request.POST.get("session", "")[:64])
    except sessions.UnknownSession as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The session has ended."))
    return redirect("sessions")


@require_POST
@proof_page(password_suffices=True)
def end_others(request: HttpRequest) -> HttpResponse:
    """End all sessions but this one."""
    count = sessions.end_all_others(
        member=who(request), session_key=str(request.session.session_key)
    )
    words = ngettext("%d session has ended.", "%d sessions have ended.", count)
    messages.success(request, words % count)
    return redirect("sessions")
