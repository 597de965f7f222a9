"""
Identity cases: the queue, and the page on which one is opened, looked at and decided.

What identifies a person shows only while the operator has the case open for a reason.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import countries, documents, identity, reviews
from accounts.forms.identity import OpeningForm, VerdictForm
from accounts.models.identity import (
    CaseOpening,
    DocumentPage,
    IdentityCase,
    IdentityDocument,
    IdentityLevel,
)
from accounts.models.members import Member
from exchange.lib import refusals
from exchange.lib.admin import Kept, Queue, ReadOnly, may, reasoned
from exchange.lib.errors import ExchangeError

# Nothing in a document may do anything, wherever it is opened.
_LOCKED_UP = "default-src 'none'; sandbox"


@admin.register(IdentityLevel)
class IdentityLevelAdmin(Kept):
    list_display = ("level", "currency", "withdrawal_24h", "withdrawal_30d")
    readonly_fields = ("level",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # there are as many as there are steps to verify


class Waiting(admin.SimpleListFilter):
    """The cases that wait, unless one asks for others."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        del request, model_admin
        others = [state for state in IdentityCase.State if state != "verifying"]
        return [*((state.value, state.label) for state in others), ("all", _("all"))]

    def choices(self, changelist: Any) -> Any:
        first, *rest = super().choices(changelist)
        yield {**first, "display": IdentityCase.State.VERIFYING.label}
        yield from rest

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[IdentityCase]
    ) -> QuerySet[IdentityCase]:
        wanted = self.value() or IdentityCase.State.VERIFYING.value
        return queryset if wanted == "all" else queryset.filter(state=wanted)


