"""The mailbox of the tests: what the exchange wrote, and the links in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.core.signing import TimestampSigner, b62_encode

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
    return str(urlsplit(found[-1]).path)


@contextmanager
def made(ago: timedelta) -> Iterator[None]:
    """Let links made in a block be as old as that."""
    then = b62_encode(int((datetime.now(UTC) - ago).timestamp()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimestampSigner, "timestamp", lambda _: then)
        yield


def token(email: str, way: str) -> str:
    """Return the secret part of such a link."""
    return link(email, way).rpartition("/")[2]
