"""
The first steps of a member, in the order in which they are taken.

Whether a step is done is known by whoever owns its subject: each registers its answer
when its app is ready (`answer`). A step that nobody answers for, or whose page does not
exist, comes with a later part of the exchange and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member


class Step(models.TextChoices):
    """A step, and what it is called."""

    ACTIVATION = "activation", _("Confirm your e-mail address")
    FACTOR = "factor", _("Add a second factor")
    IDENTITY = "identity", _("Verify your identity")
    DEPOSIT = "deposit", _("Make a deposit")
    ORDER = "order", _("Place your first order")


_ABOUT = {
    Step.ACTIVATION: _("So that we can reach you, and nobody else joins in your name."),
    Step.FACTOR: _("So that a stolen password alone opens nothing."),
    Step.IDENTITY: _("It opens withdrawals, and raises your limits."),
    Step.DEPOSIT: _("Coins or money: what you want to trade with."),
    Step.ORDER: _("Choose a market and name your price."),
}
# The names of the pages where the steps are taken.
_PAGES = {
    Step.ACTIVATION: "account",
    Step.FACTOR: "security",
    Step.IDENTITY: "identity",
    Step.DEPOSIT: "deposit_first",
    Step.ORDER: "home",
}
_answers: dict[Step, Callable[[Member], bool]] = {}
_waits: dict[Step, Callable[[Member], bool]] = {}


@dataclass(frozen=True, slots=True)
class Stage:
    """A step as one member sees it; `url` is empty where its page does not exist."""

    step: Step
    about: str
    url: str
    is_done: bool
    is_next: bool
    is_waiting: bool  # for us, not for the member


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a member has come."""

    stages: list[Stage]

    @property
    def done(self) -> int:
        return sum(stage.is_done for stage in self.stages)

    @property
    def all(self) -> int:
        return len(self.stages)

    @property
    def is_complete(self) -> bool:
        return self.done == self.all

    @property
    def next(self) -> Stage | None:
        return next((stage for stage in self.stages if stage.is_next), None)


def answer(
    step: Step,
    is_done: Callable[[Member], bool],
    is_waiting: Callable[[Member], bool] | None = None,
) -> None:
    """
    Register who knows whether a member has taken a step, and whether it waits for us
    before it is done.
    """
    _answers[step] = is_done
    if is_waiting is not None:
        _waits[step] = is_waiting


def progress(member: Member) -> Progress:
    """Return every step: those taken, the next one, and what is left."""
    taken = {step for step, is_done in _answers.items() if is_done(member)}
    waiting = {
        step for step, waits in _waits.items() if step not in taken and waits(member)
    }
    left = [step for step in Step if step not in taken | waiting and _url(step)]
    return Progress(
        [
            Stage(
                step=step,
                about=str(_ABOUT[step]),
                url=_url(step),
                is_done=step in taken,
                is_next=step in left[:1],
                is_waiting=step in waiting,
            )
            for step in Step
        ]
    )


def _url(step: Step) -> str:
    try:
        return reverse(_PAGES[step])
    except NoReverseMatch:
        return ""
