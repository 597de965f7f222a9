"""Pages with one form: asked, and asked again with what was wrong."""

from __future__ import annotations

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from exchange.lib import refusals
from exchange.lib.errors import ExchangeError


def ask(
    request: HttpRequest, template: str, form: Form, **context: object
) -> HttpResponse:
    """Show the form; one that was filled in wrong says so, and so does the status."""
    status = 400 if form.errors else 200
    return render(request, template, {"form": form, **context}, status=status)


def ask_again(
    request: HttpRequest,
    template: str,
    form: Form,
    error: ExchangeError,
    *,
    field: str | None = None,
    **context: object,
) -> HttpResponse:
    """Show the form with a refusal, at the field that it is about."""
    form.add_error(field, error.message)
    answer = ask(request, template, form, **context)
    answer.status_code = refusals.status_of(error)
    return refusals.with_pause(answer, error)
