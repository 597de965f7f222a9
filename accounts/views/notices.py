"""Of what members hear, and by which channel."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import notices
from accounts.notices import Channel, Event
from accounts.views.doors import member_page, who

# There is nothing to choose about a mail that somebody asked for by hand.
_ANSWERS = {
    Event.ACTIVATION,
    Event.JOINED_TWICE,
    Event.JOINED_AGAIN,
    Event.PASSWORD_RESET,
}


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def choose(request: HttpRequest) -> HttpResponse:
    """Show events by channels, and take another choice."""
    if request.method == "POST":
        notices.choose(member=who(request), wanted=request.POST.getlist("mail"))
        messages.success(request, _("Saved."))
        return redirect("notices")
    muted = who(request).muted_notices
    rows = [
        {
            "event": event,
            "is_optional": event in notices.OPTIONAL,
            "is_wanted": event not in notices.OPTIONAL or event.value not in muted,
        }
        for event in Event
        if event not in _ANSWERS
    ]
    context = {"rows": rows, "channels": list(Channel)}
    return render(request, "accounts/notices.html", context)
