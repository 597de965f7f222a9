"""The page that asks a member to prove again that it is them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.factors import keyring
from accounts.models.proofs import Proof
from accounts.views.doors import member_page, next_of, who
from accounts.views.showing import Asking


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code")
@member_page
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for a factor, or for the password where there is none; then lead back."""
    now = timezone.now()
    asking = _asking(request)
    if request.method != "POST":
        return asking.page(request, now)
    return asking.settle(
        request,
        now,
        lambda shown: keyring.prove(
            request.session, member=who(request), shown=shown, now=now
        ),
    )


@require_POST
@member_page
def send_sms(request: HttpRequest) -> HttpResponse:
    """Send a code to prove with."""
    return _asking(request).send_sms(request, timezone.now())


def _asking(request: HttpRequest) -> Asking:
    purpose = Proof.Purpose.SECURITY
    return Asking("prove", purpose, who(request), next_of(request, "account"))
