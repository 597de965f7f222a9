"""
Signed links in mails: they open one thing for one member, for a while, once.

Nothing is stored. A link is a signature over the member, the purpose and what must not
have changed since (`state`): the deed it leads to changes that, which uses the link up,
and so does every other change that should.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.errors import NotFound

VALID = timedelta(minutes=30)


class LinkSpent(NotFound):
    """The link was used, is too old, or is none of ours."""

    code = "link_spent"
    text = _("This link has been used or is too old. Please ask for a new one.")


def make(path: str, *, member: Member, purpose: str, state: str) -> str:
    """Return the whole address; `path` has a `{}` where the token goes."""
    return f"{settings.SITE_URL}{path.format(token(member, purpose, state))}"


def token(member: Member, purpose: str, state: str) -> str:
    """Return the part of a link that is its secret."""
    mark = f"{member.pk}.{_mark(member, purpose, state)}"
    return signing.TimestampSigner(salt=_salt(purpose)).sign(mark)


def member_of(text: str, *, purpose: str, valid: timedelta = VALID) -> Member:
    """Return whose link it is, not yet whether it is spent. Raises LinkSpent."""
    signer = signing.TimestampSigner(salt=_salt(purpose))
    try:
        mark = signer.unsign(text, max_age=valid)
        member: Member = Member.objects.get(pk=int(mark.partition(".")[0]))
    except (signing.BadSignature, ValueError, Member.DoesNotExist) as error:
        raise LinkSpent from error
    return member


def demand_unspent(text: str, *, member: Member, purpose: str, state: str) -> None:
    """Raise LinkSpent unless nothing has changed since the link was made."""
    mark = text.partition(".")[2].partition(":")[0]
    if not constant_time_compare(mark, _mark(member, purpose, state)):
        raise LinkSpent


def _mark(member: Member, purpose: str, state: str) -> str:
    return salted_hmac(_salt(purpose), f"{member.pk}|{state}").hexdigest()[:32]


def _salt(purpose: str) -> str:
    return f"accounts.links.{purpose}"
