"""Columns for money: unconstrained NUMERIC under CHECKs that refuse nonsense."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Func, Q


class AmountField(models.DecimalField):  # type: ignore[type-arg]  # not at run time
    """
    An exact amount. The column is plain NUMERIC: NUMERIC(p, s) would round silently
    what does not fit. Forms refuse more than 18 digits after the point.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = 38, 18
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def to_python(self, value: Any) -> Any:
        if isinstance(value, float):
            raise TypeError("An amount is never a float.")
        return super().to_python(value)


def sound_amount(
    field: str, name: str, *, zero_allowed: bool = False, null_allowed: bool = False
) -> models.CheckConstraint:
    """
    Return the CHECK for an amount: positive (or not negative), finite, scale <= 18.

    NaN passes a plain `> 0` in PostgreSQL (it sorts above every number), so the upper
    bound is part of the check.
    """
    low = Q(**{f"{field}__gte": 0}) if zero_allowed else Q(**{f"{field}__gt": 0})
    # 10^30 stands for "finite": NaN and Infinity are above it.
    sound = low & Q(**{f"{field}__lt": 10**30}) & Q(ScaleAtMost(field))
    if null_allowed:
        sound |= Q(**{f"{field}__isnull": True})
    return models.CheckConstraint(condition=sound, name=name)


class ScaleAtMost(Func):
    """scale(column) <= 18, as a condition."""

    template = "scale(%(expressions)s) <= 18"
    output_field = models.BooleanField()
    conditional = True
