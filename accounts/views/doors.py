"""
The doors of the account pages: who may enter, and with what proof.

Each view says which door it has; a test walks all routes and misses none. What is
private is kept by no cache. A fresh proof that is missing is asked for on a page of its
own, which leads back here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from accounts import proofs
from accounts.factors import changes
from accounts.models.members import Member
from exchange.lib.errors import NotSignedIn

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

View = Callable[..., HttpResponse]

# In the address of the sign-in page: a form was sent, and nobody was signed in.
UNSAVED = "unsaved"
_NO_FACTOR = _("This needs a second factor. Please add one first.")


class Door(Protocol):
    """A view that says what it needs: `public`, `member`, `proof` or `operator`."""

    needs: str


def public(view: View) -> View:
    """Let everybody in; still, nothing here is for caches."""
    return _marked(never_cache(view), "public")


def member_page(view: View) -> View:
    """Let members in who have signed in; send others to do so."""
    return _marked(never_cache(_signed_in(view)), "member")


def member_call(view: View) -> View:
    """
    Let a page's own scripts in where a member has signed in. Raises NotSignedIn for
    others: a script is told so, it cannot be sent elsewhere.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **path: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            raise NotSignedIn
        return view(request, *args, **path)

    return _marked(never_cache(guarded), "member")


def proof_page(*, password_suffices: bool = False) -> Callable[[View], View]:
    """
    Let members in who have proven in the last five minutes that it is them, each time
    they come; send others to the page that asks. A password suffices, where it does,
    only to whom has no factor yet; elsewhere they are sent to add one.
    """

    def door(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **path: Any) -> HttpResponse:
            try:
                proofs.demand_fresh(
                    member=who(request),
                    session_key=str(request.session.session_key),
                    now=timezone.now(),
                    password_suffices=password_suffices,
                )
            except proofs.FreshProofRequired:
                if password_suffices:
                    return _to_prove(_here(request))
                return way_to_proof(request, back_to=_here(request))
            return view(request, *args, **path)

        return _marked(never_cache(_signed_in(guarded)), "proof")

    return door


def password_page(view: View) -> View:
    """
    Let members in as `proof_page` does who have a factor; the others at once, because
    the page asks for their password itself.
    """
    proven = proof_page(password_suffices=True)(view)

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **path: Any) -> HttpResponse:
        has_factor = changes.has_any(who(request).pk)
        return (proven if has_factor else view)(request, *args, **path)

    return _marked(never_cache(_signed_in(guarded)), "member")


def who(request: HttpRequest) -> Member:
    """Return the member a page behind a door is shown to."""
    return cast(Member, request.user)


def way_back(request: HttpRequest, otherwise: str = "") -> str:
    """Return the page of ours the browser says it comes from; else the overview."""
    came_from = request.headers.get("Referer", "")
    if is_ours(request, came_from):
        return came_from
    return otherwise or resolve_url("account")


def way_to_proof(
    request: HttpRequest, *, back_to: str, no_factor: str | StrPromise = _NO_FACTOR
) -> HttpResponse:
    """
    Send a member to prove again that it is them, and then back; who has no factor yet,
    to add one, and say why.
    """
    if not changes.has_any(who(request).pk):
        messages.warning(request, no_factor)
        return redirect("security")
    return _to_prove(back_to)


def next_of(request: HttpRequest, otherwise: str) -> str:
    """Return where to go on: `next`, unless it leads to somebody else's site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if is_ours(request, wanted) else resolve_url(otherwise)


def is_ours(request: HttpRequest, url: str) -> bool:
    """Say whether an address leads to this site: whole, or a path from its root."""
    is_whole = url.startswith(("http://", "https://"))
    return (is_whole or url.startswith("/")) and url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )


def _signed_in(view: View) -> View:
    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **path: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        return view(request, *args, **path)

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send a visitor to sign in, and say there that a form they sent is lost."""
    answer = redirect_to_login(_here(request))
    if request.method == "POST":
        answer["Location"] += f"&{UNSAVED}=1"
    return answer


def _to_prove(back_to: str) -> HttpResponse:
    return redirect(f"{resolve_url('prove')}?{urlencode({'next': back_to})}")


def _here(request: HttpRequest) -> str:
    """Return the page to come back to: where there was a button, the one it was on."""
    is_page = request.method in ("GET", "HEAD")
    return request.get_full_path() if is_page else way_back(request)


def _marked(view: View, needs: str) -> View:
    cast(Door, view).needs = needs
    return view
