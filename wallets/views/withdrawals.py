"""
The withdrawal pages: whom to pay and how much, a look at the terms, and what became
of it.

The terms that a member looks at are in the address of the page that shows them, signed
by us: whatever another tab does meanwhile, what is confirmed is what is seen there.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import devices, identity, links, proofs, sign_ins
from accounts.factors import changes, keyring
from accounts.factors.keyring import Shown
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.views.doors import (
    member_page,
    proof_page,
    public,
    way_to_proof,
    who,
)
from accounts.views.showing import Asking
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError
from exchange.lib.money import plain, round_down, unit
from exchange.lib.transactions import transaction
from wallets import beneficiaries, ledger, payouts, queries, withdrawals
from wallets.addresses import groups_of_four
from wallets.chains import NoChain, chain_of
from wallets.chains.base import ChainError
from wallets.forms.withdrawals import BeneficiaryForm, WithdrawalForm
from wallets.models.coins import Rules
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary, Withdrawal
from wallets.withdrawals import Source, Terms

_ROWS = 50
_SALT = "wallets.withdrawal"
_TERMS_SECONDS = 600
_NO_FACTOR = gettext_lazy("Withdrawing needs a second factor. Please add one first.")
# Beside which field a refusal stands; what names none concerns the whole.
_FIELDS: dict[type[ExchangeError], str] = {
    withdrawals.BadWithdrawal: "amount",
    withdrawals.LimitReached: "amount",
    ledger.InsufficientFunds: "amount",
    withdrawals.NotUsable: "beneficiary",
}
_OF_THE_DESTINATION = (
    beneficiaries.BadDestination,
    beneficiaries.OwnAddress,
    beneficiaries.KnownDestination,
    NoChain,
)
# The way of a withdrawal as its owner sees it; one by bank knows no broadcast.
_WAY = ["review", "approved", "building", "signed", "broadcast", "confirmed"]
_WAY_BY_BANK = ["review", "approved", "building", "confirmed"]


@require_safe
@member_page
def ask_first(_request: HttpRequest) -> HttpResponse:
    """Lead to the page of the first currency that is paid out."""
    rows = Currency.objects.filter(is_visible=True, rules__isnull=False)
    first = rows.order_by("sort_order", "code").first()
    if first is None:
        raise Http404
    return redirect("withdraw", first.code)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def ask(request: HttpRequest, code: str) -> HttpResponse:
    """Ask whom to pay and how much; what is posted leads to a look at the terms."""
    currency, member = _currency(code), who(request)
    now = timezone.now()
    known = beneficiaries.of(member, code)
    usable = [row for row in known if beneficiaries.is_usable(row)]
    form = WithdrawalForm(request.POST or None, choices=usable)
    status = 200
    if request.method == "POST" and form.is_valid():
        chosen, amount = form.cleaned_data["beneficiary"], form.cleaned_data["amount"]
        try:
            terms = withdrawals.foresee(
                member=member, beneficiary=chosen, amount=amount, now=now
            )
        except ExchangeError as error:
            form.add_error(_FIELDS.get(type(error)), error.message)
        else:
            return redirect("confirm_withdrawal", _signed(chosen, terms))
    if form.errors:
        status = 400
    rules, held = withdrawals.rules_of(code), queries.balance(member.pk, code)
    is_practice, least = _is_practice(code), rules.withdrawal_min + rules.withdrawal_fee
    way = _WAY_BY_BANK if currency.kind == Currency.Kind.FIAT else _WAY
    context = {
        "currency": currency,
        "currencies": queries.visible_currencies(),
        "form": form,
        "usable": usable,
        "waiting": [row for row in known if row not in usable],
        "held": held,
        "all": plain(round_down(held.available, unit(currency.digits))),
        "available": plain(held.available),
        "fee": plain(rules.withdrawal_fee),
        "least": plain(least),
        "least_number": least,
        "rules": rules,
        "level": member.identity_level,
        "limits": _limits(member, now),
        "rests_until": withdrawals.rests_until(member),
        "is_practice": is_practice,
        "why_waiting": payouts.why_waiting(code),
        "rows": [
            _row(row, rules, way, is_practice=is_practice)
            for row in withdrawals.of(member, code)[:_ROWS]
        ],
    }
    return render(request, "funds/withdraw.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code")
@member_page
def confirm(request: HttpRequest, terms: str) -> HttpResponse:
    """Show the terms, and take a code that is good for this withdrawal only."""
    member = who(request)
    if not changes.has_any(member.pk):
        return way_to_proof(request, back_to=request.path, no_factor=_NO_FACTOR)
    beneficiary, wanted = _read(member, terms)
    asking = _asking(request, terms, beneficiary, wanted)
    now = timezone.now()
    if request.method != "POST":
        return asking.page(request, now)

    def deed(shown: Shown) -> Withdrawal:
        keyring.check(member=member, shown=shown, now=now)
        with transaction():
            proof = proofs.record(
                member=member,
                session_key=str(request.session.session_key),
                purpose=shown.purpose,
                factor=shown.factor,
                now=now,
            )
        known = sign_ins.is_known_device(member, devices.of(request), now=now)
        placed = withdrawals.place(
            member=member,
            beneficiary=beneficiary,
            amount=wanted.amount,
            shown=wanted,
            source=Source(proof=proof, is_new_device=not known),
            now=now,
        )
        messages.success(request, _said(placed))
        return placed

    return asking.settle(request, now, deed)


@require_POST
@member_page
def send_sms(request: HttpRequest, terms: str) -> HttpResponse:
    """Send a code to confirm a withdrawal with."""
    beneficiary, wanted = _read(who(request), terms)
    asking = _asking(request, terms, beneficiary, wanted)
    return asking.send_sms(request, timezone.now())


@require_POST
@member_page
def cancel(request: HttpRequest, withdrawal_id: int) -> HttpResponse:
    """Give the money back, while nothing is being prepared."""
    member = who(request)
    row = get_object_or_404(Withdrawal, pk=withdrawal_id, member=member)
    try:
        withdrawals.cancel(withdrawal=row, by=f"member:{member.pk}", now=timezone.now())
    except ExchangeError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Cancelled: the money is yours to use again."))
    return redirect("withdraw", row.currency_id)


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
def cancel_by_link(
    request: HttpRequest, withdrawal_id: int, token: str
) -> HttpResponse:
    """Cancel by the link of a mail; the link alone changes nothing."""
    try:
        row = withdrawals.whose_link(token, withdrawal_id)
        if request.method == "POST":
            withdrawals.cancel_by_link(token, withdrawal_id, now=timezone.now())
            return render(request, "funds/withdrawal_cancel.html", {"is_done": True})
    except links.LinkSpent:
        refusal = _("It cannot be cancelled any more, or has been already.")
        context = {"refusal": refusal}
        return render(request, "funds/withdrawal_cancel.html", context, status=410)
    return render(request, "funds/withdrawal_cancel.html", {"row": row})


# --- The address book ----------------------------------------------------------------


@require_safe
@member_page
def show_book(request: HttpRequest) -> HttpResponse:
    """Show the address book."""
    rows = beneficiaries.of(who(request))
    practice = _practice_codes()
    context = {
        "rows": [
            (row, beneficiaries.is_usable(row), row.currency_id in practice)
            for row in rows
        ],
    }
    return render(request, "funds/beneficiaries.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page()
def add(request: HttpRequest) -> HttpResponse:
    """Write somebody into the address book."""
    wanted = request.GET.get("currency", "")
    form = BeneficiaryForm(request.POST or None, initial={"currency": wanted})
    is_ours = False
    if request.method == "POST" and form.is_valid():
        try:
            beneficiaries.add(
                member=who(request), now=timezone.now(), **form.cleaned_data
            )
        except ExchangeError as error:
            is_of_it = isinstance(error, _OF_THE_DESTINATION)
            form.add_error("destination" if is_of_it else None, error.message)
            is_ours = isinstance(error, beneficiaries.OwnAddress)
        except ChainError:
            form.add_error(None, _("The chain does not answer. Please try again."))
        else:
            messages.success(
                request, _("We have sent you a mail. Please confirm the entry there.")
            )
            return redirect("beneficiaries")
    status = 400 if form.errors else 200
    practice = ", ".join(code.upper() for code in _practice_codes())
    context = {"form": form, "practice": practice, "is_ours": is_ours}
    return render(request, "funds/beneficiary_new.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@public
@refusals.as_page
def confirm_entry(
    request: HttpRequest, beneficiary_id: int, token: str
) -> HttpResponse:
    """Confirm an entry by the link of its mail; the link alone changes nothing."""
    try:
        row = beneficiaries.whose_link(token, beneficiary_id)
        if request.method == "POST":
            beneficiaries.confirm(token, beneficiary_id)
            messages.success(request, _("Confirmed."))
            return redirect("beneficiaries")
    except links.LinkSpent as error:
        context = {"refusal": error.message}
        return render(request, "funds/beneficiary_confirm.html", context, status=410)
    shown = {
        "row": row,
        "groups": groups_of_four(row.destination),
        "is_practice": _is_practice(row.currency_id),
    }
    return render(request, "funds/beneficiary_confirm.html", shown)


@require_POST
@member_page
def remove(request: HttpRequest, beneficiary_id: int) -> HttpResponse:
    """Take an entry out of the address book."""
    member = who(request)
    row = get_object_or_404(Beneficiary, pk=beneficiary_id, member=member)
    beneficiaries.remove(member=member, beneficiary=row)
    messages.success(request, _("Removed from your address book."))
    return redirect("beneficiaries")


def _currency(code: str) -> Currency:
    return get_object_or_404(Currency, pk=code, is_visible=True, rules__isnull=False)


def _is_practice(code: str) -> bool:
    try:
        return chain_of(code).is_practice
    except ExchangeError:
        return False


def _practice_codes() -> list[str]:
    return [code for code in queries.currency_codes() if _is_practice(code)]


def _limits(member: Member, now: datetime) -> list[dict[str, Any]]:
    """Return how much of each limit is used and left."""
    limits, left = identity.limits_of(member), withdrawals.left_of(member, now=now)
    spans = (
        (_("In 24 hours"), limits.withdrawal_24h, left.day),
        (_("In 30 days"), limits.withdrawal_30d, left.month),
    )
    return [
        {
            "label": label,
            "whole": whole,
            "left": rest,
            "used": whole - rest,
            "percent": int(100 * (whole - rest) / whole) if whole else 100,
            "unit": limits.currency.upper(),
        }
        for label, whole, rest in spans
    ]


def _signed(beneficiary: Beneficiary, terms: Terms) -> str:
    texts = [f"{part:f}" for part in terms]
    return signing.dumps([beneficiary.pk, *texts], salt=_SALT)


def _read(member: Member, text: str) -> tuple[Beneficiary, Terms]:
    try:
        key, *texts = signing.loads(text, salt=_SALT, max_age=_TERMS_SECONDS)
    except signing.BadSignature as error:
        raise Http404 from error
    row = get_object_or_404(Beneficiary, pk=key, member=member)
    return row, Terms(*map(Decimal, texts))


def _asking(
    request: HttpRequest, text: str, beneficiary: Beneficiary, wanted: Terms
) -> Asking:
    return Asking(
        "confirm_withdrawal",
        Proof.Purpose.WITHDRAWAL,
        who(request),
        reverse("withdraw", args=[beneficiary.currency_id]),
        path=reverse("confirm_withdrawal", args=[text]),
        shows={
            "beneficiary": beneficiary,
            "terms": wanted,
            "groups": groups_of_four(beneficiary.destination),
            "is_practice": _is_practice(beneficiary.currency_id),
            "sms_url": reverse("confirm_withdrawal_sms", args=[text]),
        },
    )


def _said(placed: Withdrawal) -> str:
    if placed.state == Withdrawal.State.REVIEW:
        return _("Thank you. Somebody will look at it before it is paid.")
    if placed.currency.kind == Currency.Kind.FIAT:
        return _("Thank you. It goes to our bank with the next transfers.")
    return _("Thank you. It will be paid within minutes.")


def _row(
    withdrawal: Withdrawal, rules: Rules, way: list[str], *, is_practice: bool
) -> dict[str, Any]:
    state = withdrawal.state
    at = way.index(state) if state in way else -1
    labels, payout = Withdrawal.State, withdrawal.payout
    is_sent = state == labels.BROADCAST and payout is not None
    return {
        "withdrawal": withdrawal,
        "can_cancel": state in withdrawals.CANCELLABLE
        and not (withdrawal.looks_paid or withdrawal.came_back),
        "required": payouts.required(rules, payout) if is_sent and payout else 0,
        "link": "" if is_practice else rules.link_to(withdrawal.txid),
        "steps": [
            {
                "label": labels(each).label,
                "is_done": number < at or state == "confirmed",
                "is_now": number == at and state != "confirmed",
            }
            for number, each in enumerate(way)
        ]
        if at >= 0
        else [],
    }
