"""Taking one's data away."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import exports
from accounts.models.exports import DataExport
from accounts.views.doors import proof_page, who

_SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page(password_suffices=True)
def show(request: HttpRequest) -> HttpResponse:
    """List the files there are, and take the wish for another."""
    if request.method == "POST":
        try:
            exports.request(member=who(request), now=timezone.now())
        except exports.AskedToday as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("We are making the file; a mail will follow."))
        return redirect("export")
    mine = DataExport.objects.filter(member=who(request)).order_by("-pk")
    context = {"exports": list(mine[:_SHOWN]), "days": exports.KEPT.days}
    return render(request, "accounts/export.html", context)


@require_safe
@proof_page(password_suffices=True)
def download(request: HttpRequest, export_id: int) -> HttpResponse:
    """Send one of the member's own files."""
    now = timezone.now()
    try:
        content = exports.read(member=who(request), export_id=export_id, now=now)
    except exports.UnknownExport as error:
        raise Http404 from error
    answer = HttpResponse(content, content_type="application/zip")
    name = f"pixiu-{who(request).sn}-{export_id}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
