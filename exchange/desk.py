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
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import proofs, throttling
from accounts.models.members import Member
from accounts.views import doors
from exchange.lib import audit

_NO_FACTOR = _("Operators need a second factor. Please set one up and sign in with it.")
_ENTERED = "superuser_entered"  # in the session: the alarm was raised


class DeskSite(admin.AdminSite):
    site_header = site_title = "Pixiu"
    index_title = "Desk"
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
                    return way_to_proof(request, back_to=here)
            return inside(request, *args, **path)

        return update_wrapper(guarded, inside)

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


def way_to_proof(request: HttpRequest, *, back_to: str) -> HttpResponse:
    """Send an operator to prove who they are; who has no factor yet, to set one up."""
    return doors.way_to_proof(request, back_to=back_to, no_factor=_NO_FACTOR)


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
    networks = tuple(settings.DESK_NETWORKS)
    return not networks or throttling.is_within(address, networks)
