"""The identity check, step by step: data, document, address, sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import documents, identity
from accounts.documents import Part
from accounts.forms.identity import (
    AddressDocumentForm,
    IdentityDocumentForm,
    PersonalDataForm,
)
from accounts.models.identity import IdentityCase, IdentityDocument, IdentityLevel
from accounts.models.members import Member
from accounts.views.doors import member_page, who
from exchange.lib import refusals
from exchange.lib.errors import ExchangeError

PaperForm = IdentityDocumentForm | AddressDocumentForm

_STEPS = {
    "data": "identity_data",
    Part.IDENTITY.value: "identity_document",
    Part.ADDRESS.value: "identity_address",
}


@require_safe
@member_page
def show(request: HttpRequest) -> HttpResponse:
    return _overview(request, status=200)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@member_page
def describe(request: HttpRequest) -> HttpResponse:
    """Ask who the member is."""
    case = identity.case_of(who(request))
    if _is_being_checked(case):
        return _stay(request)
    if request.method != "POST":
        data = None if case is None else identity.personal_data(case)
        form = PersonalDataForm(initial=None if data is None else asdict(data))
        return _ask_data(request, form, case, status=200)
    form = PersonalDataForm(request.POST)
    if not form.is_valid():
        return _ask_data(request, form, case, status=400)
    try:
        case = identity.describe(
            member=who(request), data=form.data_given(), now=timezone.now()
        )
    except ExchangeError as error:
        form.add_error(_field(form, error), error.message)
        return _ask_data(request, form, case, status=refusals.status_of(error))
    return _go_on(case)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@member_page
def document(request: HttpRequest) -> HttpResponse:
    """Ask for the identity document."""
    return _take(request, IdentityDocumentForm)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@member_page
def address(request: HttpRequest) -> HttpResponse:
    """Ask for the proof of address."""
    return _take(request, AddressDocumentForm)


@require_POST
@member_page
def send(request: HttpRequest) -> HttpResponse:
    """Give all of it to the operators."""
    try:
        identity.send(member=who(request), now=timezone.now())
    except ExchangeError as error:
        status = refusals.status_of(error)
        return _overview(request, status=status, refusal=error.message)
    return redirect("identity")


def _take(request: HttpRequest, kind: type[PaperForm]) -> HttpResponse:
    member = who(request)
    case = identity.case_of(member)
    if case is None or case.sealed is None:
        return redirect("identity_data")
    if _is_being_checked(case):
        return _stay(request)
    if request.method != "POST":
        return _ask_paper(request, kind(), status=200)
    form = kind(request.POST, request.FILES)
    if not form.is_valid():
        return _ask_paper(request, form, status=400)
    try:
        identity.hand_in(
            member=member,
            paper=form.paper(),
            files=form.uploads(),
            now=timezone.now(),
        )
    except ExchangeError as error:
        form.add_error(_field(form, error), error.message)
        answer = _ask_paper(request, form, status=refusals.status_of(error))
        return refusals.with_pause(answer, error)
    return _go_on(case)


def _is_being_checked(case: IdentityCase | None) -> bool:
    return case is not None and case.state == IdentityCase.State.VERIFYING


def _stay(request: HttpRequest) -> HttpResponse:
    """Show how it stands, instead of a form that would be refused."""
    if request.method != "POST":
        return redirect("identity")
    error = identity.UnderReview()
    status = refusals.status_of(error)
    return _overview(request, status=status, refusal=error.message)


def _go_on(case: IdentityCase) -> HttpResponse:
    missing = identity.missing_steps(case)
    return redirect(_STEPS[missing[0]] if missing else "identity")


def _field(form: PersonalDataForm | PaperForm, error: ExchangeError) -> str | None:
    field = str(error.facts.get("field", ""))
    if error.code.startswith(("file_", "picture_", "too_many_pages")):
        field = "front"
    return field if field in form.fields else None


def _ask_data(
    request: HttpRequest,
    form: PersonalDataForm,
    case: IdentityCase | None,
    *,
    status: int,
) -> HttpResponse:
    context = {
        "form": form,
        "is_verified": case is not None and case.state == IdentityCase.State.VERIFIED,
        "steps": _progress(case, "data"),
    }
    return render(request, "accounts/identity_data.html", context, status=status)


def _ask_paper(request: HttpRequest, form: PaperForm, *, status: int) -> HttpResponse:
    case = identity.case_of(who(request))
    context = {
        "form": form,
        "title": form.part.label,
        "is_address": form.part == Part.ADDRESS,
        "steps": _progress(case, form.part.value),
    }
    return render(request, "accounts/identity_document.html", context, status=status)


def _overview(request: HttpRequest, *, status: int, refusal: str = "") -> HttpResponse:
    member = Member.objects.get(pk=who(request).pk)
    case = identity.case_of(member)
    missing = identity.missing_steps(case)
    state = IdentityCase.State(case.state if case else IdentityCase.State.UNVERIFIED)
    context = {
        "refusal": refusal,
        "state": state.value,
        "steps": _progress(case, ""),
        "next_url": reverse(_STEPS[missing[0]]) if missing else "",
        "is_begun": case is not None,
        "may_change": state != IdentityCase.State.VERIFYING,
        "may_go_on": state == IdentityCase.State.UNVERIFIED,
        "may_send": not missing and state.value in {"unverified", "rejected"},
        "data": None if case is None else identity.personal_data(case),
        "levels": _levels(member),
        "level": member.identity_level,
    }
    return render(request, "accounts/identity.html", context, status=status)


def _progress(case: IdentityCase | None, here: str) -> list[dict[str, Any]]:
    """Return the steps, how far each is, and what to do about it."""
    rows = {} if case is None else {row.part: row for row in documents.current(case)}
    has_data = case is not None and case.sealed is not None
    is_sent = case is not None and case.state in {"verifying", "verified"}
    return [
        {
            "label": _("Personal data"),
            "is_here": here == "data",
            "is_done": has_data,
            "status": _("given") if has_data else _("missing"),
            "url": reverse("identity_data"),
        },
        *(_paper_step(part, rows.get(part), here) for part in Part),
        {
            "label": _("Sent for checking"),
            "is_here": False,
            "is_done": is_sent,
            "status": IdentityCase.State(case.state).label
            if case is not None
            else IdentityCase.State.UNVERIFIED.label,
            "url": "",
        },
    ]


def _paper_step(
    part: IdentityDocument.Part, row: IdentityDocument | None, here: str
) -> dict[str, Any]:
    step: dict[str, Any] = {
        "label": part.label,
        "is_here": here == part.value,
        "is_done": row is not None and row.state != documents.State.REJECTED,
        "status": _("missing"),
        "url": reverse(_STEPS[part.value]),
    }
    if row is not None:
        number = documents.number_of(row)
        step |= {
            "status": IdentityDocument.State(row.state).label,
            "is_rejected": row.state == documents.State.REJECTED,
            "is_accepted": row.state == documents.State.ACCEPTED,
            "kind": IdentityDocument.Kind(row.kind).label,
            "number": documents.masked(number) if number else "",
            "reason": IdentityDocument.Reason(row.reason).label if row.reason else "",
            "note": row.note,
        }
    return step


def _levels(member: Member) -> list[dict[str, Any]]:
    words = [
        _("E-mail address confirmed"),
        _("Personal data given"),
        _("Identity document verified"),
        _("Address verified as well"),
    ]
    return [
        {
            "number": row.level,
            "demand": words[row.level],
            "currency": row.currency.upper(),
            "withdrawal_24h": row.withdrawal_24h,
            "withdrawal_30d": row.withdrawal_30d,
            "is_mine": row.level == member.identity_level,
        }
        for row in IdentityLevel.objects.order_by("level")
    ]
