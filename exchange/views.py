"""What belongs to no app: whether this process is well, and the admin's door."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.views.decorators.http import require_safe

from accounts.views.doors import member_page, public


@require_safe
@public
def health(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when this process reaches its database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@public
def admin_door(request: HttpRequest) -> HttpResponse:
    """Send who wants to enter the admin to our own sign-in, unless they may not."""
    if request.user.is_authenticated:
        raise PermissionDenied  # signed in, and no operator
    return redirect(f"{resolve_url('sign_in')}?{request.META['QUERY_STRING']}")


@member_page
def admin_password(_request: HttpRequest) -> HttpResponse:
    """Send who wants another password to the account, where everybody changes it."""
    return redirect("account")
