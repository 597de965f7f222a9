"""
The one way a row changes state.

Models declare their moves with django-fsm's `FSMField` and `@transition`;
`advance` runs the transition under a row lock and writes the audit record with it,
in one transaction. A repeated arrival is a quiet no-op; an impossible move raises
IllegalMove and changes nothing. Orders are the exception: they change set-based, in
markets.settlement.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from django_fsm import TransitionNotAllowed

from exchange.lib import audit
from exchange.lib.errors import Conflict
from exchange.lib.transactions import transaction_required

Row = TypeVar("Row", bound=Model)


class IllegalMove(Conflict):
    """The row's state has no such move."""

    code = "illegal_move"
    text = _("This can no longer be done: its state has changed meanwhile.")


@transaction_required
def advance(row: Row, move: str, *, by: str, field: str = "state", **facts: Any) -> Row:
    """
    Make one move of a row's life and say so in the audit trail.

    `move` names a `@transition` method of the model; `by` is the actor ("member:7",
    "operator:3", "system"). The row is locked and read again first, so that two
    callers cannot both make the move. Returns the fresh row; a row that is already
    where the move leads is returned as it is.

    Raises IllegalMove when the state at hand does not allow it.
    """
    fresh = lock_row(row)
    before = str(getattr(fresh, field))
    if not _make(fresh, move, field, facts):
        return fresh
    fresh.save()
    after = str(getattr(fresh, field))
    subject = audit.label(fresh)
    audit.record(by, move, subject, before=before, after=after, **facts)
    return fresh


@transaction_required
def advance_all(
    rows: QuerySet[Row], move: str, *, by: str, field: str = "state", **facts: Any
) -> list[Row]:
    """
    Make the same move of many rows' lives, all or none, by a few statements: `advance`
    holds what else is locked for three statements a row.

    The rows are locked in the order of their keys; returns them fresh, in that order.

    Raises IllegalMove when the state of one of them does not allow it.
    """
    fresh = lock_rows(rows)
    deeds: list[tuple[str, dict[str, object]]] = []
    changes: dict[str, tuple[dict[str, Any], list[Any]]] = {}
    for row in fresh:
        before = {each.attname: getattr(row, each.attname) for each in _columns(row)}
        if not _make(row, move, field, facts):
            continue
        changed = {
            name: value
            for name, old in before.items()
            if (value := getattr(row, name)) != old
        }
        changes.setdefault(repr(changed), (changed, []))[1].append(row.pk)
        states = {"before": str(before[field]), "after": str(getattr(row, field))}
        deeds.append((audit.label(row), states | facts))
    for changed, keys in changes.values():
        rows.model._default_manager.filter(pk__in=keys).update(**changed)
    audit.record_each(by, move, deeds)
    return fresh


def _make(row: Model, move: str, field: str, facts: dict[str, Any]) -> bool:
    """Make the move of a row that is locked; say whether there was one to make."""
    step = getattr(row, move)
    before = getattr(row, field)
    if before in _targets(step):
        return False
    try:
        step(**facts)
    except TransitionNotAllowed as error:
        raise IllegalMove(state=str(before), move=move) from error
    return True


def _columns(row: Model) -> list[Any]:
    return list(row._meta.concrete_fields)


def lock_rows(rows: QuerySet[Row]) -> list[Row]:
    """Lock rows in the order of their keys and return them as they are now."""
    return list(rows.select_for_update(no_key=True, of=("self",)).order_by("pk"))


def lock_row(row: Row) -> Row:
    """Lock the row until the transaction ends and return it as it is now."""
    manager = row.__class__._default_manager  # request.user hides its type
    return manager.select_for_update(no_key=True, of=("self",)).get(pk=row.pk)


def _targets(step: Any) -> set[str]:
    transitions = step._django_fsm.transitions.values()
    return {str(transition.target) for transition in transitions}
