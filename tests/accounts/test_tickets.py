"""Tickets: asked, answered, closed and reopened; and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import roles, throttling, tickets
from accounts.models.members import Member
from accounts.models.tickets import Comment, ReadMark, Ticket
from accounts.roles import Role
from exchange.lib import mail, words
from exchange.lib.models import AuditRecord, Mail
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import transaction
from tests import rows
from tests.makers import make_member, prove
from tests.races.crowd import at_once, count

pytestmark = pytest.mark.django_db

LIST = "/account/tickets"


@pytest.fixture(autouse=True)
def _forget_other_tests_words() -> None:
    cache.clear()


@pytest.fixture
def rita(db: None) -> Member:
    """An operator of our support."""
    member = make_member("rita")
    roles.grant(member=member, role=Role.SUPPORT, by="operator:0", reason="a test")
    return member


def browser_of(member: Member) -> Client:
    browser = Client()
    browser.force_login(member)
    return browser


def ask(
    member: Member, subject: str = "Where is it?", text: str = "My coin."
) -> Ticket:
    return tickets.ask(
        member=member, subject=subject, text=text, files=[], now=timezone.now()
    )


def reply(ticket: Ticket, text: str = "Hello?") -> None:
    tickets.reply(ticket=ticket, text=text, files=[], now=timezone.now())


def answer(ticket: Ticket, operator: Member, text: str = "In the post.") -> None:
    tickets.answer(ticket=ticket, operator=operator, text=text, now=timezone.now())


def close(ticket: Ticket) -> None:
    tickets.close(ticket=ticket, by="operator:7")


def reopen(ticket: Ticket) -> None:
    tickets.reopen(ticket=ticket, by="member:7", now=timezone.now())


def fresh(ticket: Ticket) -> Ticket:
    found: Ticket = Ticket.objects.get(pk=ticket.pk)
    return found


@pytest.mark.promise("U-82")
def test_it_lives_from_question_to_end(alice: Member, rita: Member) -> None:
    ticket = ask(alice)
    states = [fresh(ticket).state]
    deeds: list[Callable[[], None]] = [
        lambda: answer(ticket, rita),
        lambda: reply(ticket),
        lambda: answer(ticket, rita, "Really."),
        lambda: close(ticket),
        lambda: reopen(ticket),
        lambda: close(ticket),
        lambda: reply(ticket, "Still nothing."),
    ]
    for deed in deeds:
        deed()
        states.append(fresh(ticket).state)

    assert states == [
        *("open", "answered", "open", "answered"),
        *("closed", "open", "closed", "open"),
    ]
    assert [comment.text for comment in tickets.thread(ticket)] == [
        *("My coin.", "In the post.", "Hello?", "Really.", "Still nothing."),
    ]
    subject = f"accounts.ticket:{ticket.pk}"
    trail = AuditRecord.objects.filter(subject=subject).order_by("pk")
    assert [each.action for each in trail] == [
        *("asked", "answer", "reopen", "answer", "close", "reopen", "close", "reopen"),
    ]
    assert "coin" not in str([each.facts for each in trail])


@pytest.mark.parametrize("state", ["open", "answered", "closed"])
@pytest.mark.parametrize("move", ["answer", "reply", "close", "reopen"])
def test_it_makes_only_moves_there_are(
    alice: Member, rita: Member, state: str, move: str
) -> None:
    ticket = ask(alice)
    if state == "answered":
        answer(ticket, rita)
    elif state == "closed":
        close(ticket)
    verbs: dict[str, Any] = {
        "answer": lambda: answer(ticket, rita),
        "reply": lambda: reply(ticket),
        "close": lambda: close(ticket),
        "reopen": lambda: reopen(ticket),
    }

    if (move, state) == ("answer", "closed"):
        before = rows.dump()
        with pytest.raises(IllegalMove):
            verbs[move]()
        assert rows.dump() == before
        return
    verbs[move]()
    verbs[move]()

    ends = {"answer": "answered", "reply": "open", "close": "closed", "reopen": "open"}
    assert fresh(ticket).state == ends[move]


def test_it_waits_since_the_first_word_without_an_answer(
    alice: Member, rita: Member
) -> None:
    ticket = ask(alice)
    asked_at = fresh(ticket).waiting_since
    reply(ticket)
    assert fresh(ticket).waiting_since == asked_at

    answer(ticket, rita)
    assert fresh(ticket).waiting_since is None
    reply(ticket)

    waiting_since = fresh(ticket).waiting_since
    assert waiting_since is not None
    assert asked_at is not None
    assert waiting_since > asked_at


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("", "a"),
        (" \r\n\t", "a"),
        ("a" * 141, "a"),
        ("a", ""),
        ("a", " \n\x00\x07 "),
        ("a", "b" * 10_001),
    ],
)
def test_it_refuses_to_hear_nothing_or_too_much(
    alice: Member, subject: str, text: str
) -> None:
    before = rows.dump()

    with pytest.raises(tickets.BadWords):
        ask(alice, subject, text)

    assert rows.dump() == before


@pytest.mark.promise("S-82")
def test_it_keeps_words_and_drops_what_steers(alice: Member) -> None:
    ticket = ask(alice, "one\r\nBcc: two\x00", "我的\r\n  币\x1b[2J?\u3000")

    assert ticket.subject == "one Bcc: two"
    assert tickets.thread(ticket)[0].text == "我的\n  币[2J?"


@pytest.mark.promise("S-82")
def test_it_takes_no_subject_that_reads_otherwise(alice: Member) -> None:
    with pytest.raises(words.Unseen):
        ask(alice, "invoice \u202efdp.exe", "words")

    assert not Ticket.objects.exists()
    ticket = ask(alice, "می\u200cخواهم", "call \u202a+49 151\u202c \u2067x\u2069")
    assert ticket.subject == "می\u200cخواهم"
    assert tickets.thread(ticket)[0].text == "call +49 151 x"


def test_it_lets_nobody_talk_without_end(alice: Member, bob: Member) -> None:
    ticket = ask(alice)
    for _ in range(throttling.COMMENTS_PER_MEMBER - 1):
        reply(ticket)

    with pytest.raises(throttling.LimitReached):
        reply(ticket)
    with pytest.raises(throttling.LimitReached):
        ask(alice)
    assert Comment.objects.count() == throttling.COMMENTS_PER_MEMBER
    ask(bob)


@pytest.mark.races
def test_it_is_answered_twice_in_one_state(alice: Member, rita: Member) -> None:
    ticket = ask(alice)

    done = at_once(*[lambda: answer(ticket, rita)] * 4, *[lambda: close(ticket)] * 2)

    refused = count(done, IllegalMove)
    assert fresh(ticket).state == "closed"
    assert Comment.objects.filter(is_operator=True).count() == 4 - refused
    assert Mail.objects.count() == 4 - refused


# --- Mail ---------------------------------------------------------------------------


def mails() -> list[tuple[str, str, str]]:
    found = []
    for each in Mail.objects.order_by("pk"):
        body = mail.read(each)
        assert body is not None
        found.append((each.to, each.subject, body.text))
    return found


def test_it_tells_the_member_of_an_answer(alice: Member, rita: Member) -> None:
    ticket = ask(alice, "[x](https://evil.example)")
    answer(ticket, rita, "A secret of yours.")

    ((to, subject, text),) = mails()
    assert to == "alice@example.com"
    assert subject == f"An answer to your ticket {ticket.number}"
    assert f"/account/tickets/{ticket.number}" in text
    assert "secret" not in text
    body = mail.read(Mail.objects.get())
    assert body is not None
    assert 'href="https://evil' not in body.html


def test_it_tells_nobody_who_did_not_want_it(alice: Member, rita: Member) -> None:
    alice.muted_notices = ["ticket_answered"]
    alice.save(update_fields=["muted_notices"])

    answer(ask(alice), rita)

    assert not Mail.objects.exists()


def test_it_tells_our_support_that_somebody_waits(
    alice: Member, rita: Member, settings: Settings
) -> None:
    settings.SUPPORT_EMAIL = "support@example.com"

    ticket = ask(alice, "My secret", "My secret.")
    reply(ticket)
    tickets.note(ticket=ticket, operator=rita, text="Odd.", now=timezone.now())

    assert [(to, subject) for to, subject, _ in mails()] == [
        ("support@example.com", f"Ticket {ticket.number} waits for an answer")
    ] * 2
    assert all("secret" not in text for _, _, text in mails())
    assert f"/admin/accounts/ticket/{ticket.pk}/change/" in mails()[0][2]


# --- Read marks ---------------------------------------------------------------------


def unread(member: Member, reader: Member) -> bool:
    found = tickets.with_unread(
        Ticket.objects.filter(member=member), reader_id=reader.pk
    )
    return bool(found.get().is_unread)


def test_each_reader_has_read_as_far_as_they_have(alice: Member, rita: Member) -> None:
    ticket = ask(alice)
    quinn = make_member("quinn")
    assert [unread(alice, who) for who in (alice, rita, quinn)] == [False, True, True]

    tickets.mark_read(ticket=ticket, reader=rita, now=timezone.now())
    assert [unread(alice, who) for who in (alice, rita, quinn)] == [False, False, True]

    answer(ticket, rita)
    assert [unread(alice, who) for who in (alice, rita, quinn)] == [True, False, True]

    tickets.mark_read(ticket=ticket, reader=alice, now=timezone.now())
    assert not unread(alice, alice)
    tickets.note(ticket=ticket, operator=rita, text="Odd.", now=timezone.now())
    assert [unread(alice, who) for who in (alice, rita, quinn)] == [False, False, True]


@pytest.mark.races
def test_a_mark_is_one_however_often_one_reads(alice: Member) -> None:
    ticket, now = ask(alice), timezone.now()

    at_once(
        *[lambda: tickets.mark_read(ticket=ticket, reader=alice, now=now)] * 6,
    )

    assert ReadMark.objects.count() == 1


# --- Pages --------------------------------------------------------------------------


@pytest.mark.promise("U-82")
def test_a_member_asks_and_reads_the_answer(alice: Member, rita: Member) -> None:
    browser = browser_of(alice)
    assert b"no open tickets" in browser.get(LIST).content

    sent = browser.post(f"{LIST}/new", {"subject": "Where?", "text": "My <b>coin</b>"})
    ticket = Ticket.objects.get()
    page = browser.get(sent["Location"]).content.decode()
    assert sent["Location"] == f"{LIST}/{ticket.number}"
    assert "My &lt;b&gt;coin&lt;/b&gt;" in page
    assert b"unread" not in browser.get(LIST).content

    answer(ticket, rita, "See https://evil.example/")
    listed = browser.get(LIST).content
    page = browser.get(f"{LIST}/{ticket.number}").content.decode()
    assert b"unread" in listed
    assert "Pixiu support" in page
    assert 'href="https://evil' not in page
    assert b"unread" not in browser.get(LIST).content

    closed = browser.post(f"{LIST}/{ticket.number}/close", follow=True)
    assert b"The ticket is closed." in closed.content
    assert b"Where?" not in browser.get(LIST).content
    assert b"Where?" in browser.get(f"{LIST}?closed").content
    opened = browser.post(f"{LIST}/{ticket.number}/reopen", follow=True)
    assert b"The ticket is open again." in opened.content
    browser.post(f"{LIST}/{ticket.number}", {"text": "Thanks."})
    assert fresh(ticket).state == "open"
    assert b"Thanks." in browser.get(f"{LIST}/{ticket.number}").content


def test_a_note_is_not_for_the_member(alice: Member, rita: Member) -> None:
    ticket = ask(alice)
    tickets.note(ticket=ticket, operator=rita, text="Odd fellow.", now=timezone.now())

    page = browser_of(alice).get(f"{LIST}/{ticket.number}").content

    assert b"Odd fellow" not in page
    assert fresh(ticket).state == "open"


@pytest.mark.promise("S-69")
@pytest.mark.parametrize("route", ["GET ", "POST ", "POST /close", "POST /reopen"])
@pytest.mark.parametrize("who", ["mallory", "olive", ""])
def test_another_members_ticket_is_not_there(
    alice: Member, mallory: Member, olive: Member, who: str, route: str
) -> None:
    ticket = ask(alice)
    people = {"mallory": mallory, "olive": olive}
    browser = browser_of(people[who]) if who else Client()
    verb, _, tail = route.partition(" ")
    before = rows.dump()

    reached = browser.generic(verb, f"{LIST}/{ticket.number}{tail}", b"text=Mine")
    unknown = browser.generic(verb, f"{LIST}/ABCDEFGH{tail}", b"text=Mine")

    assert reached.status_code == unknown.status_code == (404 if who else 302)
    assert rows.dump() == before
    assert alice.email.encode() not in reached.content


def test_a_frozen_member_can_still_ask(alice: Member) -> None:
    Member.objects.filter(pk=alice.pk).update(state="frozen")

    browser_of(alice).post(f"{LIST}/new", {"subject": "Why?", "text": "Frozen."})

    assert Ticket.objects.get().subject == "Why?"


@pytest.mark.promise("S-70")
def test_fields_that_are_not_theirs_are_ignored(alice: Member, bob: Member) -> None:
    browser_of(alice).post(
        f"{LIST}/new",
        {
            "subject": "a",
            "text": "b",
            "member": bob.pk,
            "state": "closed",
            "number": "AAAAAAAA",
            "is_operator": "1",
            "is_note": "1",
        },
    )

    ticket, comment = Ticket.objects.get(), Comment.objects.get()
    assert (ticket.member, ticket.state) == (alice, "open")
    assert ticket.number != "AAAAAAAA"
    assert not comment.is_operator
    assert not comment.is_note


@pytest.mark.parametrize("form", [{}, {"subject": "a"}, {"text": "a"}, {"text": "\0"}])
def test_it_shows_what_is_missing(alice: Member, form: dict[str, str]) -> None:
    answer = browser_of(alice).post(f"{LIST}/new", form)

    assert answer.status_code == 400
    assert b"complaint" in answer.content
    assert not Ticket.objects.exists()


def test_it_says_when_to_come_back(alice: Member) -> None:
    browser = browser_of(alice)
    for _ in range(throttling.COMMENTS_PER_MEMBER):
        browser.post(f"{LIST}/new", {"subject": "a", "text": "b"})

    answer = browser.post(f"{LIST}/new", {"subject": "a", "text": "b"})

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0


# --- The desk -----------------------------------------------------------------------


@pytest.fixture
def desk(rita: Member) -> Client:
    browser = browser_of(rita)
    prove(browser, rita)
    return browser


QUEUE = "/admin/accounts/ticket/"


def test_the_queue_begins_with_who_waits_longest(
    desk: Client, alice: Member, bob: Member, rita: Member
) -> None:
    first, second, third = ask(alice, "first"), ask(bob, "second"), ask(alice, "third")
    answer(first, rita)
    Ticket.objects.filter(pk=third.pk).update(
        waiting_since=timezone.now() - timedelta(hours=1)
    )

    page = desk.get(QUEUE).content.decode()

    order = sorted((third, second, first), key=lambda each: page.index(each.number))
    assert order == [third, second, first]


def test_an_operator_answers_and_leaves_notes(
    desk: Client, alice: Member, rita: Member
) -> None:
    ticket = ask(alice, text="<script>alert(1)</script>")
    page = desk.get(f"{QUEUE}{ticket.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert not unread(alice, rita)

    desk.post(f"{QUEUE}{ticket.pk}/change/", {"text": "Odd.", "is_note": "on"})
    noted = fresh(ticket).state
    desk.post(f"{QUEUE}{ticket.pk}/change/", {"text": "In the post."})

    assert (noted, fresh(ticket).state) == ("open", "answered")
    said = Comment.objects.filter(author=rita).order_by("pk")
    assert [(each.text, each.is_note) for each in said] == [
        ("Odd.", True),
        ("In the post.", False),
    ]
    assert Mail.objects.count() == 1


def test_an_operator_closes_and_reopens(desk: Client, alice: Member) -> None:
    ticket = ask(alice)
    form = {"_selected_action": [ticket.pk]}

    desk.post(QUEUE, form | {"action": "close"})
    closed = fresh(ticket).state
    refused = desk.post(f"{QUEUE}{ticket.pk}/change/", {"text": "Late."})
    desk.post(QUEUE, form | {"action": "reopen"})

    assert (closed, fresh(ticket).state) == ("closed", "open")
    assert b"reopen it, or leave a note" in refused.content
    assert Comment.objects.count() == 1


def test_an_operator_says_something_or_nothing_happens(
    desk: Client, alice: Member
) -> None:
    ticket = ask(alice)

    answer = desk.post(f"{QUEUE}{ticket.pk}/change/", {"text": " "})

    assert answer.status_code == 200
    assert Comment.objects.count() == 1


@pytest.mark.promise("S-79")
def test_who_may_not_answer_cannot(alice: Member) -> None:
    ticket = ask(alice)
    quinn = make_member("quinn")
    roles.grant(member=quinn, role=Role.AUDITOR, by="operator:0", reason="a test")
    browser = browser_of(quinn)
    prove(browser, quinn)

    page = browser.get(f"{QUEUE}{ticket.pk}/change/")
    answer = browser.post(f"{QUEUE}{ticket.pk}/change/", {"text": "Hello."})

    assert page.status_code == 200
    assert b"<textarea" not in page.content
    assert answer.status_code == 403
    assert Comment.objects.count() == 1


@pytest.mark.broken_books
def test_the_database_refuses_what_the_code_does_not_do(alice: Member) -> None:
    ticket = ask(alice)

    for deed in (
        {"state": "lost"},
        {"state": "open", "waiting_since": None},
        {"state": "closed"},
    ):
        with pytest.raises(Exception, match="violates check constraint"), transaction():
            Ticket.objects.filter(pk=ticket.pk).update(**deed)


# --- Tags ---------------------------------------------------------------------------


def test_tags_are_given_by_who_may_and_shown_to_the_member(
    desk: Client, alice: Member, rita: Member
) -> None:
    page = f"/admin/accounts/member/{alice.pk}/change/"

    desk.post(page, {"tags": "vip, hero", "display_name": "Hacked"})

    overview = browser_of(alice).get("/account").content.decode()
    assert set(alice.tags.names()) == {"vip", "hero"}
    assert '<span class="tag">vip</span>' in overview
    assert Member.objects.get(pk=alice.pk).display_name == ""
    deed = AuditRecord.objects.get(subject=f"member:{alice.pk}", action="edited")
    assert deed.actor == f"operator:{rita.pk}"


def test_tags_are_not_given_by_others(alice: Member) -> None:
    quinn = make_member("quinn")
    roles.grant(member=quinn, role=Role.KYC, by="operator:0", reason="a test")
    browser = browser_of(quinn)
    prove(browser, quinn)

    answer = browser.post(f"/admin/accounts/member/{alice.pk}/change/", {"tags": "vip"})

    assert answer.status_code == 403
    assert not alice.tags.exists()
