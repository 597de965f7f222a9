"""
How a page asks for a factor: at sign-in, and for a fresh proof. One factor at a time,
with links to the others a member has; works without scripts, but for passkeys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext_lazy as _

from accounts import devices, throttling
from accounts.factors import keyring, passkeys, sms
from accounts.factors.keyring import Factor, Keyring, Shown
from accounts.forms.factors import (
    CodeForm,
    PasskeyForm,
    PasswordForm,
    RecoveryCodeForm,
)
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError

WAYS = {
    Factor.PASSKEY: _("a passkey"),
    Factor.TOTP: _("your authenticator app"),
    Factor.SMS: _("a code by SMS"),
    Factor.RECOVERY: _("a recovery code"),
    Factor.PASSWORD: _("your password"),
}


@dataclass(frozen=True)
class Asking:
    """A page that asks a member for a factor, and then leads on to `next`."""

    route: str  # and the name of its template
    purpose: Proof.Purpose
    member: Member
    next: str
    # Where the page is, if the route's name does not say it; and what else it shows.
    path: str = ""
    shows: Mapping[str, object] = field(default_factory=dict)

    def page(
        self, request: HttpRequest, now: datetime, error: ExchangeError | None = None
    ) -> HttpResponse:
        """Ask for the factor the reader chose, or for the strongest."""
        ways = _ways(keyring.of(self.member))
        factor = _chosen(request, ways)
        form = _form_of(factor)() if factor else None
        return self._render(request, now, form, error)

    def settle(
        self, request: HttpRequest, now: datetime, deed: Callable[[Shown], object]
    ) -> HttpResponse:
        """Do the deed with what was shown and go on; ask again where it was refused."""
        factor = _chosen(request, _ways(keyring.of(self.member)))
        if factor is None:
            return self._render(request, now, None, None)
        form = _form_of(factor)(request.POST)
        if not form.is_valid():
            return self._render(request, now, form, None)
        try:
            deed(self._shown(request, factor, form.cleaned_data["code"], now))
        except ExchangeError as error:
            return self._render(request, now, form, error)
        return redirect(self.next)

    def send_sms(self, request: HttpRequest, now: datetime) -> HttpResponse:
        """Send a code to the member's phone, and ask for it."""
        try:
            sms.send_code(
                member=self.member,
                purpose=self.purpose,
                session_key=str(request.session.session_key),
                device=devices.of(request),
                address=throttling.client_address(request.META),
                now=now,
            )
        except ExchangeError as error:
            return self.page(request, now, error)
        query = urlencode({"with": Factor.SMS.value, "sent": 1, "next": self.next})
        return redirect(f"{self.path or resolve_url(self.route)}?{query}")

    def _shown(
        self, request: HttpRequest, factor: Factor, answer: str, now: datetime
    ) -> Shown:
        challenge = b""
        if factor == Factor.PASSKEY:
            challenge = passkeys.take_challenge(
                request.session, member=self.member, purpose=self.purpose, now=now
            )
        return Shown(
            factor=factor,
            answer=answer,
            purpose=self.purpose,
            session_key=str(request.session.session_key),
            challenge=challenge,
        )

    def _render(
        self,
        request: HttpRequest,
        now: datetime,
        form: forms.Form | None,
        error: ExchangeError | None,
    ) -> HttpResponse:
        held = keyring.of(self.member)
        ways = _ways(held)
        factor = _chosen(request, ways)
        context: dict[str, Any] = {
            **self.shows,
            "factor": factor.value if factor else "",
            "other_ways": [(each.value, WAYS[each]) for each in ways if each != factor],
            "next": self.next,
            "phone": sms.masked(held.phone.number) if held.phone else "",
            "is_sent": "sent" in request.GET or "code" in request.POST,
        }
        if factor == Factor.PASSKEY:
            context["origin"] = passkeys.origin()
            context["options"] = passkeys.options(
                request.session, member=self.member, purpose=self.purpose, now=now
            )
        return respond(request, self.route, form, error, **context)


def respond(
    request: HttpRequest,
    template: str,
    form: forms.Form | None,
    error: ExchangeError | None,
    **context: object,
) -> HttpResponse:
    """Show a form and what was wrong, beside its field where that can be seen."""
    refusal = error.message if error else ""
    if error and form and form.is_bound and _is_seen(form, "code"):
        form.add_error("code", refusal)
        refusal = ""
    context |= {"form": form, "refusal": refusal}
    status = 200
    if error:
        status = refusals.status_of(error)
    elif form and form.errors:
        status = 400
    page = render(request, f"accounts/{template}.html", context, status=status)
    return refusals.with_pause(page, error) if error else page


def _is_seen(form: forms.Form, name: str) -> bool:
    return name in form.fields and not form.fields[name].widget.is_hidden


def _ways(held: Keyring) -> list[Factor]:
    """Return what can be asked for: a member without factors has the password."""
    return [Factor.PASSWORD] if held.is_empty else held.offers


def _chosen(request: HttpRequest, ways: list[Factor]) -> Factor | None:
    wanted = request.POST.get("with") or request.GET.get("with") or ""
    named = [way for way in ways if way.value == wanted]
    return next(iter([*named, *ways]), None)


def _form_of(factor: Factor) -> type[forms.Form]:
    match factor:
        case Factor.TOTP | Factor.SMS:
            return CodeForm
        case Factor.RECOVERY:
            return RecoveryCodeForm
        case Factor.PASSKEY:
            return PasskeyForm
        case Factor.PASSWORD:
            return PasswordForm
        case _:
            assert_never(factor)
