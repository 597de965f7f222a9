"""
The postman: finds out whose the addresses are that strangers named, and tells them.

What they hear depends on who they are by then: a link to confirm the address; where two
passwords were chosen for it, a link to settle that; or, to who has long confirmed it,
that somebody tried to join with it.
"""

from __future__ import annotations

from accounts import joining, letterbox, lockout, passwords
from accounts.models.letterbox import Letter
from accounts.models.members import Member
from accounts.notices import Event, tell
from exchange.lib.transactions import transaction, transaction_required

_IN_ONE_ROUND = 100


def deliver() -> int:
    """Answer what waits in the letterbox; return how many. Safe to run twice."""
    for done in range(_IN_ONE_ROUND):
        with transaction():
            letter = letterbox.lock_next()
            if letter is None:
                return done
            _answer(letter)
            letter.delete()
    return _IN_ONE_ROUND


@transaction_required
def _answer(letter: Letter) -> None:
    found = Member.objects.filter(email=letter.email)
    member = found.exclude(state=Member.State.CLOSED).order_by("pk").first()
    if member is None:
        return
    match Event(letter.event):
        case Event.ACTIVATION if member.is_activated:
            tell(member, Event.JOINED_AGAIN, url=passwords.reset_link(member))
        case Event.ACTIVATION if not member.has_usable_password():
            tell(member, Event.JOINED_TWICE, url=passwords.reset_link(member))
        case Event.ACTIVATION:
            tell(member, Event.ACTIVATION, url=joining.activation_link(member))
        case Event.PASSWORD_RESET:
            tell(member, Event.PASSWORD_RESET, url=passwords.reset_link(member))
        case Event.LOCKED if (url := lockout.unlock_link(member)) is not None:
            tell(member, Event.LOCKED, url=url)
