"""
What members choose for themselves: name, language, time zone, colours, and the phrase
that stands in every mail of ours.
"""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import notices
from accounts.models.members import Member
from exchange.lib import audit, words
from exchange.lib.errors import Invalid
from exchange.lib.transactions import transaction

THEMES = ("", "light", "dark")  # nothing: the system's
TEXT_LENGTH_MAX = 64


class BadText(Invalid):
    """A name or phrase is too long, or holds what cannot be seen."""

    code = "bad_text"
    text = _("Please use at most 64 letters, digits and signs, on one line.")


class UnknownChoice(Invalid):
    """A language, time zone or theme we do not have. Facts: field."""

    code = "unknown_choice"
    text = _("Please choose one of those on offer.")


@lru_cache(maxsize=1)
def time_zones() -> tuple[str, ...]:
    """Return the names of the time zones on offer: places, and UTC."""
    names = zoneinfo.available_timezones()
    places = (n for n in names if "/" in n and not n.startswith("Etc/"))
    return ("UTC", *sorted(places))


def change(
    *, member: Member, display_name: str, language: str, time_zone: str, theme: str
) -> Member:
    """
    Write down what a member chose; of a time zone a part of its name will do, if no
    other has it. Raises BadText or UnknownChoice.
    """
    time_zone = _zone_meant(time_zone)
    for field, chosen, offered in (
        ("language", language, ["", *dict(settings.LANGUAGES)]),
        ("time_zone", time_zone, time_zones()),
        ("theme", theme, THEMES),
    ):
        if chosen not in offered:
            raise UnknownChoice(field=field)
    member.display_name = _line(display_name, field="display_name")
    member.language, member.time_zone, member.theme = language, time_zone, theme
    with transaction():
        member.save(update_fields=["display_name", "language", "time_zone", "theme"])
        _record(member, "profile_changed")
    return member


def change_theme(*, member: Member, theme: str) -> Member:
    """Keep the colours a member switched to on some page. Raises UnknownChoice."""
    if theme not in THEMES:
        raise UnknownChoice(field="theme")
    member.theme = theme
    with transaction():
        member.save(update_fields=["theme"])
    return member


def change_mail_phrase(*, member: Member, phrase: str, now: datetime) -> Member:
    """
    Put another phrase into our mails, and say so in a last one with the old phrase:
    the member can tell that one to be ours. Raises BadText.
    """
    phrase = _line(phrase, field="phrase")
    if phrase == member.mail_phrase:
        return member
    with transaction():
        member.mail_phrase = member.mail_phrase or phrase
        notices.tell(member, notices.Event.PROFILE_CHANGED, at=now)
        member.mail_phrase = phrase
        member.save(update_fields=["mail_phrase"])
        _record(member, "mail_phrase_changed")
    return member


def _zone_meant(text: str) -> str:
    """Return the one time zone that a text names or is a part of; else the text."""
    part = text.strip().replace(" ", "_").casefold()
    names = {name.casefold(): name for name in time_zones()}
    found = [name for folded, name in names.items() if part and part in folded]
    return names.get(part) or (found[0] if len(found) == 1 else text)


def _line(text: str, *, field: str) -> str:
    text = text.strip()
    if len(text) > TEXT_LENGTH_MAX or not words.is_line(text):
        raise BadText(field=field)
    return text


def _record(member: Member, action: str) -> None:
    audit.record(f"member:{member.pk}", action, f"member:{member.pk}")
