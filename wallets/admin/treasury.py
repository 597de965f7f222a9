"""Moves between our own wallets, wanted by two operators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, Reason, may, reasoned
from exchange.lib.errors import ExchangeError, Refused, UpstreamError
from exchange.lib.money import plain
from exchange.lib.templatetags.figures import amount as figure
from wallets import treasury
from wallets.forms.withdrawals import AmountField
from wallets.models.treasury import SENT, TreasuryMove

_ASKED = ("currency", "kind", "size", "why")
_State = TreasuryMove.State


class ProposalForm(forms.ModelForm):  # type: ignore[type-arg]
    """Which coins go where, and why."""

    size = AmountField(
        label=_("Amount"),
        max_length=40,
        help_text=_("What arrives; the miner's fee comes on top."),
    )
    why = forms.CharField(label=_("Reason"), max_length=200)

    class Meta:
        model = TreasuryMove
        fields = ("currency", "kind")

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.errors:
            return found
        try:
            treasury.demand_sound(found["currency"].pk, found["size"])
        except ExchangeError as error:
            raise forms.ValidationError(error.message) from error
        return found


class BroughtBack(Reason):
    """What cold storage has signed."""

    psbt = forms.CharField(
        label=_("The signed transaction (PSBT)"), widget=forms.Textarea, strip=True
    )


class ChainFailed(Refused):
    """The chain did not do what was asked. Facts: why."""

    code = "chain_failed"


@admin.register(TreasuryMove)
class TreasuryMoveAdmin(ReadOnly):
    list_display = (
        *("id", "currency", "kind", "size", "state", "proposer", "approver"),
        *("created_at", "problem"),
    )
    list_filter = ("currency", "kind", "state")
    list_select_related = ("proposer", "approver")
    search_fields = ("=txid",)
    ordering = ("-pk",)
    actions = ("approve", "bring_back", "give_up")
    queue = Queue(
        _("Moves between our wallets"),
        Q(state__in=["proposed", "approved"]) | ~Q(problem="") & ~Q(state="confirmed"),
    )

    has_approve_permission = may("wallets.approve_treasury")
    has_propose_permission = may("wallets.propose_treasury")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_propose_permission(request)

    def actions_on(self, row: TreasuryMove) -> tuple[str, ...]:
        if row.state == _State.PROPOSED:
            return ("approve", "give_up")
        if row.state == _State.APPROVED:
            return ("bring_back", "give_up") if row.psbt else ("give_up",)
        return ("give_up",) if row.state in SENT else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return _ASKED
        return ["what_it_does", "wallets", *super().get_fields(request, obj)]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = ProposalForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        asked = form.cleaned_data
        made = treasury.propose(
            currency=asked["currency"].pk,
            kind=asked["kind"],
            amount=asked["size"],
            operator=cast(Member, request.user),
            reason=asked["why"],
            now=timezone.now(),
        )
        obj.__dict__.update(made.__dict__)

    def get_urls(self) -> list[URLPattern]:
        inside = self.admin_site.admin_view
        ours = path("<int:key>/psbt", inside(self.psbt_file), name="treasury_psbt")
        return [ours, *super().get_urls()]

    def psbt_file(self, request: HttpRequest, key: int) -> HttpResponse:
        """Give what cold storage has to sign as a file, as signers read it."""
        if not self.has_approve_permission(request):
            raise PermissionDenied
        row = get_object_or_404(TreasuryMove.objects.exclude(psbt=""), pk=key)
        answer = HttpResponse(row.psbt, content_type="text/plain")
        answer["Content-Disposition"] = f'attachment; filename="refill-{row.pk}.psbt"'
        return answer

    @admin.display(description=_("amount"), ordering="amount")
    def size(self, row: TreasuryMove) -> str:
        return figure(row.amount)

    @admin.display(description=_("what it does"))
    def what_it_does(self, row: TreasuryMove) -> SafeString:
        """Say it in words, line by line: what is signed must read the same."""
        facts = {"amount": plain(row.amount), "currency": row.currency_id.upper()}
        if row.kind == TreasuryMove.Kind.SWEEP:
            words = _now("The hot wallet pays %(amount)s %(currency)s to cold storage.")
        else:
            words = _now("Cold storage pays %(amount)s %(currency)s to the hot wallet.")
        outputs = row.plan.get("outputs", ())
        link = format_html(
            '<p><a href="{}" download>PSBT</a></p>',
            reverse("admin:treasury_psbt", args=[row.pk]),
        )
        return format_html(
            "{}<ul>{}</ul>{}",
            words % facts,
            format_html_join(
                "",
                "<li>{} → <code>{}</code></li>",
                ((amount, to) for to, amount in outputs),
            ),
            link if row.psbt else "",
        )

    @admin.display(description=_("hot and cold"))
    def wallets(self, row: TreasuryMove) -> SafeString:
        return picture(row.currency_id)

    @reasoned(
        description=_("Approve: the coins may move"),
        permissions=["approve"],
        warning=_(
            "Two different operators have to want it. A sweep is signed and sent at"
            " once; of a refill the page then shows what cold storage has to sign."
        ),
    )
    def approve(
        self, request: HttpRequest, row: TreasuryMove, *, by: str, reason: str
    ) -> None:
        operator = cast(Member, request.user)
        treasury.approve(move=row, operator=operator, reason=reason, now=timezone.now())

    @reasoned(
        description=_("Bring back what cold storage has signed"),
        permissions=["approve"],
        warning=_("It is sent at once, if it is the transaction that was approved."),
        shape=BroughtBack,
    )
    def bring_back(
        self, _request: HttpRequest, row: TreasuryMove, *, by: str, psbt: str, **_r: str
    ) -> None:
        with _told():
            treasury.bring_back(move=row, psbt=psbt, by=by, now=timezone.now())

    @reasoned(
        description=_("Give the move up"),
        permissions=["approve"],
        warning=_(
            "Nothing will be signed. What was signed can be given up only once the"
            " chain shows that its coins went elsewhere for good."
        ),
    )
    def give_up(
        self, _request: HttpRequest, row: TreasuryMove, *, by: str, reason: str
    ) -> None:
        with _told():
            treasury.cancel(move=row, by=by, reason=reason, now=timezone.now())


def picture(currency: str) -> SafeString:
    """Show what we hold of a coin, hot and cold, and where the hot wallet should be."""
    held = treasury.holdings(currency)
    whole = max(held.hot + held.cold, held.high, held.low)
    low, high = (held.low, held.high or whole) if whole else (0, 1)
    return format_html(
        '<meter min="0" max="{}" low="{}" high="{}" optimum="{}" value="{}"></meter>'
        "<br>{}",
        whole or 1,
        low,
        high,
        held.middle,
        held.hot,
        _now(
            "Hot %(hot)s, cold %(cold)s, waiting to be paid %(waiting)s;"
            " the hot wallet should hold from %(low)s to %(high)s."
        )
        % {
            "hot": plain(held.hot),
            "cold": plain(held.cold),
            "waiting": plain(held.waiting),
            "low": plain(held.low),
            "high": plain(held.high) if held.high else "∞",
        },
    )


@contextmanager
def _told() -> Iterator[None]:
    """Say what the chain says, in the words of the chain."""
    try:
        yield
    except UpstreamError as error:
        raise ChainFailed(str(error)) from error
