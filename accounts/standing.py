"""What a member must have done before anything that matters is done in their name."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib.errors import NotAllowed


class AddressNotConfirmed(NotAllowed):
    """The member has not shown yet that the e-mail address is theirs."""

    code = "address_not_confirmed"
    text = _(
        "Please confirm your e-mail address first, with the link we sent you. Your"
        " account page sends a new one."
    )


def demand_activated(member: Member) -> None:
    """Raise AddressNotConfirmed unless the address was shown to be the member's."""
    if not member.is_activated:
        raise AddressNotConfirmed
