"""Joining: nobody learns who is a member, and nobody joins for somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import (
    joining,
    letterbox,
    links,
    members,
    passwords,
    postman,
    standing,
    tokens,
)
from accounts.attempts import Pace, TooManyAttempts
from accounts.devices import Device
from accounts.forms.joining import asked
from accounts.hashing import Argon2
from accounts.links import LinkSpent
from accounts.models.letterbox import Letter
from accounts.models.members import Member
from accounts.password_rules import WeakPassword
from accounts.tasks import deliver_letters
from exchange.lib.models import AuditRecord
from tests import rows
from tests.accounts.mailbox import link, mails_to, subjects, token
from tests.makers import PASSWORD
from tests.races.crowd import at_once, count

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
CAROL = "carol@example.com"
CONFIRM = "Confirm your e-mail address"
TWO = "Two sign-ups with your address"


def sign_up(
    email: str = CAROL,
    password: str = PASSWORD,
    address: str = "192.0.2.1",
    now: datetime = NOW,
) -> None:
    joining.sign_up(
        email=email, password=password, language="en", address=address, now=now
    )


def carol() -> Member:
    found: Member = Member.objects.get(email=CAROL)
    return found


@contextmanager
def counted_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Hashes made to be stored or to be compared: either costs the same."""
    hashed: list[object] = []
    encode, verify = Argon2.encode, Argon2.verify

    def encoded(self: Argon2, *args: str) -> str:
        hashed.append(args)
        return str(encode(self, *args))

    def verified(self: Argon2, *args: str) -> bool:
        hashed.append(args)
        return bool(verify(self, *args))

    monkeypatch.setattr(Argon2, "encode", encoded)
    monkeypatch.setattr(Argon2, "verify", verified)
    yield hashed


def test_it_lets_somebody_join_whose_address_is_not_confirmed() -> None:
    sign_up(" Carol@Example.com")

    member = carol()
    assert member.check_password(PASSWORD)
    assert (member.is_active, member.is_activated, member.may_trade) == (
        True,
        False,
        False,
    )
    assert (member.is_staff, member.is_superuser) == (False, False)
    assert member.language == "en"
    deed = AuditRecord.objects.get(subject=f"member:{member.pk}")
    assert (deed.actor, deed.action, deed.facts) == ("stranger", "signed_up", {})
    assert subjects(CAROL) == [CONFIRM]


def test_it_confirms_by_the_link() -> None:
    sign_up()

    joining.activate(token(CAROL, "activate"), now=NOW)

    assert carol().activated_at == NOW
    assert carol().may_trade
    assert AuditRecord.objects.filter(action="member_activated").count() == 1


def test_it_confirms_once() -> None:
    sign_up()
    secret = token(CAROL, "activate")
    joining.activate(secret, now=NOW)

    with pytest.raises(LinkSpent):
        joining.activate(secret, now=NOW)


@pytest.mark.races
def test_it_confirms_once_for_many_at_once() -> None:
    sign_up()
    secret = token(CAROL, "activate")

    results = at_once(*[partial(joining.activate, secret, now=NOW)] * 6)

    assert (count(results, Member), count(results, LinkSpent)) == (1, 5)
    assert AuditRecord.objects.filter(action="member_activated").count() == 1


@pytest.mark.parametrize("broken", ["", "x", "1.abc:def:ghi"])
def test_it_believes_no_link_that_is_not_ours(broken: str) -> None:
    sign_up()

    with pytest.raises(LinkSpent):
        joining.activate(broken, now=NOW)


def test_it_opens_nothing_else_with_a_link(alice: Member) -> None:
    sign_up()
    secret = token(CAROL, "activate")

    with pytest.raises(LinkSpent):
        passwords.reset(secret, new="another good pass phrase", now=NOW)
    with pytest.raises(LinkSpent):
        joining.activate(secret.replace(f"{carol().pk}.", f"{alice.pk}."), now=NOW)


