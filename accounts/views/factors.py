"""The security page: which factors there are, adding and removing them."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import throttling, visits
from accounts.factors import (
    checklist,
    keyring,
    losses,
    passkeys,
    recovery,
    sms,
    totp,
)
from accounts.factors.keyring import Factor
from accounts.forms.factors import CodeForm, LabelForm, NewPasskeyForm, PhoneForm
from accounts.models.proofs import Proof
from accounts.views.doors import member_page, proof_page, who
from accounts.views.showing import respond
from exchange.lib import words
from exchange.lib.errors import ExchangeError, NotFound

_READ_AND_WRITE = ["GET", "HEAD", "POST"]


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    member = who(request)
    held = keyring.of(member)
    context = {
        "held": held,
        "phone": sms.masked(held.phone.number) if held.phone else "",
        "is_sms_offered": sms.is_offered(),
        "is_low": not held.is_empty and held.recovery_left <= recovery.LOW,
        "passkeys_max": passkeys.COUNT_MAX,
        "loss": losses.of(member),
        "checklist": checklist.of(member, held),
    }
    return render(request, "accounts/security.html", context)


@require_http_methods(_READ_AND_WRITE)
@sensitive_post_parameters("code")
@proof_page(password_suffices=True)
def add_totp(request: HttpRequest) -> HttpResponse:
    """Show a secret until a code shows that an app has it."""
    member, now = who(request), timezone.now()
    form = CodeForm(request.POST if request.method == "POST" else None)
    error: ExchangeError | None = None
    if form.is_valid():
        try:
            codes = totp.accept_offer(
                request.session,
                member=member,
                code=form.cleaned_data["code"],
                now=now,
            )
            return _added(request, Factor.TOTP, codes)
        except ExchangeError as refusal:
            error = refusal
    context = {
        "offer": totp.offer(request.session, member=member, now=now),
    }
    return respond(request, "totp", form, error, **context)


@require_http_methods(_READ_AND_WRITE)
@proof_page(password_suffices=True)
def add_phone(request: HttpRequest) -> HttpResponse:
    """Ask for a number, and send it a code."""
    form = PhoneForm(
        request.POST if request.method == "POST" else None,
        initial={"country": visits.likely_country(request)},
    )
    error: ExchangeError | None = None
    if form.is_valid():
        try:
            sms.send_enrolment_code(
                member=who(request),
                number=sms.parse_number(
                    form.cleaned_data["number"], country=form.cleaned_data["country"]
                ),
                session_key=str(request.session.session_key),
                address=throttling.client_address(request.META),
                now=timezone.now(),
            )
            return redirect("phone_code")
        except sms.BadNumber as refusal:
            form.add_error("number", refusal.message)
        except ExchangeError as refusal:
            error = refusal
    context = {
        "is_sms_offered": sms.is_offered(),
    }
    return respond(request, "phone", form, error, **context)


@require_http_methods(_READ_AND_WRITE)
@sensitive_post_parameters("code")
@proof_page(password_suffices=True)
def confirm_phone(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was sent to a new phone."""
    member, now = who(request), timezone.now()
    session_key = str(request.session.session_key)
    form = CodeForm(request.POST if request.method == "POST" else None)
    error: ExchangeError | None = None
    if form.is_valid():
        try:
            codes = sms.enrol(
                member=member,
                code=form.cleaned_data["code"],
                session_key=session_key,
                now=now,
            )
            return _added(request, Factor.SMS, codes)
        except ExchangeError as refusal:
            error = refusal
    number = sms.number_being_enrolled(member=member, session_key=session_key, now=now)
    if number is None:
        return redirect("phone")
    context = {
        "phone": sms.masked(number),
    }
    return respond(request, "phone_code", form, error, **context)


