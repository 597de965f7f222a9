"""
Joining: sign up, and show that the e-mail address is one's own.

Whether an address is known already must not show: the page says the same, the same
statements run, one hash is made, and what differs is in a mail that leaves later.

Until an address is confirmed it is nobody's for sure. So signing up again before that
replaces the password and spoils links sent earlier: who confirms confirms the password
chosen last, and a stranger who signed up first is out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from accounts import (
    attempts,
    hashing,
    letterbox,
    links,
    members,
    networks,
    password_rules,
)
from accounts.attempts import Pace
from accounts.models.members import Member
from accounts.notices import Event
from exchange.lib import audit
from exchange.lib.errors import Refused
from exchange.lib.transactions import transaction

# People fill in a form of three fields more slowly than this; machines do not.
FORM_TAKES_AT_LEAST = timedelta(seconds=2)
PER_ADDRESS = Pace(10, timedelta(minutes=1), timedelta(hours=6))
# Mails that somebody else may have asked for: nobody's mailbox is flooded by us.
PER_MAILBOX = Pace(3, timedelta(minutes=1), timedelta(hours=6))
_PURPOSE = "activate"


class TooQuick(Refused):
    """The form came back sooner than a person fills it in."""

    code = "too_quick"
    text = _("That was very quick. Please check what you typed and send it again.")


def sign_up(
    *, email: str, password: str, language: str, address: str, now: datetime
) -> None:
    """
    Let somebody join whose address is to be confirmed by mail; where it belongs to a
    member already, let that member hear of it instead. The caller cannot tell which.

    Raises BadEmail, WeakPassword, TooManyAttempts or HashingBusy.
    """
    hashing.demand_room()
    email = members.normalised(email)
    newcomer = Member(email=email, language=language, created_at=now)
    password_rules.demand_strong(password, newcomer)
    attempts.count(_address_key(address), PER_ADDRESS, now=now)
    count_mail(email, now=now)
    newcomer.password = hashing.hashed(password)
    with transaction():
        Member.objects.bulk_create([newcomer], ignore_conflicts=True)
        open_to_all = Member.objects.filter(email=email, activated_at=None)
        is_theirs = open_to_all.update(password=newcomer.password, language=language)
        member_id = Member.objects.values_list("pk", flat=True).get(email=email)
        deed = "signed_up" if is_theirs else "signed_up_again"
        audit.record("stranger", deed, f"member:{member_id}")
        letterbox.drop(email, Event.ACTIVATION)


def resend(*, member: Member, now: datetime) -> None:
    """Send a new link to a member who has not confirmed yet. Raises TooManyAttempts."""
    if not member.is_activated:
        count_mail(member.email, now=now)
        letterbox.drop(member.email, Event.ACTIVATION)


def count_mail(email: str, *, now: datetime) -> None:
    """Count a mail that anybody can have sent to an address. Raises TooManyAttempts."""
    attempts.count(attempts.key_of("mailbox", email), PER_MAILBOX, now=now)


def activation_link(member: Member) -> str:
    """Return the link that shows that its reader has the address."""
    state = _state(member)
    return links.make("/activate/{}", member=member, purpose=_PURPOSE, state=state)


def whose_link(link: str) -> Member:
    """Return who joined. Raises LinkSpent."""
    member = links.member_of(link, purpose=_PURPOSE)
    links.demand_unspent(link, member=member, purpose=_PURPOSE, state=_state(member))
    return member


def activate(link: str, *, now: datetime) -> Member:
    """Let a member trade whose address is confirmed. Raises LinkSpent."""
    with transaction():
        member = members.lock_member(links.member_of(link, purpose=_PURPOSE))
        state = _state(member)
        links.demand_unspent(link, member=member, purpose=_PURPOSE, state=state)
        member.activated_at = now
        member.save(update_fields=["activated_at"])
        audit.record(f"member:{member.pk}", "member_activated", f"member:{member.pk}")
    return member


def _state(member: Member) -> str:
    return f"{member.email}|{member.password}|{member.activated_at}|{member.state}"


def _address_key(address: str) -> str:
    return attempts.key_of("sign-ups", networks.neighbourhood(address))
