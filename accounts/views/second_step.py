"""Between the password and the session: a factor, or the report that all are lost."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sign_in
from accounts.factors import losses, second_step
from accounts.forms.factors import LossForm
from accounts.models.proofs import Proof
from accounts.views.doors import next_of, public
from accounts.views.showing import Asking, respond
from exchange.lib.errors import ExchangeError

_READ_AND_WRITE = ["GET", "HEAD", "POST"]


@require_http_methods(_READ_AND_WRITE)
@sensitive_post_parameters("code")
@public
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for a factor, then sign in."""
    now = timezone.now()
    try:
        asking = _asking(request)
    except second_step.StepOver as error:
        return _start_again(request, error)
    if request.method != "POST":
        return asking.page(request, now)
    return asking.settle(
        request, now, lambda shown: sign_in.finish(request, shown=shown, now=now)
    )


@require_POST
@public
def send_sms(request: HttpRequest) -> HttpResponse:
    """Send a code to sign in with."""
    try:
        asking = _asking(request)
    except second_step.StepOver as error:
        return _start_again(request, error)
    return asking.send_sms(request, timezone.now())


@require_http_methods(_READ_AND_WRITE)
@public
def report_loss(request: HttpRequest) -> HttpResponse:
    """Let a member who gave the password say that all factors are lost."""
    now = timezone.now()
    try:
        member = second_step.waiting(request.session, now=now)
    except second_step.StepOver as error:
        return _start_again(request, error)
    form = LossForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        losses.request(member=member, story=form.cleaned_data["story"], now=now)
        return redirect(request.get_full_path())
    loss, onward = losses.of(member), next_of(request, "home")
    return respond(request, "factors_lost", form, None, loss=loss, next=onward)


@require_http_methods(_READ_AND_WRITE)
@public
def cancel_loss(request: HttpRequest, token: str) -> HttpResponse:
    """Stop the removal of factors, by a link from a mail."""
    try:
        loss = losses.by_link(token)
        if request.method == "POST":
            losses.cancel(loss=loss, now=timezone.now())
    except ExchangeError as error:
        context: dict[str, object] = {"refusal": error.message}
        return render(request, "accounts/cancel_loss.html", context, status=404)
    context = {"is_done": request.method == "POST"}
    return render(request, "accounts/cancel_loss.html", context)


def _asking(request: HttpRequest) -> Asking:
    member = second_step.waiting(request.session, now=timezone.now())
    purpose = Proof.Purpose.SIGN_IN
    return Asking("verify", purpose, member, next_of(request, "home"))


def _start_again(request: HttpRequest, error: second_step.StepOver) -> HttpResponse:
    """Send on who is in already; say to others that it took too long."""
    if request.user.is_authenticated:
        return redirect(next_of(request, "home"))
    return respond(request, "step_over", None, error, next=next_of(request, "home"))
