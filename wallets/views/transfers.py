"""
The page of transfers: whom of the house to pay, a look at the terms, and what was paid.

The terms that a member looks at are in the address of the page that shows them, signed
by us, with an id: however often that page is sent, it pays once. They are sealed, since
they say who is paid, and addresses of pages end up in logs.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import proofs
from accounts.factors import changes, keyring
from accounts.factors.keyring import Shown
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.views.doors import member_page, way_to_proof, who
from accounts.views.showing import Asking
from exchange.lib.errors import ExchangeError
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction
from wallets import queries, transfers, withdrawals
from wallets.forms.transfers import TransferForm
from wallets.models.transfers import Transfer
from wallets.withdrawals import Source

_ROWS = 50
_SALT = "wallets.transfer"
_TERMS_SECONDS = 600
_NO_FACTOR = gettext_lazy("Transfers need a second factor. Please add one first.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a member wants, as the page shows it before a code is asked for."""

    sender: int
    recipient: str
    currency: str
    amount: Decimal
    note: str
    client_id: str


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def ask(request: HttpRequest) -> HttpResponse:
    """Ask whom to pay and what; what is posted leads to a look at the terms."""
    member, status = who(request), 200
    wished = {"currency": request.GET.get("currency", "")}
    form = TransferForm(request.POST or None, initial=wished)
    if request.method == "POST" and form.is_valid():
        wanted = _wanted(member, form)
        if wanted is not None:
            return redirect("confirm_transfer", _signed(wanted))
    if form.errors:
        status = 400
    context = {
        "form": form,
        "number": member.sn,
        "balances": [row for row in queries.balances(member) if row.available],
        "left": withdrawals.left_of(member, now=timezone.now()),
        "rests_until": withdrawals.rests_until(member),
        "rows": [_row(row, member) for row in transfers.rows_of(member)[:_ROWS]],
    }
    return render(request, "funds/transfer.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code")
@member_page
def confirm(request: HttpRequest, terms: str) -> HttpResponse:
    """Show the terms, and take a code that is good for this transfer only."""
    member = who(request)
    wanted = _read(member, terms)
    if not changes.has_any(member.pk):
        return way_to_proof(request, back_to=request.path, no_factor=_NO_FACTOR)
    asking = _asking(request, terms, wanted)
    now = timezone.now()
    if request.method != "POST":
        return asking.page(request, now)

    def deed(shown: Shown) -> Transfer:
        keyring.check(member=member, shown=shown, now=now)
        with transaction():
            proof = proofs.record(
                member=member,
                session_key=str(request.session.session_key),
                purpose=shown.purpose,
                factor=shown.factor,
                now=now,
            )
        placed = transfers.place(
            sender=member,
            recipient=wanted.recipient,
            currency=wanted.currency,
            amount=wanted.amount,
            note=wanted.note,
            client_id=wanted.client_id,
            source=Source(proof=proof),
            now=now,
        )
        messages.success(request, _("Thank you. It is theirs now."))
        return placed

    return asking.settle(request, now, deed)


@require_POST
@member_page
def send_sms(request: HttpRequest, terms: str) -> HttpResponse:
    """Send a code to confirm a transfer with."""
    asking = _asking(request, terms, _read(who(request), terms))
    return asking.send_sms(request, timezone.now())


def _wanted(member: Member, form: TransferForm) -> Wanted | None:
    """Return what is wanted, or None and say beside the fields what cannot be."""
    terms = form.cleaned_data
    recipient, currency, amount = terms["recipient"], terms["currency"], terms["amount"]
    looks: dict[str, Callable[[], object]] = {
        "recipient": lambda: transfers.look_up(member, recipient),
        "amount": lambda: transfers.demand_payable(member, currency, amount),
        "note": lambda: transfers.sound_note(terms["note"]),
    }
    for name, look in looks.items():
        try:
            look()
        except ExchangeError as error:
            form.add_error(name, error.message)
    if form.errors:
        return None
    typed, note = transfers.recipient_named(recipient), terms["note"]
    once = secrets.token_urlsafe(16)
    return Wanted(member.pk, typed, currency, amount, note, once)


def _signed(wanted: Wanted) -> str:
    terms = asdict(wanted) | {"amount": f"{wanted.amount:f}"}
    content = json.dumps(terms, ensure_ascii=False).encode()
    sealed = seal(content, purpose=_SALT, bound_to=_SALT)
    return signing.dumps(urlsafe_b64encode(sealed).decode(), salt=_SALT)


def _read(member: Member, text: str) -> Wanted:
    try:
        sealed = signing.loads(text, salt=_SALT, max_age=_TERMS_SECONDS)
    except signing.BadSignature as error:
        raise Http404 from error
    content = unseal(urlsafe_b64decode(sealed), purpose=_SALT, bound_to=_SALT)
    terms = json.loads(content)
    wanted = Wanted(**terms | {"amount": Decimal(terms["amount"])})
    if wanted.sender != member.pk:
        raise Http404
    return wanted


def _asking(request: HttpRequest, text: str, wanted: Wanted) -> Asking:
    member = who(request)
    try:
        name = transfers.look_up(member, wanted.recipient)
    except ExchangeError:
        name = ""  # it is said once a code is shown
    return Asking(
        "confirm_transfer",
        Proof.Purpose.WITHDRAWAL,
        member,
        reverse("transfer"),
        path=reverse("confirm_transfer", args=[text]),
        shows={
            "wanted": wanted,
            "name": name,
            "sms_url": reverse("confirm_transfer_sms", args=[text]),
        },
    )


def _row(transfer: Transfer, member: Member) -> dict[str, Any]:
    is_sent = transfer.sender_id == member.pk
    other = transfer.recipient if is_sent else transfer.sender
    return {
        "transfer": transfer,
        "is_sent": is_sent,
        "number": other.sn,
        "name": transfers.initials(other),
    }
