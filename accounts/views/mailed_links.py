"""
Where links in mails lead that are followed in haste: unlocking, freezing.

Looking changes nothing: programs that scan mails follow links, too. A button does it.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import devices, freezing, lockout
from accounts.views.doors import public
from exchange.lib import refusals


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
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
def freeze(request: HttpRequest, link: str) -> HttpResponse:
    """Freeze the account of whom the link was sent to."""
    if request.method != "POST":
        member = freezing.whose_link(link)
        return render(request, "accounts/freeze.html", {"email": member.email})
    freezing.freeze(link)
    return render(request, "accounts/frozen.html")
