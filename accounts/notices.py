"""
Notices: what members hear by mail about their account.

`tell` writes a mail in the transaction of the deed. Each event has its words in
`templates/mail/<event>.txt`, in the member's language. What concerns security is always
sent, with a link that freezes the account where somebody may be inside; of the rest,
members choose.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import models
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts import links
from accounts.models.members import Member
from exchange.lib import audit, mail
from exchange.lib.transactions import transaction, transaction_required

FREEZE = "freeze"  # the purpose of the link
FREEZE_LINK_VALID = timedelta(days=7)


class Channel(models.TextChoices):
    """How members hear of events."""

    MAIL = "mail", _("Mail")


class Event(models.TextChoices):
    """What there is to hear of. The first block concerns security."""

    ACTIVATION = "activation", _("Confirm your e-mail address")
    JOINED_TWICE = "joined_twice", _("Two sign-ups with your address")
    JOINED_AGAIN = "joined_again", _("Somebody tried to join with your address")
    PASSWORD_RESET = "password_reset", _("Reset your password")
    PASSWORD_CHANGED = "password_changed", _("Password changed")
    LOCKED = "locked", _("Sign-in locked after wrong attempts")
    SIGNED_IN = "signed_in", _("Sign-in from a new device")
    FACTOR_ADDED = "factor_added", _("Second factor added")
    FACTOR_REMOVED = "factor_removed", _("Second factor removed")
    RECOVERY_USED = "recovery_used", _("Recovery code used")
    FACTOR_LOST = "factor_lost", _("Loss of second factors reported")
    KEY_ISSUED = "key_issued", _("API key created")
    KEY_CHANGED = "key_changed", _("API key changed or revoked")
    FROZEN = "frozen", _("Account frozen")
    CLOSED = "closed", _("Account closed")
    EXPORTED = "exported", _("Data exported")
    PROFILE_CHANGED = "profile_changed", _("Profile or mail phrase changed")
    BENEFICIARY_ADDED = "beneficiary_added", _("New beneficiary in your address book")
    WITHDRAWAL_PLACED = "withdrawal_placed", _("Withdrawal asked for")
    WITHDRAWAL_REFUSED = "withdrawal_refused", _("Withdrawal refused")
    TRANSFER_SENT = "transfer_sent", _("Transfer to another member")
    BALANCE_ADJUSTED = "balance_adjusted", _("Correction of your balance")
    WITHDRAWAL_PAID = "withdrawal_paid", _("Withdrawal paid by our bank")
    WITHDRAWAL_RETURNED = "withdrawal_returned", _("Withdrawal sent back by the bank")
    # The rest is a matter of taste.
    IDENTITY_DECIDED = "identity_decided", _("Identity check decided")
    TICKET_ANSWERED = "ticket_answered", _("Answer to a support ticket")
    DEPOSIT_CREDITED = "deposit_credited", _("Deposit credited")
    TRANSFER_RECEIVED = "transfer_received", _("Transfer from another member")
    WITHDRAWAL_SENT = "withdrawal_sent", _("Withdrawal sent")


OPTIONAL = frozenset(
    {
        *(Event.IDENTITY_DECIDED, Event.TICKET_ANSWERED),
        *(Event.DEPOSIT_CREDITED, Event.TRANSFER_RECEIVED),
        Event.WITHDRAWAL_SENT,
    }
)
# What only somebody inside the account can have done. Elsewhere nothing has happened
# yet that freezing would stop, or it is too late for it.
_WITH_FREEZE = frozenset(
    {
        *(Event.PASSWORD_CHANGED, Event.SIGNED_IN, Event.RECOVERY_USED),
        *(Event.FACTOR_ADDED, Event.FACTOR_REMOVED, Event.FACTOR_LOST),
        *(Event.KEY_ISSUED, Event.KEY_CHANGED),
        *(Event.EXPORTED, Event.PROFILE_CHANGED),
        *(Event.BENEFICIARY_ADDED, Event.WITHDRAWAL_PLACED, Event.TRANSFER_SENT),
    }
)


@transaction_required
def tell(member: Member, event: Event, **facts: object) -> None:
    """
    Let a member hear of an event, once the transaction at hand has committed.

    `facts` are the names its words may use. Whoever switched an optional one off hears
    nothing.
    """
    if event in OPTIONAL and event.value in member.muted_notices:
        return
    context = {name: _no_button(fact) for name, fact in facts.items()} | {
        "member": member,
        "phrase": member.mail_phrase,
        "freeze_url": freeze_link(member) if event in _WITH_FREEZE else "",
    }
    language = member.language or "en"
    with translation.override(language), timezone.override(member.time_zone):
        words = render_to_string(f"mail/{event}.txt", context)
    mail.write(to=member.email, words=words, language=language)


def _no_button(fact: object) -> object:
    """
    Return a fact that our mail makes no button of: the number of an account is what
    somebody wrote there, perhaps not the member.
    """
    return fact.replace("](", "] (") if isinstance(fact, str) else fact


def choose(*, member: Member, wanted: Collection[str]) -> Member:
    """
    Send a member, of the notices that are a matter of taste, those wanted. Whatever is
    asked for, what concerns security is sent.
    """
    member.muted_notices = sorted(
        event.value for event in OPTIONAL if event.value not in wanted
    )
    with transaction():
        member.save(update_fields=["muted_notices"])
        actor = f"member:{member.pk}"
        audit.record(actor, "notices_chosen", actor, muted=member.muted_notices)
    return member


def freeze_link(member: Member) -> str:
    """Return a link with which the member can freeze the account without signing in."""
    state = freeze_state(member)
    return links.make("/freeze/{}", member=member, purpose=FREEZE, state=state)


def freeze_state(member: Member) -> str:
    """
    Say what spends such a link: any freeze after it was made, also one that was thawed
    since; and the end of the account.
    """
    return f"{member.times_frozen}|{member.state == Member.State.CLOSED}"
