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

from django.db.models import Model
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
    step = getattr(fresh, move)
    before = getattr(fresh, field)
    if before in _targets(step):
        return fresh
    try:
        step(**facts)
    except TransitionNotAllowed as error:
        raise IllegalMove(state=str(before), move=move) from error
    fresh.save()
    after = str(getattr(fresh, field))
    subject = audit.label(fresh)
    audit.record(by, move, subject, before=str(before), after=after, **facts)
    return fresh


def lock_row(row: Row) -> Row:
    """Lock the row until the transaction ends and return it as it is now."""
    manager = row.__class__._default_manager  # request.user hides its type
    return manager.select_for_update(no_key=True, of=("self",)).get(pk=row.pk)


def _targets(step: Any) -> set[str]:
    transitions = step._django_fsm.transitions.values()
    return {str(transition.target) for transition in transitions}
