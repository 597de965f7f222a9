"""Mail leaves after the commit, once, and says the same in text and HTML."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from exchange.lib import mail
from exchange.lib.errors import BrokenPromise
from exchange.lib.models import Mail
from exchange.lib.transactions import transaction

pytestmark = pytest.mark.django_db

WORDS = """
Reset your <password>

Somebody asked for it & it may have been you.

[Choose a password](https://exchange.example/reset/abc:def)
"""


def write() -> Mail:
    with transaction():
        return mail.write(to="alice@example.com", words=WORDS, language="en")


def test_it_says_the_same_twice() -> None:
    body = mail.read(write())

    assert body is not None
    assert body.text == (
        "Somebody asked for it & it may have been you.\n\n"
        "Choose a password:\nhttps://exchange.example/reset/abc:def\n"
    )
    assert "asked for it &amp; it may" in body.html
    assert '<a href="https://exchange.example/reset/abc:def"' in body.html
    assert "<title>Reset your &lt;password&gt;</title>" in body.html


def test_what_stands_among_other_words_is_no_button() -> None:
    """The label of a key, which somebody gave it."""
    said = "The key [Keep it](https://thief.example/) was made."
    with transaction():
        written = mail.write(to="a@example.com", words=f"A\n\n{said}", language="en")
    body = mail.read(written)
    assert body is not None
    assert body.text == f"{said}\n"
    assert "<a " not in body.html


def test_it_sends_each_mail_once() -> None:
    written = write()
    now = timezone.now()

    assert mail.send_waiting(now=now) == 1
    assert mail.send_waiting(now=now + timedelta(days=1)) == 0

    (sent,) = outbox.outbox
    assert (sent.to, sent.subject) == (["alice@example.com"], "Reset your <password>")
    assert sent.extra_headers["Message-ID"] == f"<mail-{written.pk}@localhost>"
    assert isinstance(sent, EmailMultiAlternatives)
    assert [str(kind) for _, kind in sent.alternatives] == ["text/html"]


def test_it_forgets_what_it_sent_where_nobody_may_look(settings: object) -> None:
    settings.MAILBOX_PAGE = False  # type: ignore[attr-defined]
    write()

    mail.send_waiting(now=timezone.now())

    assert mail.read(Mail.objects.get()) is None


def test_it_tries_again_later_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    write()
    now = timezone.now()

    tries = 0
    for _ in range(48):  # two days of hours
        mail.send_waiting(now=now)
        row = Mail.objects.get()
        tries = row.tries
        assert row.sent_at is None
        now += timedelta(hours=1)

    assert tries == mail.TRIES_MAX
    assert mail.read(Mail.objects.get()) is not None


def test_it_is_not_written_for_a_deed_that_failed() -> None:
    def deed() -> None:
        with transaction():
            mail.write(to="alice@example.com", words=WORDS, language="en")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        deed()

    assert not Mail.objects.exists()


@pytest.mark.parametrize("words", ["", "A subject alone", "Two\rlines\n\nbody"])
def test_it_needs_a_subject_and_words(words: str) -> None:
    with pytest.raises(BrokenPromise), transaction():
        mail.write(to="alice@example.com", words=words, language="en")
