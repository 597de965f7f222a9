"""
What every change of how a member signs in brings with it.

Whoever changes a password, a factor or an address calls `changed` in the transaction of
the deed: the member's other sessions end, the member hears of it, withdrawals rest for
a while, and the audit trail has a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from accounts import notices, sessions
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.transactions import transaction_required


@transaction_required
def changed(
    member: Member,
    *,
    event: notices.Event,
    session_key: str | None,
    now: datetime,
    noted: Mapping[str, str] | None = None,
    **facts: object,
) -> int:
    """
    Let a change take effect everywhere; return how many other sessions it ended.

    `session_key` is the session that stays: the one the change was made in, under the
    key it has *after* the change (`update_session_auth_hash` gives it a new one). None
    ends all. `noted` goes into the audit trail, `facts` into the words of the mail and
    nowhere else.
    """
    member.security_changed_at = now
    member.save(update_fields=["security_changed_at"])
    ended = sessions.end_others(member_id=member.pk, session_key=session_key)
    notices.tell(member, event, **facts)
    who = f"member:{member.pk}"
    audit.record(who, event.value, who, sessions_ended=ended, **(noted or {}))
    return ended
