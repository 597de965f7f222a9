"""
The letterbox: mails to whoever has an address, asked for by people we do not know.

Whether anybody has it must not show, not even in how long an answer takes. So the page
only drops a letter here, the same for everybody, and the postman (accounts.postman)
looks seconds later who lives there.

Who asks too often waits: whoever it is, from one network, or in all for one mailbox. A
stranger must not use up what the owner needs, so the wait in all is short: while the
door is shut, the mailbox has a mail with a link that still works. And a browser that
the owner has signed in with has a counter of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts import attempts, links, networks
from accounts.attempts import Pace, TooManyAttempts
from accounts.devices import Device
from accounts.models.letterbox import Letter
from accounts.notices import Event

PER_ASKER = Pace(3, timedelta(minutes=1), timedelta(hours=6))
PER_MAILBOX = Pace(12, timedelta(minutes=1), links.VALID)


def count(
    email: str, *, address: str, now: datetime, device: Device | None = None
) -> None:
    """Count a mail that is asked for, before it is. Raises TooManyAttempts."""
    if device is not None and device.knows(email):
        own = attempts.key_of("mailbox-device", f"{device.id} {email}")
        attempts.count(own, PER_ASKER, now=now)
        return
    network = attempts.key_of("mailbox", f"{email} {networks.allotted(address)}")
    attempts.count(network, PER_ASKER, now=now)
    try:
        attempts.count(attempts.key_of("mailbox", email), PER_MAILBOX, now=now)
    except TooManyAttempts:
        attempts.take_back(network, now=now)  # others shut it
        raise


def drop(email: str, event: Event) -> None:
    """Leave a letter for whoever has this address, if anybody has."""
    Letter.objects.create(email=email, event=event.value)


def lock_next() -> Letter | None:
    """Lock and return the oldest letter, passing over what others hold."""
    waiting = Letter.objects.select_for_update(no_key=True, skip_locked=True)
    return waiting.order_by("pk").first()
