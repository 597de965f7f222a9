"""API keys: the list, a new one, and what becomes of those there are."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from accounts import keys
from accounts.forms.keys import KeyForm
from accounts.models.tokens import ApiToken
from accounts.views.doors import member_page, proof_page, who
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    """List the member's keys, with what each may do and when it last did."""
    rows = [_row(key) for key in keys.live(who(request))]
    return render(request, "accounts/keys/list.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page()
@sensitive_variables("issued")
def create(request: HttpRequest) -> HttpResponse:
    """
    Ask for the terms of a new key, then show it: once, as the answer to this very form.
    Sent again, the form makes no second key and shows nothing.
    """
    member, now = who(request), timezone.now()
    if request.method != "POST":
        return _ask(request, KeyForm(now=now))
    form = KeyForm(request.POST, now=now)
    if not form.is_valid():
        return _ask(request, form, status=400)
    form_id = form.cleaned_data["form_id"]
    try:
        issued = keys.create(
            member=member, terms=form.terms(), now=now, form_id=form_id
        )
    except keys.CreatedAlready as error:
        messages.error(request, error.message)
        return redirect("keys")
    except ExchangeError as error:
        return _refused(request, form, error)
    context = {"issued": issued, "row": _row(issued.token)}
    return render(request, "accounts/keys/created.html", context, status=201)


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page()
def change(request: HttpRequest, key_id: int) -> HttpResponse:
    """Change what a key is called, may do, from where, and for how long."""
    key, now = _mine(request, key_id), timezone.now()
    if request.method != "POST":
        return _ask(request, KeyForm(now=now, key=key), key=key)
    form = KeyForm(request.POST, now=now, key=key)
    if not form.is_valid():
        return _ask(request, form, key=key, status=400)
    try:
        keys.change(member=who(request), key_id=key.pk, terms=form.terms(), now=now)
    except keys.NoSuchKey as error:
        raise Http404(error.message) from error
    except ExchangeError as error:
        return _refused(request, form, error, key=key)
    messages.success(request, _("The key was changed."))
    return redirect("keys")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """
    Ask whether a key is to be revoked, then do it. No second factor: who fears for a
    key is in a hurry.
    """
    key, member = _mine(request, key_id), who(request)
    if request.method != "POST":
        return render(request, "accounts/keys/revoke.html", {"row": _row(key)})
    keys.revoke(key=key, by=f"member:{member.pk}", now=timezone.now())
    messages.success(request, _("The key was revoked: it opens nothing any more."))
    return redirect("keys")


def _mine(request: HttpRequest, key_id: int) -> ApiToken:
    try:
        return keys.of(who(request), key_id)
    except keys.NoSuchKey as error:
        raise Http404(error.message) from error


def _ask(
    request: HttpRequest,
    form: KeyForm,
    *,
    key: ApiToken | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"form": form, "key": key}
    return render(request, "accounts/keys/form.html", context, status=status)


def _refused(
    request: HttpRequest,
    form: KeyForm,
    error: ExchangeError,
    *,
    key: ApiToken | None = None,
) -> HttpResponse:
    form.refuse(error)
    return _ask(request, form, key=key, status=refusals.status_of(error))


def _row(key: ApiToken) -> dict[str, object]:
    """Return what is shown of a key."""
    use = getattr(key, "use", None)
    return {
        "id": key.pk,
        "label": key.label or _("No name"),
        "access_key": key.access_key,
        "scopes": key.scopes.split(),
        "networks": key.trusted_ips,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "has_expired": key.expires_at is not None and key.expires_at <= timezone.now(),
        "used_at": use and use.at,
        "used_from": use and use.address,
    }
