"""Corrections of the books: proposed by one operator, booked or refused by another."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from accounts import members
from accounts.models.members import Member
from exchange.lib.admin import Queue, ReadOnly, may, reasoned
from exchange.lib.errors import ExchangeError
from exchange.lib.money import plain
from wallets import adjustments, transfers
from wallets.forms.withdrawals import AmountField
from wallets.models.adjustments import Adjustment

_ASKED = ("account", "currency", "direction", "size", "reason")


class ProposalForm(forms.ModelForm):  # type: ignore[type-arg]
    """Whose account is to be corrected, by how much, and why."""

    # Who proposes; set by the desk that makes the form.
    operator: Member

    account = forms.CharField(
        label=_("Account"),
        required=False,
        help_text=_("Member number or e-mail address; empty for the house's suspense."),
    )
    direction = forms.ChoiceField(
        label=_("What happens"),
        choices=[("add", _("it gets the amount")), ("take", _("it loses the amount"))],
    )
    size = AmountField(label=_("Amount"), max_length=40)

    class Meta:
        model = Adjustment
        fields = ("currency", "reason")
        labels = {"reason": _("Reason")}
        help_texts = {"reason": _("The member reads it, too, once it is booked.")}

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.errors:
            return found
        try:
            self.terms = self._terms(found)
            adjustments.demand_sound(**self.terms, operator=self.operator)
        except ExchangeError as error:
            raise forms.ValidationError(error.message) from error
        return found

    def _terms(self, found: dict[str, Any]) -> dict[str, Any]:
        typed, member = found["account"], None
        if typed:
            member = transfers.member_named(typed)
            if member is None:
                raise members.UnknownMember
        size = found["size"]
        return {
            "member": member,
            "currency": found["currency"].pk,
            "amount": size if found["direction"] == "add" else size.copy_negate(),
            "reason": found["reason"],
        }


@admin.register(Adjustment)
class AdjustmentAdmin(ReadOnly):
    list_display = (
        *("id", "currency", "amount", "whose", "state", "proposer", "decider"),
        *("proposed_at", "reason"),
    )
    list_filter = ("currency", "state")
    list_select_related = ("member", "proposer", "decider")
    search_fields = ("=member__email", "member__sn")
    ordering = ("-pk",)
    actions = ("approve", "refuse", "take_back")
    queue = Queue(
        _("Corrections to decide about"), Q(state="proposed"), "?state__exact=proposed"
    )

    has_approve_permission = may("wallets.approve_adjustment")
    has_propose_permission = may("wallets.propose_adjustment")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_propose_permission(request)

    def actions_on(self, row: Adjustment) -> tuple[str, ...]:
        return self.actions if row.state == Adjustment.State.PROPOSED else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return _ASKED
        return ["what_it_does", *super().get_fields(request, obj)]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, form=ProposalForm, **kwargs)
        # The class was made for this request alone.
        cast(type[ProposalForm], form).operator = cast(Member, request.user)
        return form

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        operator, now = cast(Member, request.user), timezone.now()
        made = adjustments.propose(**form.terms, operator=operator, now=now)
        obj.__dict__.update(made.__dict__)

    @admin.display(description=_("account"))
    def whose(self, row: Adjustment) -> str:
        return "suspense" if row.member is None else str(row.member)

    @admin.display(description=_("what it does"))
    def what_it_does(self, row: Adjustment) -> str:
        facts = {
            "account": self.whose(row),
            "amount": plain(row.amount.copy_abs()),
            "currency": row.currency_id.upper(),
            "held": plain(adjustments.held(row)),
        }
        if row.amount > 0:
            words = _now(
                "The account of %(account)s gets %(amount)s %(currency)s out of the"
                " house's account of corrections. It has %(held)s available now."
            )
        else:
            words = _now(
                "The account of %(account)s loses %(amount)s %(currency)s to the"
                " house's account of corrections. It has %(held)s available now."
            )
        return words % facts

    @reasoned(
        description=_("Book it"),
        permissions=["approve"],
        warning=_(
            "It is booked at once and for good, and the member is told by mail. Another"
            " correction would have to undo it. Look up why it was proposed first."
        ),
    )
    def approve(
        self, request: HttpRequest, row: Adjustment, *, by: str, reason: str
    ) -> None:
        operator, now = cast(Member, request.user), timezone.now()
        adjustments.approve(adjustment=row, operator=operator, note=reason, now=now)

    @reasoned(
        description=_("Refuse it"),
        permissions=["approve"],
        warning=_("Nothing is booked. It can be proposed again."),
    )
    def refuse(
        self, request: HttpRequest, row: Adjustment, *, by: str, reason: str
    ) -> None:
        operator, now = cast(Member, request.user), timezone.now()
        adjustments.refuse(adjustment=row, operator=operator, note=reason, now=now)

    @reasoned(
        description=_("Take back what you proposed"),
        permissions=["propose"],
        warning=_("Nothing is booked. It can be proposed again."),
    )
    def take_back(
        self, request: HttpRequest, row: Adjustment, *, by: str, reason: str
    ) -> None:
        operator, now = cast(Member, request.user), timezone.now()
        adjustments.withdraw(adjustment=row, operator=operator, note=reason, now=now)
