"""
Freezing one's own account, by the link in every mail about its security.

Whoever reads the mail may do it, without signing in: it must work for somebody whose
password was just changed by a thief. It undoes nothing and lets nobody in; only support
can thaw. A link is spent by any freeze, whoever did it: an old mail does not freeze
again what support has thawed.
"""

from __future__ import annotations

from accounts import links, members, sessions
from accounts.models.members import Member
from accounts.notices import FREEZE, FREEZE_LINK_VALID, Event, freeze_state, tell
from exchange.lib.transactions import transaction

_REASON = "by the link in a mail"


def whose_link(link: str) -> Member:
    """Return whose account a link freezes. Raises LinkSpent."""
    member = links.member_of(link, purpose=FREEZE, valid=FREEZE_LINK_VALID)
    _demand_unspent(link, member)
    return member


def freeze(link: str) -> Member:
    """
    Freeze an account and end all its sessions. Keys stop trading with it, since orders
    ask for the state. Raises LinkSpent.
    """
    with transaction():
        member = members.lock_member(
            links.member_of(link, purpose=FREEZE, valid=FREEZE_LINK_VALID)
        )
        _demand_unspent(link, member)
        if member.state == Member.State.FROZEN:
            return member
        by = f"member:{member.pk}"
        members.move(member, Member.State.FROZEN, by=by, reason=_REASON)
        sessions.end_others(member_id=member.pk, session_key=None)
        tell(member, Event.FROZEN)
    return member


def _demand_unspent(link: str, member: Member) -> None:
    state = freeze_state(member)
    links.demand_unspent(link, member=member, purpose=FREEZE, state=state)
