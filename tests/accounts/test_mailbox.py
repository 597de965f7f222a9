"""The mailbox of an exchange on a desk: everything to see, and nowhere else."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from exchange.lib.models import Mail
from tests.accounts.mailbox import mails_to
from tests.makers import PASSWORD

pytestmark = pytest.mark.django_db

CAROL = "carol@example.com"


@pytest.fixture
def written() -> Mail:
    from accounts import joining
    from tests.accounts.test_attempts import NOW

    joining.sign_up(
        email=CAROL, password=PASSWORD, language="en", address="192.0.2.1", now=NOW
    )
    (mail,) = mails_to(CAROL)
    return mail


def test_it_lists_mails_and_shows_one(settings: Settings, written: Mail) -> None:
    settings.MAILBOX_PAGE = True
    browser = Client()

    index = browser.get("/dev/mail").content.decode()
    page = browser.get(f"/dev/mail/{written.pk}")

    assert f'href="/dev/mail/{written.pk}"' in index
    assert CAROL in index
    assert 'href="http://localhost' in page.content.decode()
    assert 'sandbox="allow-top-navigation-by-user-activation"' in page.content.decode()
    assert "frame-src 'self'" in page["Content-Security-Policy"]


@pytest.mark.promise("S-54")
def test_it_frames_the_html_under_a_policy_of_its_own(
    settings: Settings, written: Mail
) -> None:
    settings.MAILBOX_PAGE = True

    frame = Client().get(f"/dev/mail/{written.pk}/html")

    policy = frame["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy
    assert frame["X-Frame-Options"] == "SAMEORIGIN"
    assert '<a target="_top" href="http' in frame.content.decode()


def test_it_is_nowhere_else(settings: Settings, written: Mail) -> None:
    settings.MAILBOX_PAGE = False
    ways = ["/dev/mail", f"/dev/mail/{written.pk}", f"/dev/mail/{written.pk}/html"]

    assert [Client().get(way).status_code for way in ways] == [404] * 3
    assert b"/dev/mail" not in Client().get("/signup/sent").content


def test_it_shows_what_is_forgotten_as_such(settings: Settings, written: Mail) -> None:
    settings.MAILBOX_PAGE = True
    Mail.objects.update(sealed=None)

    assert b"forgotten" in Client().get(f"/dev/mail/{written.pk}").content
    assert Client().get(f"/dev/mail/{written.pk}/html").status_code == 404
    assert Client().get("/dev/mail/999").status_code == 404