@pytest.mark.parametrize(
    ("email", "password", "refusal"),
    [
        ("carol", PASSWORD, members.BadEmail),
        (CAROL, "short", WeakPassword),
        (CAROL, "x" * 1025, WeakPassword),
    ],
)
def test_it_refuses_and_changes_nothing(
    email: str, password: str, refusal: type[Exception]
) -> None:
    before = rows.dump()

    with pytest.raises(refusal):
        sign_up(email, password)

    assert rows.dump() == before


@pytest.mark.promise("S-9")
def test_it_tells_a_member_who_joins_again(alice: Member) -> None:
    sign_up(alice.email, "a wholly different phrase")

    after = Member.objects.get(pk=alice.pk)
    assert (after.password, Member.objects.count()) == (alice.password, 1)
    assert subjects(alice.email) == ["You are a member already"]
    assert AuditRecord.objects.filter(action="signed_up_again").count() == 1


@pytest.mark.promise("S-9")
def test_it_does_the_same_work_whether_the_address_is_known_or_not(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up("dave@example.com")  # joined, and has not confirmed
    sign_up("erin@example.com", MALLORYS)
    sign_up("fred@example.com", MALLORYS)
    sign_up("fred@example.com", OWNERS)

    work = {}
    emails = [f"{name}@example.com" for name in ("dave", "erin", "fred")]
    for email in (alice.email, CAROL, *emails):
        with (
            counted_hashes(monkeypatch) as hashed,
            CaptureQueriesContext(connection) as statements,
        ):
            sign_up(email)
        kinds = [each["sql"].split()[0] for each in statements.captured_queries]
        work[email] = (len(hashed), kinds)
        monkeypatch.undo()

    assert all(each == work[CAROL] for each in work.values())
    assert work[CAROL][0] == 1


@pytest.mark.promise("S-9")
def test_it_answers_the_same_whether_the_address_is_known_or_not(
    alice: Member,
) -> None:
    answers = []
    for email in (alice.email, CAROL):
        browser = Client()
        answers.append(browser.post("/signup", form() | {"email": email}))

    shown = [(each.status_code, each["Location"], each.content) for each in answers]
    assert shown[0] == shown[1] == (302, "/signup/sent", b"")


@pytest.mark.promise("S-9")
def test_it_names_the_address_to_everybody(alice: Member) -> None:
    for email in (alice.email, CAROL):
        page = Client().post("/signup", form() | {"email": email}, follow=True)

        assert f"A mail is on its way to {email}." in page.content.decode()


@pytest.mark.promise("S-9")
def test_it_takes_as_long_whether_the_address_is_known_or_not(
    alice: Member,
) -> None:
    """
    A hundred of each, in turn. The bound is the reference's: the machine may be busy,
    and what would tell, a hash more or less, takes ten times as long in life.
    """
    took: dict[bool, list[timedelta]] = {True: [], False: []}
    for number in range(100):
        for is_known in (True, False):
            now = NOW + timedelta(days=2 * number)
            started = datetime.now(UTC)
            sign_up(
                alice.email if is_known else f"new{number}@example.com",
                address=f"192.0.2.{number}",
                now=now,
            )
            took[is_known].append(datetime.now(UTC) - started)

    known, new = (sorted(each)[50] for each in took.values())
    assert abs(known - new) < timedelta(milliseconds=10)


MALLORYS = "mallorys own pass phrase"
OWNERS = "seven quiet lamps in fog"


@pytest.mark.promise("S-9")
@pytest.mark.parametrize("attempts", [(MALLORYS, PASSWORD), (PASSWORD, MALLORYS)])
def test_nobody_confirms_the_password_of_somebody_else(attempts: list[str]) -> None:
    """Whoever of the two came first: who reads the mail chooses."""
    first, second = attempts
    sign_up(password=first)
    early = token(CAROL, "activate")
    browser = Client()
    browser.force_login(carol())

    sign_up(password=second, address="198.51.100.9")

    assert browser.get("/").wsgi_request.user.is_anonymous
    assert not any(carol().check_password(each) for each in attempts)
    with pytest.raises(LinkSpent):
        joining.activate(early, now=NOW)
    assert subjects(CAROL) == [CONFIRM, TWO]
    passwords.reset(token(CAROL, "reset"), new=OWNERS, now=NOW)
    assert carol().is_activated
    assert carol().check_password(OWNERS)


@pytest.mark.promise("S-9")
def test_a_third_attempt_does_not_undo_the_link_that_settles_it() -> None:
    sign_up()
    sign_up(password=MALLORYS)
    settling = token(CAROL, "reset")

    sign_up(password=MALLORYS, address="198.51.100.9")

    assert subjects(CAROL)[-1] == TWO
    assert not carol().check_password(MALLORYS)
    passwords.reset(settling, new=OWNERS, now=NOW)
    assert carol().is_activated


def test_it_sends_another_link_to_who_joins_again_with_the_same_password() -> None:
    sign_up()
    first = token(CAROL, "activate")

    sign_up()

    assert subjects(CAROL) == [CONFIRM, CONFIRM]
    assert carol().check_password(PASSWORD)
    joining.activate(first, now=NOW)
    assert carol().is_activated


def test_it_changes_no_password_once_the_address_is_confirmed() -> None:
    sign_up()
    joining.activate(token(CAROL, "activate"), now=NOW)

    sign_up(password="mallorys own pass phrase")

    assert carol().check_password(PASSWORD)


@pytest.mark.races
def test_it_makes_one_member_of_many_sign_ups_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("accounts.hashing.hashed", lambda password: f"={password}")
    monkeypatch.setattr(letterbox, "PER_MAILBOX", Pace(99, timedelta(1), timedelta(1)))

    at_once(*[partial(sign_up, address=f"192.0.2.{n}") for n in range(8)])

    assert Member.objects.count() == 1
    assert Letter.objects.count() == 8


@pytest.mark.promise("S-74")
def test_it_slows_down_who_joins_again_and_again() -> None:
    for number in range(joining.PER_ADDRESS.free):
        sign_up(f"member{number}@example.com")

    with pytest.raises(TooManyAttempts):
        sign_up("member99@example.com")

    assert not Member.objects.filter(email="member99@example.com").exists()
    sign_up("member99@example.com", address="198.51.100.9")


def ask(
    email: str,
    address: str = "192.0.2.1",
    device: Device | None = None,
    now: datetime = NOW,
) -> None:
    passwords.request_reset(
        email=email, device=device or Device("new"), address=address, now=now
    )


def shut_mailbox(email: str, now: datetime = NOW) -> None:
    """Ask from as many networks as it takes."""
    for number in range(letterbox.PER_MAILBOX.free):
        with suppress(TooManyAttempts):
            ask(email, address=f"192.0.2.{number}", now=now)


@pytest.mark.promise("S-74")
@pytest.mark.parametrize(
    ("one", "same"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:7::1", "2001:db8:7:ffff::2")],
)
def test_a_stranger_writes_to_a_mailbox_few_times(
    alice: Member, one: str, same: str
) -> None:
    sign_up(alice.email, address=one)
    for _ in range(letterbox.PER_ASKER.free - 1):
        ask(alice.email, one)

    with pytest.raises(TooManyAttempts):
        ask(alice.email, same)
    with pytest.raises(TooManyAttempts):
        sign_up(alice.email, address=same)

    assert len(mails_to(alice.email)) == letterbox.PER_ASKER.free
    ask(alice.email, "198.51.100.9")  # as its owner may
    assert len(mails_to(alice.email)) == letterbox.PER_ASKER.free + 1


@pytest.mark.promise("S-74")
def test_a_stranger_who_goes_on_for_a_day_leaves_the_owner_room(alice: Member) -> None:
    for minute in range(24 * 60):
        with suppress(TooManyAttempts):
            ask(alice.email, now=NOW + timedelta(minutes=minute))

    ask(alice.email, "198.51.100.9", now=NOW + timedelta(days=1))
    assert len(mails_to(alice.email)) <= 16


@pytest.mark.promise("S-74")
def test_it_floods_nobodys_mailbox_from_many_networks(alice: Member) -> None:
    shut_mailbox(alice.email)

    with pytest.raises(TooManyAttempts):
        ask(alice.email, "198.51.100.9")
    with pytest.raises(TooManyAttempts):
        sign_up(alice.email, address="198.51.100.9")

    assert len(mails_to(alice.email)) == letterbox.PER_MAILBOX.free


@pytest.mark.promise("S-74")
def test_a_shut_mailbox_has_a_link_that_works(alice: Member) -> None:
    """So that shutting it keeps nobody out: they read what the stranger asked for."""
    shut_mailbox(alice.email)

    assert letterbox.PER_MAILBOX.longest <= links.VALID
    passwords.reset(token(alice.email, "reset"), new=OWNERS, now=NOW)


def test_whom_others_shut_out_has_not_used_up_their_own(alice: Member) -> None:
    shut_mailbox(alice.email)
    for _ in range(letterbox.PER_ASKER.free * 2):
        with pytest.raises(TooManyAttempts):
            ask(alice.email, "198.51.100.9")

    ask(alice.email, "198.51.100.9", now=NOW + timedelta(minutes=2))


@pytest.mark.promise("S-74")
def test_a_known_browser_has_a_count_of_its_own(alice: Member) -> None:
    browser = Client()
    browser.post("/signin", {"email": alice.email, "password": PASSWORD})
    browser.post("/signout")
    now = timezone.now()
    shut_mailbox(alice.email, now)
    for number in range(20):  # and the network is shut, too
        with suppress(TooManyAttempts):
            ask(f"nobody{number}@example.com", "127.0.0.1", now=now)

    answers = [browser.post("/forgot", {"email": alice.email}) for _ in range(4)]

    assert [each.status_code for each in answers] == [302, 302, 302, 429]
    stranger = Client().post("/forgot", {"email": alice.email})
    assert stranger.status_code == 429


@pytest.mark.promise("S-74")
def test_who_is_in_gets_a_link_whatever_strangers_asked_for() -> None:
    sign_up()
    shut_mailbox(CAROL)

    for _ in range(letterbox.PER_ASKER.free):
        joining.resend(member=carol(), now=NOW)

    with pytest.raises(TooManyAttempts):
        joining.resend(member=carol(), now=NOW)


def test_it_sends_another_link_to_who_lost_the_first() -> None:
    sign_up()

    joining.resend(member=carol(), now=NOW)

    assert subjects(CAROL) == [CONFIRM, CONFIRM]
    joining.activate(token(CAROL, "activate"), now=NOW)
    joining.resend(member=carol(), now=NOW)
    assert len(mails_to(CAROL)) == 2


def test_it_answers_each_letter_once() -> None:
    sign_up()

    assert (deliver_letters(), deliver_letters()) == (1, 0)
    assert len(mails_to(CAROL)) == 1


@pytest.mark.races
def test_it_answers_each_letter_once_with_many_postmen() -> None:
    sign_up()
    sign_up("dave@example.com")

    at_once(*[postman.deliver] * 4)

    assert len(mails_to(CAROL)) == len(mails_to("dave@example.com")) == 1


def test_it_says_nothing_to_who_closed_the_account(alice: Member) -> None:
    members.close(member=alice, by="operator:1", reason="gone", now=timezone.now())

    told = subjects(alice.email)

    sign_up(alice.email)

    assert subjects(alice.email) == told


def test_it_issues_no_keys_before_the_address_is_confirmed() -> None:
    sign_up()

    with pytest.raises(standing.AddressNotConfirmed):
        tokens.issue(member=carol(), now=NOW)


# --- The pages ----------------------------------------------------------------------


def form(seconds_ago: int = 10) -> dict[str, str]:
    """Fill in the form as a person does who takes a while."""
    asked_at = asked(timezone.now() - timedelta(seconds=seconds_ago))
    return {"email": CAROL, "password": PASSWORD, "asked_at": asked_at}


def test_it_goes_from_the_form_to_the_account_and_on() -> None:
    browser = Client(headers={"Accept-Language": "zh-Hans"})
    browser.post("/signup", form())
    browser.post("/signin", {"email": CAROL, "password": PASSWORD})
    way = link(CAROL, "activate")

    looked = browser.get(way)
    assert not carol().is_activated  # looking confirms nothing
    answer = browser.post(way)

    assert carol().language == "zh-hans"
    assert looked.status_code == 200
    assert (answer.status_code, answer["Location"]) == (302, "/account")
    assert carol().is_activated
    assert browser.post(way).status_code == 404


def test_it_shows_the_banner_until_the_address_is_confirmed() -> None:
    browser = Client()
    sign_up()
    browser.force_login(carol())
    before = browser.get("/account").content.decode()

    answer = browser.post("/account/confirm", follow=True)

    assert "Send another link" in before
    assert "A new link is on its way" in answer.content.decode()
    browser.post(link(CAROL, "activate"))
    assert "Send another link" not in browser.get("/account").content.decode()


@pytest.mark.promise("S-74")
def test_it_says_welcome_to_machines_and_takes_nothing() -> None:
    browser = Client()

    answer = browser.post("/signup", form() | {"website": "https://spam.example"})

    assert (answer.status_code, answer["Location"]) == (302, "/signup/sent")
    assert not Member.objects.exists()


@pytest.mark.promise("S-74")
@pytest.mark.parametrize("seconds_ago", [0, 1, 13 * 3600, -60])
def test_it_takes_no_form_that_no_person_filled_in(
    monkeypatch: pytest.MonkeyPatch, seconds_ago: int
) -> None:
    now = timezone.now()  # and not later, however slow the machine
    monkeypatch.setattr(timezone, "now", lambda: now)
    browser = Client()

    answer = browser.post("/signup", form(seconds_ago))

    assert answer.status_code == 422
    assert b"That was very quick" in answer.content
    assert not Member.objects.exists()


@pytest.mark.promise("S-74")
@pytest.mark.parametrize("asked_at", ["", "1700000000", "1700000000:forged"])
def test_it_takes_no_form_that_is_not_ours(asked_at: str) -> None:
    browser = Client()

    answer = browser.post("/signup", form() | {"asked_at": asked_at})

    assert answer.status_code == 422
    assert not Member.objects.exists()


@pytest.mark.promise("S-70")
def test_it_takes_no_field_that_is_not_asked_for() -> None:
    browser = Client()

    wish = {"is_staff": "1", "is_superuser": "1", "activated_at": "2026-01-01"}
    browser.post("/signup", form() | wish)

    assert (carol().is_staff, carol().is_superuser) == (False, False)
    assert not carol().is_activated


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"password": "short"}, "at least 12 characters"),
        ({"email": "carol"}, "valid email address"),
        ({"email": ""}, "This field is required."),
        ({"password": "x" * 1025}, "at most 1024"),
    ],
)
def test_it_says_what_is_wrong_and_shows_no_password(
    given: dict[str, str], complaint: str
) -> None:
    browser = Client()

    answer = browser.post("/signup", form() | given)

    assert answer.status_code == 400
    assert complaint in answer.content.decode()
    assert PASSWORD not in answer.content.decode()
    assert not Member.objects.exists()


@pytest.mark.promise("S-5")
def test_it_lets_password_managers_join() -> None:
    page = Client().get("/signup").content.decode()

    assert 'autocomplete="username"' in page
    assert 'autocomplete="new-password"' in page
    assert "data-show-password" in page


def test_it_has_nothing_to_join_for_who_is_in(alice: Member) -> None:
    browser = Client()
    browser.force_login(alice)

    assert browser.get("/signup")["Location"] == "/account"
