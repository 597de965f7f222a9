"""What members choose for themselves."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import profile
from accounts.forms.profile import MailPhraseForm, ProfileForm
from accounts.models.members import Member
from accounts.views import languages
from accounts.views.doors import member_page, proof_page, who
from exchange.lib import refusals
from exchange.lib.errors import Invalid

_FIELDS = ("display_name", "language", "time_zone", "theme")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def edit(request: HttpRequest) -> HttpResponse:
    """Show what was chosen, and take other choices."""
    member = who(request)
    if request.method != "POST":
        chosen = {name: getattr(member, name) for name in _FIELDS}
        return _show(request, ProfileForm(initial=chosen))
    form = ProfileForm(request.POST)
    if form.is_valid():
        try:
            member = profile.change(member=member, **form.cleaned_data)
        except Invalid as error:
            form.add_error(str(error.facts["field"]), error.message)
    if not form.is_valid():
        return _show(request, form, status=400)
    if member.language:
        translation.activate(member.language)
    messages.success(request, _("Saved."))
    answer = redirect("profile")
    _keep_language(answer, member)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@proof_page(password_suffices=True)
def edit_mail_phrase(request: HttpRequest) -> HttpResponse:
    """Show the phrase of our mails, and take another."""
    if request.method != "POST":
        form = MailPhraseForm(initial={"phrase": who(request).mail_phrase})
        return render(request, "accounts/mail_phrase.html", {"form": form})
    form = MailPhraseForm(request.POST)
    if form.is_valid():
        try:
            profile.change_mail_phrase(
                member=who(request),
                phrase=form.cleaned_data["phrase"],
                now=timezone.now(),
            )
        except Invalid as error:
            form.add_error("phrase", error.message)
    if not form.is_valid():
        return render(request, "accounts/mail_phrase.html", {"form": form}, status=400)
    messages.success(request, _("Saved."))
    return redirect("profile")


@require_POST
@member_page
@refusals.as_json
def keep_theme(request: HttpRequest) -> HttpResponse:
    """Keep the colours that were switched to by the button on every page."""
    profile.change_theme(member=who(request), theme=request.POST.get("theme", ""))
    return HttpResponse(status=204)


def _show(request: HttpRequest, form: ProfileForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "time_zones": profile.time_zones()}
    return render(request, "accounts/profile.html", context, status=status)


def _keep_language(answer: HttpResponse, member: Member) -> None:
    """Let the pages for visitors, in this browser, speak the same language."""
    if member.language:
        languages.remember(answer, member.language)
    else:
        answer.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
