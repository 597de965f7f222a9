"""What belongs to no app: whether this process is well, and the admin's door."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import redirect, resolve_url
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from accounts.views.doors import is_ours, member_page, public
from exchange import desk
from exchange.lib import origin


def broken(_request: HttpRequest) -> HttpResponse:
    """Say that something broke, and the number under which we can look it up."""
    number = origin.current().request_id
    return HttpResponseServerError(render_to_string("500.html", {"number": number}))


@require_safe
@public
def health(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when this process reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@public
def admin_door(request: HttpRequest) -> HttpResponse:
    """Send who wants to enter the admin to sign in, or to prove that it is them."""
    if request.user.is_authenticated:
        if not desk.is_operator(request):
            raise PermissionDenied
        wanted = request.GET.get("next", "")
        back_to = wanted if is_ours(request, wanted) else resolve_url("admin:index")
        return desk.way_to_proof(request, back_to=back_to)
    return redirect(f"{resolve_url('sign_in')}?{request.META['QUERY_STRING']}")


@member_page
def admin_password(_request: HttpRequest) -> HttpResponse:
    """Send who wants another password to the account, where everybody changes it."""
    return redirect("password_change")
