"""One code, many hands at the same moment: it works once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier

import pytest
from django.test import Client
from django.utils import timezone

from accounts import throttling
from accounts.devices import Device
from accounts.factors import keyring, passkeys, recovery, sms, totp
from accounts.factors.attempts import WrongCode
from accounts.factors.keyring import Shown
from accounts.models.factors import Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sessions import Session
from accounts.session_store import SessionStore
from tests.authenticator import Authenticator
from tests.makers import PASSWORD, code_of, enrol_totp
from tests.races.crowd import at_once, count

pytestmark = [pytest.mark.races, pytest.mark.promise("S-22", "S-72")]

NOW = datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)
THREADS = 12
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The throttle would let five of them through only: it must not be what helps."""
    monkeypatch.setattr(throttling, "FACTORS_PER_MEMBER", 1000)


def enrol(member: Member) -> str:
    at = NOW - timedelta(hours=1)
    code = code_of(SECRET, at)
    totp.enrol(member=member, secret=SECRET, code=code, session_key=None, now=at)
    return code_of(SECRET, NOW)


def showing(member: Member, factor: str, answer: str) -> Callable[[], object]:
    purpose = Proof.Purpose.SECURITY
    shown = Shown(Proof.Factor(factor), answer, purpose, session_key="a")
    return partial(keyring.check, member=member, shown=shown, now=NOW)


def test_it_can_be_used_often_where_looking_and_writing_are_two(alice: Member) -> None:
    """The control: if this does not take it often, the tests below prove nothing."""
    enrol(alice)
    step = int(NOW.timestamp()) // 30
    everybody_has_read = Barrier(THREADS, timeout=30)

    def use_naively() -> bool:
        last_step = Totp.objects.get(member=alice).last_step
        everybody_has_read.wait()
        if step <= last_step:
            return False
        Totp.objects.filter(member=alice).update(last_step=step)
        return True

    assert at_once(*[use_naively] * THREADS).count(True) == THREADS


def test_it_takes_a_code_of_an_app_once(alice: Member) -> None:
    code = enrol(alice)

    results = at_once(*[showing(alice, "totp", code)] * THREADS)

    assert (results.count(None), count(results, WrongCode)) == (1, THREADS - 1)


@pytest.mark.promise("S-26")
def test_it_takes_a_recovery_code_once(alice: Member) -> None:
    enrol(alice)
    code = recovery.replace_all(member=alice, now=NOW)[0]

    results = at_once(*[showing(alice, "recovery", code)] * THREADS)

    assert (results.count(None), count(results, WrongCode)) == (1, THREADS - 1)
    assert recovery.count_left(alice.pk) == 9


def test_it_takes_a_code_by_sms_once(alice: Member, texts: list[str]) -> None:
    sms.send_enrolment_code(
        member=alice, number="+4915112345678", session_key="a", address="", now=NOW
    )
    sms.send_waiting(now=NOW)
    sms.enrol(member=alice, code=texts[-1][:6], session_key="a", now=NOW)
    sms.send_code(
        member=alice,
        purpose=Proof.Purpose.SECURITY,
        session_key="a",
        device=Device("new"),
        address="",
        now=NOW,
    )
    at_once(*[partial(sms.send_waiting, now=NOW)] * 4)
    assert len(texts) == 2  # four senders, one message

    results = at_once(*[showing(alice, "sms", texts[-1][:6])] * THREADS)

    assert (results.count(None), count(results, WrongCode)) == (1, THREADS - 1)


def test_it_takes_the_answer_of_a_passkey_once(alice: Member) -> None:
    session = SessionStore()
    session.create()
    key = Authenticator(passkeys.origin(), counter=0)
    asked = passkeys.enrolment_options(session, member=alice, now=NOW)
    passkeys.enrol(
        session, member=alice, answer=key.create(asked), label="Blue", now=NOW
    )
    purpose = Proof.Purpose.SECURITY
    asked = passkeys.options(session, member=alice, purpose=purpose, now=NOW)
    challenge = passkeys.take_challenge(session, member=alice, purpose=purpose, now=NOW)
    shown = Shown(Proof.Factor.PASSKEY, key.get(asked), purpose, "a", challenge)

    deed = partial(keyring.check, member=alice, shown=shown, now=NOW)
    results = at_once(*[deed] * THREADS)

    assert (results.count(None), count(results, WrongCode)) == (1, THREADS - 1)


def test_it_signs_in_once_with_a_code(alice: Member) -> None:
    """The whole way: as many browsers, all past the password, with the same code."""
    secret = enrol_totp(alice)
    browsers = [Client() for _ in range(THREADS)]
    for browser in browsers:
        browser.post("/signin", {"email": alice.email, "password": PASSWORD})
    code = code_of(secret, timezone.now())

    def verify(browser: Client) -> int:
        form = {"with": "totp", "code": code}
        return browser.post("/signin/verify", form).status_code

    statuses = at_once(*[partial(verify, browser) for browser in browsers])

    assert sorted(map(str, statuses)) == ["302"] + ["422"] * (THREADS - 1)
    assert Session.objects.filter(member=alice).count() == 1
    assert Proof.objects.filter(purpose=Proof.Purpose.SIGN_IN).count() == 1


def test_it_enrols_one_app_of_two_forms(alice: Member) -> None:
    code = code_of(SECRET, NOW)
    deed = partial(
        totp.enrol,
        member=alice,
        secret=SECRET,
        code=code,
        session_key=None,
        now=NOW,
    )

    results = at_once(*[deed] * 4)

    assert (count(results, list), count(results, WrongCode)) == (1, 3)
    assert recovery.count_left(alice.pk) == 10
