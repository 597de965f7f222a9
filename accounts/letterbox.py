"""
The letterbox: mails to whoever has an address, asked for by people we do not know.

Whether anybody has it must not show, not even in how long an answer takes. So the page
only drops a letter here, the same for everybody, and the postman (accounts.postman)
looks seconds later who lives there.
"""

from __future__ import annotations

from accounts.models.letterbox import Letter
from accounts.notices import Event


def drop(email: str, event: Event) -> None:
    """Leave a letter for whoever has this address, if anybody has."""
    Letter.objects.create(email=email, event=event.value)


def lock_next() -> Letter | None:
    """Lock and return the oldest letter, passing over what others hold."""
    waiting = Letter.objects.select_for_update(no_key=True, skip_locked=True)
    return waiting.order_by("pk").first()
