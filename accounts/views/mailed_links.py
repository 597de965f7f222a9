"""
Where links in mails lead that are followed in haste: unlocking, freezing; and where
one leads that opens nothing any more.

Looking changes nothing: programs that scan mails follow links, too. A button does it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import devices, freezing, links, lockout
from accounts.views.doors import public
from exchange.lib import refusals

View = Callable[..., HttpResponse]


def spent_leads_on(purpose: str) -> Callable[[View], View]:
    """Answer a link that opens nothing any more with the ways to a new one."""

    def leading(view: View) -> View:
        @functools.wraps(view)
        def answering(request: HttpRequest, *args: Any, **path: Any) -> HttpResponse:
            try:
                return view(request, *args, **path)
            except links.LinkSpent as error:
                context = {"purpose": purpose}
                status = refusals.status_of(error)
                page = "accounts/link_spent.html"
                return render(request, page, context, status=status)

        return answering

    return leading


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
@spent_leads_on("unlock")
def unlock(request: HttpRequest, link: str) -> HttpResponse:
    """Open the door again, and keep it open for the browser that does."""
    if request.method != "POST":
        member = lockout.whose_link(link)
        return render(request, "accounts/unlock.html", {"email": member.email})
    member = lockout.unlock(link)
    messages.success(request, _("You can sign in again."))
    answer = redirect("sign_in")
    devices.remember(request, answer, member.email)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
@spent_leads_on("freeze")
def freeze(request: HttpRequest, link: str) -> HttpResponse:
    """Freeze the account of whom the link was sent to."""
    if request.method != "POST":
        member = freezing.whose_link(link)
        return render(request, "accounts/freeze.html", {"email": member.email})
    freezing.freeze(link)
    return render(request, "accounts/frozen.html")
