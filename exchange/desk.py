"""
The operators' desk: Django's admin behind a door of ours.

Who enters has a role and has shown a second factor in this session, within the last
hour; whatever changes something asks for a fresh proof, except where an admin says that
it is harmless (`needs_fresh_proof = False`). A superuser is for emergencies: one who
enters is an alarm.
"""

from __future__ import annotations

from datetime import timedelta
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import networks, proofs, throttling
from accounts.factors import changes
from accounts.models.members import Member
from accounts.views import doors
from exchange.lib import audit

if TYPE_CHECKING:
    from exchange.lib.admin import Queue

_NO_FACTOR = _("Operators need a second factor. Please set one up and sign in with it.")
_ENTERED = "superuser_entered"  # in the session: the alarm was raised
_KEPT = "kept_deed"  # in the session: what waits for a fresh proof
_SELECTED = ACTION_CHECKBOX_NAME

# What stands together on the first page, by the work it is for.
_GROUPS = {
    _("Members"): """
        accounts.member accounts.ticket accounts.identitycase accounts.factorloss
        accounts.apitoken accounts.session accounts.signin
    """,
    _("Trading"): "markets.market markets.order markets.trade markets.quarantined",
    _("Money"): """
        wallets.withdrawal wallets.deposit wallets.payout wallets.beneficiary
        wallets.bankline wallets.bankstatement wallets.bankwithdrawal
        wallets.banktransfer wallets.bankreference wallets.bankchannel
        wallets.hotwallet wallets.foreignsend wallets.reconciliation
        wallets.currency wallets.rules wallets.balance wallets.account wallets.entry
        accounts.identitylevel
    """,
    _("The record"): "lib.auditrecord lib.mail auth.group",
}


