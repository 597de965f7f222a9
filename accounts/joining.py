"""
Joining: sign up, and show that the e-mail address is one's own.

Whether an address is known already must not show: the page says the same, the same
statements run, one hash is made, and what differs is in a mail that leaves later.

Until an address is confirmed it is nobody's for sure. Who signs up again before that
with the same password gets another link. With another password it may be a stranger, or
the first one was: then neither password counts, links sent earlier are void, and the
mail says so and lets its reader choose one. Nobody confirms a password they have not
chosen.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
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
    letterbox.count(email, address=address, now=now)
    waiting = Member.objects.filter(email=email, activated_at=None)
    known = next(iter(waiting.values_list("password", flat=True)), None)
    newcomer.password = _counting(password, known)
    with transaction():
        Member.objects.bulk_create([newcomer], ignore_conflicts=True)
        disputed = waiting.exclude(password=newcomer.password)
        # Once is enough: the link that settles it must outlive further attempts.
        disputed = disputed.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
        disputed.update(password=make_password(None), language=language)
        member_id, counts = Member.objects.values_list("pk", "password").get(
            email=email
        )
        is_new = known is None and counts == newcomer.password
        deed = "signed_up" if is_new else "signed_up_again"
        audit.record("stranger", deed, f"member:{member_id}")
        letterbox.drop(email, Event.ACTIVATION)


def resend(*, member: Member, now: datetime) -> None:
    """
    Send a new link to a member who has not confirmed yet and who looks at a page of
    ours: what strangers asked for does not count. Raises TooManyAttempts.
    """
    if not member.is_activated:
        key = attempts.key_of("resend", str(member.pk))
        attempts.count(key, letterbox.PER_ASKER, now=now)
        letterbox.drop(member.email, Event.ACTIVATION)


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


def _counting(password: str, known: str | None) -> str:
    """
    Return the hash of the password that is to count, or of none at all, where another
    was chosen before. One hash is made in any case.
    """
    if known is None:
        return hashing.hashed(password)
    return known if hashing.check(password, known).is_right else make_password(None)


def _state(member: Member) -> str:
    return f"{member.email}|{member.password}|{member.activated_at}|{member.state}"


def _address_key(address: str) -> str:
    return attempts.key_of("sign-ups", networks.neighbourhood(address))
