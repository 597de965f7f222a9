"""
/dev/mail: every mail of an exchange that runs on somebody's desk.

There are links in them that open accounts. So it is there only where mails are printed
instead of sent (settings.MAILBOX_PAGE), which production never does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp, csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from accounts.views.doors import public
from exchange.lib import mail
from exchange.lib.models import Mail

_SHOWN_MAX = 100
_FRAMED = {
    "default-src": [NONE],
    "style-src": [UNSAFE_INLINE],  # mails carry their style in their tags
    "img-src": ["data:"],
    "frame-ancestors": [SELF],
}

View = Callable[..., HttpResponse]
# Typed for views without arguments, and used for others.
_may_frame = cast(Callable[[View], View], csp_update({"frame-src": [SELF]}))
_has_policy_of_a_mail = cast(Callable[[View], View], csp(_FRAMED))


def _on_a_desk(view: View) -> View:
    """Have the page nowhere else."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: object, **path: object) -> HttpResponse:
        if not settings.MAILBOX_PAGE:
            raise Http404
        return view(request, *args, **path)

    return guarded


@require_safe
@public
@_on_a_desk
def index(request: HttpRequest) -> HttpResponse:
    mails = Mail.objects.defer("sealed").order_by("-pk")[:_SHOWN_MAX]
    return render(request, "accounts/mailbox.html", {"mails": list(mails)})


@require_safe
@public
@_on_a_desk
@_may_frame
def show(request: HttpRequest, number: int) -> HttpResponse:
    """Show one mail in both its forms."""
    written = get_object_or_404(Mail, pk=number)
    context = {"mail": written, "body": mail.read(written)}
    return render(request, "accounts/mail.html", context)


@require_safe
@public
@_on_a_desk
@_has_policy_of_a_mail
@xframe_options_sameorigin
def framed(_request: HttpRequest, number: int) -> HttpResponse:
    """Show the HTML of a mail alone, for a frame; its links lead out of the frame."""
    body = mail.read(get_object_or_404(Mail, pk=number))
    if body is None:
        raise Http404
    return HttpResponse(body.html.replace("<a ", '<a target="_top" '))
