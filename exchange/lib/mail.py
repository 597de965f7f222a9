"""
Mail: written down in the transaction of the deed, sent after its commit.

The row is the queue, and a job looks at it every two seconds. So no mail is lost with a
process, and none is sent for a deed that was rolled back. One that was sent just before
a crash is sent again, under the same Message-ID.

What a mail says is made from one text, so that its plain and its HTML form cannot
differ: the first line is the subject; paragraphs are apart by blank lines; a paragraph
`[Label](https://…)` is a button.
"""

from __future__ import annotations

import json
import logging
import re
import smtplib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from exchange.lib.errors import BrokenPromise
from exchange.lib.models import Mail
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction, transaction_required
from exchange.lib.words import is_line

log = logging.getLogger(__name__)

TRIES_MAX = 10
# After a failure: a minute, then twice as long each time, up to six hours.
_PAUSE = timedelta(minutes=1)
_PAUSE_MAX = timedelta(hours=6)
_SENT_IN_ONE_RUN = 100
_SEALED_FOR = "mail"
# A whole paragraph: what looks like one among other words may be a member's.
_BUTTON = re.compile(r"\A\[([^\]]+)\]\((https?://[^\s)]+)\)\Z")


class Body(NamedTuple):
    """What a mail says, twice."""

    text: str
    html: str


@transaction_required
def write(*, to: str, words: str, language: str) -> Mail:
    """
    Write a mail that leaves after the commit. `words` are as described above: subject,
    blank line, paragraphs, in the language given.
    """
    subject, _, rest = words.strip().partition("\n")
    if not rest.strip() or len(subject) > 200 or not is_line(subject):
        raise BrokenPromise(f"A mail needs a subject of one line, not {subject!r}.")
    mail = Mail.objects.create(to=to, subject=subject.strip())
    body = _body(subject, rest, language)
    mail.sealed = seal(
        json.dumps(body).encode(), purpose=_SEALED_FOR, bound_to=str(mail.pk)
    )
    mail.save(update_fields=["sealed"])
    return mail


def read(mail: Mail) -> Body | None:
    """Return what a mail says; None once that is forgotten."""
    if mail.sealed is None:
        return None
    words = unseal(bytes(mail.sealed), purpose=_SEALED_FOR, bound_to=str(mail.pk))
    return Body(*json.loads(words))


def send_waiting(*, now: datetime) -> int:
    """Send what is due; return how many mails left. Safe to run twice at once."""
    sent = 0
    for _ in range(_SENT_IN_ONE_RUN):
        mail = _take(now)
        if mail is None:
            break
        sent += _send(mail, now)
    return sent


def _take(now: datetime) -> Mail | None:
    """Claim the mail that waits longest: who dies while sending tries again later."""
    with transaction():
        mail = lock_next_mail(now)
        if mail is not None:
            mail.tries += 1
            mail.try_at = now + min(_PAUSE * 2 ** (mail.tries - 1), _PAUSE_MAX)
            mail.save(update_fields=["tries", "try_at"])
    return mail


def lock_next_mail(now: datetime) -> Mail | None:
    """Lock and return the mail that is due longest, passing over what others hold."""
    due = Mail.objects.select_for_update(no_key=True, skip_locked=True).filter(
        sent_at=None, try_at__lte=now, tries__lt=TRIES_MAX
    )
    return due.order_by("try_at", "pk").first()


def _send(mail: Mail, now: datetime) -> bool:
    body = read(mail)
    if body is None:
        raise BrokenPromise(f"{mail} was never written.")
    message = EmailMultiAlternatives(
        mail.subject,
        body.text,
        settings.DEFAULT_FROM_EMAIL,
        [mail.to],
        headers={"Message-ID": f"<mail-{mail.pk}@{settings.SITE_HOST}>"},
    )
    message.attach_alternative(body.html, "text/html")
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("Mail %s did not leave: %s", mail.pk, type(error).__name__)
        return False
    kept = {} if settings.MAILBOX_PAGE else {"sealed": None}
    Mail.objects.filter(pk=mail.pk).update(sent_at=now, **kept)
    return True


def _body(subject: str, rest: str, language: str) -> Body:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", rest.strip())]
    text = "\n\n".join(_BUTTON.sub(r"\1:\n\2", part) for part in paragraphs)
    page = render_to_string(
        "mail/frame.html",
        {"subject": subject, "parts": list(_parts(paragraphs)), "language": language},
    )
    return Body(text + "\n", page)


def _parts(paragraphs: list[str]) -> Iterator[dict[str, str]]:
    for part in paragraphs:
        if match := _BUTTON.fullmatch(part):
            yield {"label": match[1], "url": match[2]}
        else:
            yield {"text": part}
