"""The mailbox of the tests: what the exchange wrote, and the links in it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from accounts import postman
from exchange.lib import mail
from exchange.lib.models import Mail


def mails_to(email: str) -> list[Mail]:
    """Let the postman go his round, and return what was written, oldest first."""
    postman.deliver()
    return list(Mail.objects.filter(to=email).order_by("pk"))


def subjects(email: str) -> list[str]:
    return [mail.subject for mail in mails_to(email)]


def link(email: str, way: str) -> str:
    """Return the path of the newest link to /WAY/… that was sent to somebody."""
    texts = [body.text for each in mails_to(email) if (body := mail.read(each))]
    found = re.findall(rf"https?://\S+/{way}/\S+", "\n".join(texts))
    return urlsplit(found[-1]).path


def token(email: str, way: str) -> str:
    """Return the secret part of such a link."""
    return link(email, way).rpartition("/")[2]
