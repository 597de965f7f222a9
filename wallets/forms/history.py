"""What members narrow their history by."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wallets import queries
from wallets.models.deposits import Deposit
from wallets.models.withdrawals import Withdrawal
from wallets.statement import KINDS, Wanted


def _day() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


def _currencies() -> list[tuple[str, str]]:
    return [(code, code.upper()) for code in queries.currency_codes()]


def begins(day: date | None) -> datetime | None:
    """Return when a day begins, in the time zone of who reads."""
    return timezone.make_aware(datetime.combine(day, time.min)) if day else None


def ends(day: date | None) -> datetime | None:
    """Return when a day is over, in the time zone of who reads."""
    if day is None or day == date.max:
        return None
    return begins(date.fromordinal(day.toordinal() + 1))


class MovementsForm(forms.Form):
    """Which movements of a statement."""

    currency = forms.ChoiceField(label=_("Currency"), required=False)
    kind = forms.ChoiceField(label=_("Kind"), required=False)
    since = forms.DateField(label=_("From"), required=False, widget=_day())
    until = forms.DateField(label=_("To"), required=False, widget=_day())
    before = forms.IntegerField(
        required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        everything = [("", _("All"))]
        for name, choices in (("currency", _currencies()), ("kind", KINDS.items())):
            self.fields[name].choices = [*everything, *choices]  # type: ignore[attr-defined]

    def wanted(self) -> Wanted:
        """Return what a valid form asks for."""
        asked = self.cleaned_data
        return Wanted(
            currency=asked["currency"] or None,
            kind=asked["kind"] or None,
            since=begins(asked["since"]),
            until=ends(asked["until"]),
            before=asked["before"],
        )


class _Filter(django_filters.FilterSet):
    """By currency, days and state. `moment` is the column that the days are of."""

    moment = ""
    currency = django_filters.ChoiceFilter(
        label=_("Currency"), choices=_currencies, empty_label=_("All")
    )
    since = django_filters.DateFilter(label=_("From"), widget=_day(), method="_since")
    until = django_filters.DateFilter(label=_("To"), widget=_day(), method="_until")

    def _since(self, rows: QuerySet[Any], _name: str, day: date) -> QuerySet[Any]:
        return rows.filter(**{f"{self.moment}__gte": begins(day)})

    def _until(self, rows: QuerySet[Any], _name: str, day: date) -> QuerySet[Any]:
        over = ends(day)
        return rows.filter(**{f"{self.moment}__lt": over}) if over else rows


class DepositsFilter(_Filter):
    """Which deposits."""

    moment = "seen_at"
    state = django_filters.ChoiceFilter(
        label=_("State"), choices=Deposit.State.choices, empty_label=_("All")
    )


class WithdrawalsFilter(_Filter):
    """Which withdrawals."""

    moment = "created_at"
    state = django_filters.ChoiceFilter(
        label=_("State"), choices=Withdrawal.State.choices, empty_label=_("All")
    )