class DeskSite(admin.AdminSite):
    site_header = site_title = "Pixiu"
    index_title = _("Desk")
    # Of the site's own pages: leaving must not be difficult.
    needs_fresh_proof = False

    def has_permission(self, request: HttpRequest) -> bool:
        return is_operator(request) and proofs.has_shown_factor(
            member=cast(Member, request.user),
            session_key=str(request.session.session_key),
            since=timezone.now() - timedelta(seconds=settings.DESK_SESSION_SECONDS),
        )

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inside = super().admin_view(view, cacheable)
        desk = getattr(view, "__self__", None)

        def guarded(request: HttpRequest, *args: Any, **path: Any) -> Any:
            if self.has_permission(request):
                _note_superuser(request)
                is_deed = request.method not in {"GET", "HEAD", "OPTIONS"}
                needs_proof = getattr(desk, "needs_fresh_proof", True)
                if is_deed and needs_proof and not _is_fresh(request):
                    messages.warning(request, _("Not done yet: first prove it is you."))
                    # What a deed was sent to need not be a page.
                    here = doors.way_back(request, request.get_full_path())
                    kept = _keep(request, desk)
                    return way_to_proof(request, back_to=kept or here)
            return inside(request, *args, **path)

        return update_wrapper(guarded, inside)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        deed = path("deed/", self.admin_view(self.kept_deed), name="deed")
        return [deed, *super().get_urls()]

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show what waits for this operator before everything that can be looked at."""
        queues = []
        for model, desk in self._registry.items():
            queue: Queue | None = getattr(desk, "queue", None)
            if queue is not None and desk.has_view_permission(request):
                waiting = desk.get_queryset(request).filter(queue.rows)
                url = reverse(f"admin:{_label(model)}_changelist") + queue.asked
                queues.append({**queue._asdict(), "count": waiting.count(), "url": url})
        return super().index(request, {**(extra_context or {}), "queues": queues})

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[Any]:
        """Group what there is by the work it is for, not by where its code stands."""
        found_apps = super().get_app_list(request, app_label)
        if app_label is not None:
            return found_apps
        rows = {
            f"{each['app_label']}.{row['object_name'].lower()}": row
            for each in found_apps
            for row in each["models"]
        }
        groups = []
        for number, (name, labels) in enumerate(_GROUPS.items()):
            found = [rows.pop(label) for label in labels.split() if label in rows]
            groups.append((f"group-{number}", name, found))
        groups.append(("group-rest", _("For the curious"), list(rows.values())))
        return [
            {
                "name": name,
                "app_label": label,
                "app_url": f"{reverse('admin:index')}#{label}",
                "has_module_perms": True,
                "models": found,
            }
            for label, name, found in groups
            if found
        ]

    def kept_deed(self, request: HttpRequest) -> HttpResponse:
        """Come back from a proof to the page of what was about to be done."""
        kept = request.session.get(_KEPT)
        if kept is None:
            return redirect("admin:index")
        sent = QueryDict(kept["sent"])
        desk = self._registry[apps.get_model(kept["model"])]
        found = desk.get_actions(request).get(sent["action"])
        if found is None:
            raise PermissionDenied
        action: Any = found[0]
        rows = desk.get_queryset(request).filter(pk__in=sent.getlist(_SELECTED))
        form = action.shape(initial=sent.dict())
        return cast(
            HttpResponse, action.page(desk, request, rows, form=form, to=kept["to"])
        )

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Answer no searches: no form of ours asks, and Django's takes any text."""
        raise Http404

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Passwords are changed where all members change theirs."""
        return redirect("password_change")


def is_operator(request: HttpRequest) -> bool:
    """Say whether somebody may come to the desk at all, and from where they are."""
    user = request.user
    if not (user.is_authenticated and user.is_active and user.is_staff):
        return False
    is_frozen = user.state != Member.State.ACTIVE
    return not is_frozen and _is_near(throttling.client_address(request.META))


def of_page(request: HttpRequest) -> dict[str, Any]:
    """
    Say to the site's templates, where they ask, whether there is a desk for who looks,
    and whether a second factor is missing to enter it.
    """
    return {
        "may_enter_desk": lambda: is_operator(request),
        "desk_needs_factor": lambda: (
            is_operator(request) and not changes.has_any(doors.who(request).pk)
        ),
    }


def way_to_proof(request: HttpRequest, *, back_to: str) -> HttpResponse:
    """Send an operator to prove who they are; who has no factor yet, to set one up."""
    return doors.way_to_proof(request, back_to=back_to, no_factor=_NO_FACTOR)


def _keep(request: HttpRequest, desk: Any) -> str:
    """
    Remember what was about to be done, so that nothing is typed again; return where it
    goes on, or nothing where it has no page of its own.
    """
    sent = request.POST.copy()
    name = sent.get("action", "")
    is_ours = name in (getattr(desk, "actions", None) or ())
    has_page = is_ours and hasattr(getattr(desk, name), "page")
    if not has_page or not sent.get(_SELECTED) or sent.get("select_across") == "1":
        return ""
    desk.demand_keys(sent.getlist(_SELECTED))
    sent.pop("csrfmiddlewaretoken", None)
    request.session[_KEPT] = {
        "model": desk.opts.label_lower,
        "to": request.get_full_path(),
        "sent": sent.urlencode(),
    }
    return reverse("admin:deed")


def _label(model: type[Model]) -> str:
    return model._meta.label_lower.replace(".", "_")


def _is_fresh(request: HttpRequest) -> bool:
    try:
        proofs.demand_fresh(
            member=cast(Member, request.user),
            session_key=str(request.session.session_key),
            now=timezone.now(),
        )
    except proofs.FreshProofRequired:
        return False
    return True


def _note_superuser(request: HttpRequest) -> None:
    member = cast(Member, request.user)
    if settings.PRODUCTION and member.is_superuser and _ENTERED not in request.session:
        audit.alarm(f"member:{member.pk}", "superuser_entered_admin")
        request.session[_ENTERED] = True


def _is_near(address: str) -> bool:
    near = settings.DESK_NETWORKS
    return not near or networks.is_within(address, near)