@admin.register(IdentityCase)
class IdentityCaseAdmin(ReadOnly):
    list_display = ("__str__", "member", "state", "sent_at", "claimed_by")
    list_filter = (Waiting,)
    list_select_related = ("member", "claimed_by")
    search_fields = ("=member__email", "member__sn")
    ordering = ("sent_at", "pk")
    exclude = ("sealed",)
    change_form_template = "admin/accounts/identitycase/review.html"
    actions = ("reopen",)
    queue = Queue(_("Identities to review"), Q(state="verifying"))
    whole_list = "?queue=all"

    def has_view_permission(
        self, request: HttpRequest, obj: IdentityCase | None = None
    ) -> bool:
        is_reviewer = _operator(request).has_perm(reviews.PERMISSION)
        return is_reviewer or super().has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        door = self.admin_site.admin_view
        ours = [
            path(
                "<int:case_id>/open",
                door(require_POST(self.open_case)),
                name="accounts_identitycase_open",
            ),
            path(
                "<int:case_id>/release",
                door(require_POST(self.release)),
                name="accounts_identitycase_release",
            ),
            path(
                "<int:case_id>/decide",
                door(require_POST(self.decide)),
                name="accounts_identitycase_decide",
            ),
            path(
                "pages/<int:page_id>",
                door(never_cache(require_safe(self.page))),
                name="accounts_identitycase_page",
            ),
        ]
        return [*ours, *super().get_urls()]

    has_review_permission = may(reviews.PERMISSION)

    def actions_on(self, row: IdentityCase) -> tuple[str, ...]:
        return () if row.state == IdentityCase.State.UNVERIFIED else self.actions

    @reasoned(
        description=_("Reopen: every document has to be sent again"),
        permissions=["review"],
        warning=_(
            "The member is told by mail, and falls back to the level of who has sent "
            "no documents."
        ),
    )
    def reopen(
        self, request: HttpRequest, row: IdentityCase, *, by: str, reason: str
    ) -> None:
        reviews.reopen(
            case_id=row.pk,
            operator=_operator(request),
            reason=reason,
            now=timezone.now(),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        case = self.get_object(request, object_id)
        context = {} if case is None else _review(request, case)
        answer = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        answer["Cache-Control"] = "no-store, private"
        return answer

    def open_case(self, request: HttpRequest, case_id: int) -> HttpResponse:
        form = OpeningForm(request.POST)
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        try:
            reviews.open_case(
                case_id=case_id,
                operator=_operator(request),
                reason=reason,
                now=timezone.now(),
            )
        except ExchangeError as error:
            messages.error(request, error.message)
        return _back(case_id)

    def release(self, request: HttpRequest, case_id: int) -> HttpResponse:
        try:
            reviews.release(case_id=case_id, operator=_operator(request))
        except ExchangeError as error:
            messages.error(request, error.message)
        return HttpResponseRedirect(reverse("admin:accounts_identitycase_changelist"))

    def decide(self, request: HttpRequest, case_id: int) -> HttpResponse:
        case = get_object_or_404(IdentityCase, pk=case_id)
        forms = _forms(case, request)
        if not all(form.is_valid() for form in forms.values()):
            messages.error(request, reviews.VerdictsIncomplete().message)
            return _back(case_id)
        try:
            done = reviews.decide(
                case_id=case_id,
                operator=_operator(request),
                verdicts={pk: form.given() for pk, form in forms.items()},
                now=timezone.now(),
            )
        except ExchangeError as error:
            messages.error(request, error.message)
            return _back(case_id)
        messages.success(
            request,
            _("%(case)s: %(state)s.")
            % {"case": done, "state": done.get_state_display()},
        )
        return HttpResponseRedirect(reverse("admin:accounts_identitycase_changelist"))

    def page(self, request: HttpRequest, page_id: int) -> HttpResponse:
        try:
            content = reviews.look(
                page_id=page_id, operator=_operator(request), now=timezone.now()
            )
        except ExchangeError as error:
            status = refusals.status_of(error)
            return HttpResponse(error.message, status=status, content_type="text/plain")
        answer = HttpResponse(content, content_type="image/jpeg")
        # Shown, not saved: a download would leave a copy on the operator's disk.
        answer["Content-Disposition"] = f'inline; filename="page-{page_id}.jpg"'
        answer["Content-Security-Policy"] = _LOCKED_UP
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cross-Origin-Resource-Policy"] = "same-origin"
        answer["Cache-Control"] = "no-store, private"
        return answer


@admin.register(IdentityDocument)
class IdentityDocumentAdmin(ReadOnly):
    """Every document there ever was. Pages open on the page of their case."""

    list_display = ("__str__", "case", "part", "kind", "state", "reason", "created_at")
    list_filter = ("state", "part", "reason")
    list_select_related = ("case",)
    search_fields = ("=case__member__email", "case__member__sn")
    ordering = ("-pk",)
    exclude = ("sealed", "number_digest", "note")


@admin.register(DocumentPage)
class DocumentPageAdmin(ReadOnly):
    list_display = ("__str__", "size_bytes")
    list_select_related = ("document",)
    search_fields = ("=document__case__member__email",)
    ordering = ("-pk",)
    exclude = ("key_sealed", "file")


@admin.register(CaseOpening)
class CaseOpeningAdmin(ReadOnly):
    list_display = ("at", "case", "operator", "reason")
    list_select_related = ("case", "operator")
    search_fields = ("=operator__email", "=case__member__email", "reason")
    ordering = ("-pk",)


def _operator(request: HttpRequest) -> Member:
    return cast(Member, request.user)


def _back(case_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(
        reverse("admin:accounts_identitycase_change", args=[case_id])
    )


def _forms(case: IdentityCase, request: HttpRequest) -> dict[int, VerdictForm]:
    """Return a form for each document that waits for a verdict."""
    waiting = documents.current(case).filter(state=documents.State.SUBMITTED)
    given = request.POST if request.method == "POST" else None
    return {row.pk: VerdictForm(given, prefix=f"document-{row.pk}") for row in waiting}


def _review(request: HttpRequest, case: IdentityCase) -> dict[str, Any]:
    """Return what stands on the page of a case, for this operator, now."""
    now, operator = timezone.now(), _operator(request)
    opening = reviews.opening_of(case, operator, now=now)
    forms = _forms(case, request)
    data = identity.personal_data(case) if opening else None
    return {
        "case": case,
        "claimed_by": reviews.claimant_of(case, now=now),
        "opening": opening,
        "open_until": None if opening is None else opening.at + reviews.OPEN_FOR,
        "opening_form": OpeningForm(),
        "is_own": case.member_id == operator.pk,
        "may_review": operator.has_perm(reviews.PERMISSION),
        "may_decide": bool(opening) and case.state == IdentityCase.State.VERIFYING,
        "facts": [] if data is None else _facts(data),
        "papers": [
            {
                "row": row,
                "number": _number(row, is_open=bool(opening)),
                "pages": list(row.pages.all()),
                "namesakes": list(reviews.namesakes_of(row)) if opening else [],
                "form": forms.get(row.pk),
            }
            for row in documents.current(case)
        ],
    }


def _number(row: IdentityDocument, *, is_open: bool) -> str:
    number = documents.number_of(row)
    return number if is_open or not number else documents.masked(number)


def _facts(data: identity.PersonalData) -> list[tuple[Any, str]]:
    return [
        (_("Full name"), data.full_name),
        (_("Date of birth"), data.birth_on.isoformat()),
        (_("Nationality"), countries.name_of(data.nationality)),
        (_("Address"), ", ".join(filter(None, (data.address_1, data.address_2)))),
        (_("City"), f"{data.postal_code} {data.city}"),
        (_("Country"), countries.name_of(data.country)),
    ]