@require_http_methods(_READ_AND_WRITE)
@proof_page(password_suffices=True)
def add_passkey(request: HttpRequest) -> HttpResponse:
    """Have the browser make a passkey, and take it."""
    member, now = who(request), timezone.now()
    form = NewPasskeyForm(request.POST if request.method == "POST" else None)
    error: ExchangeError | None = None
    if form.is_valid():
        try:
            codes = passkeys.enrol(
                request.session,
                member=member,
                answer=form.cleaned_data["code"],
                label=form.cleaned_data["label"],
                now=now,
            )
            return _added(request, Factor.PASSKEY, codes)
        except ExchangeError as refusal:
            error = refusal
    context = {
        "origin": passkeys.origin(),
        "options": passkeys.enrolment_options(request.session, member=member, now=now),
    }
    return respond(request, "passkeys", form, error, **context)


@require_http_methods(_READ_AND_WRITE)
@proof_page()
def rename_passkey(request: HttpRequest, pk: int) -> HttpResponse:
    """Call a passkey otherwise."""
    try:
        passkey = passkeys.one_of(who(request), pk)
    except NotFound as error:
        raise Http404 from error
    form = LabelForm(request.POST or None, initial={"label": passkey.label})
    if form.is_valid():
        label = form.cleaned_data["label"]
        try:
            passkeys.rename(member=who(request), pk=pk, label=label)
            return redirect("security")
        except words.Unseen as error:
            form.add_error("label", error.message)
    return respond(request, "passkey", form, None)


@require_http_methods(_READ_AND_WRITE)
@proof_page()
def make_recovery(request: HttpRequest) -> HttpResponse:
    """Make ten new codes, and show them this once."""
    member = who(request)
    if keyring.of(member).is_empty:
        return redirect("security")
    if request.method != "POST":
        return render(request, "accounts/recovery.html", {"held": keyring.of(member)})
    codes = recovery.replace_all(member=member, now=timezone.now())
    return _show_codes(request, codes)


@require_http_methods(_READ_AND_WRITE)
@proof_page()
def remove(request: HttpRequest, kind: str) -> HttpResponse:
    """Remove the app or the phone, once the member has seen what that means."""
    verbs = {"totp": totp.remove, "phone": sms.remove}
    held = keyring.of(who(request))
    if kind not in verbs or getattr(held, kind) is None:
        raise Http404
    if request.method != "POST":
        return _ask_to_remove(request, kind)
    verbs[kind](
        member=who(request),
        session_key=request.session.session_key,
        now=timezone.now(),
    )
    return _removed(request)


@require_http_methods(_READ_AND_WRITE)
@proof_page()
def remove_passkey(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a passkey, once the member has seen what that means."""
    try:
        passkey = passkeys.one_of(who(request), pk)
        if request.method != "POST":
            return _ask_to_remove(request, "passkey", label=passkey.label)
        passkeys.remove(
            member=who(request),
            pk=pk,
            session_key=request.session.session_key,
            now=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    return _removed(request)


@require_POST
@member_page
def cancel_loss(request: HttpRequest) -> HttpResponse:
    """Take back the report that all factors are lost."""
    loss = losses.of(who(request))
    if loss is not None:
        losses.cancel(loss=loss, now=timezone.now())
        messages.success(request, _("Your factors stay as they are."))
    return redirect("security")


def _added(request: HttpRequest, factor: Factor, codes: list[str]) -> HttpResponse:
    """Go on after a factor was added: whoever added it has just shown that one."""
    keyring.note_proof(
        request.session,
        member=who(request),
        factor=factor,
        purpose=Proof.Purpose.SECURITY,
        now=timezone.now(),
    )
    if codes:
        return _show_codes(request, codes)
    messages.success(request, _("Added. Your other sessions have been signed out."))
    return redirect("security")


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return render(request, "accounts/recovery_codes.html", {"codes": codes})


def _ask_to_remove(request: HttpRequest, kind: str, label: str = "") -> HttpResponse:
    held = keyring.of(who(request))
    others = bool(held.totp) + bool(held.phone) + len(held.passkeys) - 1
    context = {"kind": kind, "label": label, "is_last": others == 0}
    return render(request, "accounts/remove_factor.html", context)


def _removed(request: HttpRequest) -> HttpResponse:
    messages.success(request, _("Removed. Your other sessions have been signed out."))
    return redirect("security")
