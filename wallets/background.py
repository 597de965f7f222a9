"""
What a reviewer reads beside a withdrawal: who asks, what came and went before, and
whether anybody else was paid there. Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import QuerySet

from accounts import identity, sign_ins, user_agents
from accounts.models.members import Member
from accounts.models.sign_ins import SignIn
from wallets import queries, signing, withdrawals
from wallets.models.deposits import Deposit
from wallets.models.withdrawals import Withdrawal
from wallets.queries import BalanceView
from wallets.withdrawals import Left

_LATELY = timedelta(days=7)
_State = Withdrawal.State
_ENDED_IN_VAIN = [_State.CANCELLED, _State.REFUSED]


@dataclass(frozen=True, slots=True)
class Sum:
    """So many, and what they come to."""

    count: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Money:
    """What a member has of the currency, and what came and went of it."""

    balance: BalanceView
    deposits: Sum
    withdrawals: Sum
    left: Left


@dataclass(frozen=True, slots=True)
class Destination:
    """Whether anybody was paid there before; `others` are members, not payments."""

    known_since: datetime
    paid_first: datetime | None
    paid: Sum
    others: int


@dataclass(frozen=True, slots=True)
class Doors:
    """How the member came in: the last time, and what was odd in the last days."""

    last: SignIn | None
    device: str
    devices: int
    wrong: int


def money_of(withdrawal: Withdrawal, *, now: datetime) -> Money:
    """Return what the member has and had of the withdrawal's currency."""
    member, currency = withdrawal.member, withdrawal.currency_id
    came = Deposit.objects.filter(
        member=member, currency=currency, state=Deposit.State.CREDITED
    )
    went = Withdrawal.objects.filter(
        member=member, currency=currency, state=_State.CONFIRMED
    )
    return Money(
        queries.balance(member.pk, currency),
        _sum(came, "amount"),
        _sum(went, "amount"),
        withdrawals.left_of(member, now=now),
    )


def destination_of(withdrawal: Withdrawal) -> Destination:
    """Return what was paid to the withdrawal's destination before, and for whom."""
    there = Withdrawal.objects.filter(
        currency=withdrawal.currency_id, destination=withdrawal.destination
    ).exclude(pk=withdrawal.pk)
    mine = there.filter(member=withdrawal.member_id)
    paid = mine.filter(state=_State.CONFIRMED)
    first = paid.order_by("pk").values_list("updated_at", flat=True)
    others = there.exclude(member=withdrawal.member_id)
    others = others.exclude(state__in=_ENDED_IN_VAIN)
    return Destination(
        known_since=withdrawal.beneficiary.created_at,
        paid_first=next(iter(first[:1]), None),
        paid=_sum(paid, "net"),
        others=others.values("member").distinct().count(),
    )


def doors_of(member: Member, *, now: datetime) -> Doors:
    """Return how a member came in, the last time and in the last days."""
    lately = sign_ins.of(member).filter(at__gt=now - _LATELY)
    admitted = SignIn.Outcome.ADMITTED
    last = next(iter(sign_ins.of(member).filter(outcome=admitted)[:1]), None)
    came_in = lately.filter(outcome=admitted).order_by()
    return Doors(
        last,
        user_agents.recognised(last.user_agent) if last else "",
        came_in.values("device").distinct().count(),
        lately.exclude(outcome=admitted).count(),
    )


def limits_of(member: Member) -> identity.Limits:
    """Return what the member's level may withdraw."""
    return identity.limits_of(member)


def _sum(rows: QuerySet[Deposit] | QuerySet[Withdrawal], column: str) -> Sum:
    amounts = list(rows.order_by().values_list(column, flat=True))
    return Sum(len(amounts), signing.total(amounts))
