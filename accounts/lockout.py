"""
Lock-out: guessing at passwords gets slower and slower, for whoever guesses.

Three counters. A browser the member has signed in with has one of its own, and no other
counts there: nobody elsewhere can shut it. All other attempts count for the account
they are made at, from wherever, and for the place they come from. When an account
shuts, its owner hears of it once, with a link that opens the door and makes the browser
it is opened in a known one. Addresses nobody joined with are counted in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts import attempts, letterbox, links, networks
from accounts.attempts import Pace
from accounts.devices import Device
from accounts.models.attempts import Attempts
from accounts.models.members import Member
from accounts.notices import Event
from exchange.lib import audit
from exchange.lib.transactions import transaction

PER_DEVICE = Pace(5, timedelta(seconds=30), timedelta(minutes=15))
# From the fifth failure on: 30 s, 1 min, … an hour; so some 30 guesses a day.
PER_ACCOUNT = Pace(5, timedelta(seconds=30), timedelta(hours=1))
# A whole office, or a village behind one address, mistypes more often.
PER_ADDRESS = Pace(30, timedelta(seconds=30), timedelta(hours=1))
_PURPOSE = "unlock"


@dataclass(frozen=True, slots=True)
class Knock:
    """An attempt to sign in that was counted, and on which counters."""

    email: str
    own_key: str
    address_key: str | None
    shuts_account: bool


def knock(*, email: str, device: Device, address: str, now: datetime) -> Knock:
    """Count an attempt, before the password is looked at. Raises TooManyAttempts."""
    if device.knows(email):
        key = attempts.key_of("device", f"{device.id} {email}")
        attempts.count(key, PER_DEVICE, now=now)
        return Knock(email, key, None, shuts_account=False)
    address_key = attempts.key_of("address", networks.neighbourhood(address))
    attempts.count(address_key, PER_ADDRESS, now=now)
    key = _account_key(email)
    count = attempts.count(key, PER_ACCOUNT, now=now)
    return Knock(email, key, address_key, count == PER_ACCOUNT.free)


def failed(knock: Knock) -> None:
    """Let the owner hear of the attempt that shut the account."""
    if knock.shuts_account:
        letterbox.drop(knock.email, Event.LOCKED)


def passed(knock: Knock, *, now: datetime) -> None:
    """Forget the failures of who turned out to know the password."""
    attempts.forget(knock.own_key)
    _give_back_address(knock, now)


def undo(knock: Knock, *, now: datetime) -> None:
    """Take an attempt back that nobody looked at."""
    attempts.take_back(knock.own_key, now=now)
    _give_back_address(knock, now)


def forgive(member: Member) -> None:
    """Open the door of an account: its owner has shown to read its mail."""
    attempts.forget(_account_key(member.email))


def unlock_link(member: Member) -> str | None:
    """Return a link that opens the door; None where it is open."""
    episode = _episode(member)
    if not episode:
        return None
    return links.make("/unlock/{}", member=member, purpose=_PURPOSE, state=episode)


def whose_link(link: str) -> Member:
    """Return whose door a link opens. Raises LinkSpent."""
    member = links.member_of(link, purpose=_PURPOSE)
    links.demand_unspent(link, member=member, purpose=_PURPOSE, state=_episode(member))
    return member


def unlock(link: str) -> Member:
    """Open the door of whom the link was sent to. Raises LinkSpent."""
    member = whose_link(link)
    with transaction():
        # The row is what the link is good for: of two at once, one deletes it.
        if not attempts.forget(_account_key(member.email)):
            raise links.LinkSpent
        audit.record(f"member:{member.pk}", "sign_in_unlocked", f"member:{member.pk}")
    return member


def _episode(member: Member) -> str:
    """Say which row of failures this is, by when it began; empty where none is."""
    row = Attempts.objects.filter(
        key=_account_key(member.email), count__gte=PER_ACCOUNT.free
    )
    since = row.values_list("since", flat=True)
    return since[0].isoformat() if since else ""


def _account_key(email: str) -> str:
    return attempts.key_of("account", email)


def _give_back_address(knock: Knock, now: datetime) -> None:
    if knock.address_key is not None:
        attempts.take_back(knock.address_key, now=now)
