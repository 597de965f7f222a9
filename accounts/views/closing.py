"""Leaving for good."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import closing, sign_in
from accounts.forms.closing import ClosingForm
from accounts.views.doors import proof_page, who
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page(password_suffices=True)
def close(request: HttpRequest) -> HttpResponse:
    """Say what closing means and what stands in its way; then close."""
    if request.method != "POST":
        return _ask(request, ClosingForm())
    form = ClosingForm(request.POST)
    if not form.is_valid():
        return _ask(request, form, status=400)
    try:
        closing.close(
            member=who(request),
            typed_email=form.cleaned_data["email"],
            now=timezone.now(),
        )
    except closing.WrongAddress as error:
        form.add_error("email", error.message)
        return _ask(request, form, status=refusals.status_of(error))
    except ExchangeError as error:
        form.add_error(None, error.message)
        return _ask(request, form, status=refusals.status_of(error))
    sign_in.sign_out(request)
    return render(request, "accounts/closed.html")


def _ask(request: HttpRequest, form: ClosingForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "obstacles": closing.obstacles_of(who(request))}
    return render(request, "accounts/close.html", context, status=status)
