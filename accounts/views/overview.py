"""The first page of an account: how far one has come, and what is next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.views.doors import member_page, who


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    tags = who(request).tags.names()
    return render(request, "accounts/overview.html", {"tags": list(tags)})
