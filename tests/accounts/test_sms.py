"""Codes by SMS: to a real phone, for one purpose in one session, once, not for long."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from accounts import devices, throttling
from accounts.attempts import TooManyAttempts
from accounts.devices import Device
from accounts.factors import keyring, sms, sms_gateways
from accounts.factors.attempts import WrongCode
from accounts.factors.keyring import Shown
from accounts.models.factors import Phone, SmsCode
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib.errors import NotFound, TooMany
from tests import rows

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NUMBER = "+4915112345678"
NEW = Device("new")
SIGN_IN, SECURITY = Proof.Purpose.SIGN_IN, Proof.Purpose.SECURITY


class Gateway:
    """Delivers into a list; or fails, as often as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.failures: list[Exception] = []

    def send(self, *, number: str, text: str, reference: str) -> None:
        if self.failures:
            raise self.failures.pop()
        self.sent.append((number, text, reference))

    @property
    def code(self) -> str:
        return self.sent[-1][1][:6]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()
    monkeypatch.setattr(sms_gateways, "chosen", lambda: made)
    return made


def enrol(member: Member, gateway: Gateway, now: datetime = NOW) -> None:
    sms.send_enrolment_code(
        member=member, number=NUMBER, session_key="a", address="192.0.2.1", now=now
    )
    sms.send_waiting(now=now)
    sms.enrol(member=member, code=gateway.code, session_key="a", now=now)


def ask(
    member: Member,
    *,
    purpose: Proof.Purpose = SECURITY,
    session_key: str = "a",
    device: Device = NEW,
    address: str = "192.0.2.1",
    now: datetime = NOW,
) -> None:
    sms.send_code(
        member=member,
        purpose=purpose,
        session_key=session_key,
        device=device,
        address=address,
        now=now,
    )
    sms.send_waiting(now=now)


def show(
    member: Member,
    code: str,
    *,
    purpose: Proof.Purpose = SECURITY,
    session_key: str = "a",
    now: datetime = NOW,
) -> None:
    shown = Shown(Proof.Factor.SMS, code, purpose, session_key)
    keyring.check(member=member, shown=shown, now=now)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("0151 12345678", "DE"),
        ("+49 (151) 123-45678", "CN"),
        ("0049 151 12345678", "DE"),
        ("１５１ 12345678", "DE"),
    ],
)
def test_it_writes_numbers_one_way(text: str, country: str) -> None:
    assert sms.parse_number(text, country=country) == NUMBER


def test_it_knows_mobile_phones_of_china() -> None:
    assert sms.parse_number("138 1234 5678", country="CN") == "+8613812345678"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no phone number"),
        ("hello", "no phone number"),
        ("+999 123", "no phone number"),
        ("+1 212 55", "too short"),
        ("0151 1234567890123", "too long"),
        ("030 901820", "mobile phones"),  # a desk in Berlin
        ("+1 900 555 0100", "mobile phones|no such number"),
        ("0199 12345678", "no such number|mobile phones"),
        ("9" * 10_000, "too long|no phone number"),
    ],
)
def test_it_says_what_is_wrong_with_a_number(text: str, says: str) -> None:
    with pytest.raises(sms.BadNumber, match=says):
        sms.parse_number(text, country="DE")


def test_it_shows_little_of_a_number() -> None:
    assert sms.masked(NUMBER) == "+49 … 678"


@pytest.mark.promise("S-25")
def test_it_enrols_a_phone_that_received_a_code(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)

    number, text, reference = gateway.sent[0]
    assert (number, reference) == (NUMBER, f"sms-{SmsCode.objects.get().pk}")
    assert re.match(r"\d{6} is your code to add this phone at Pixiu\.", text)
    assert Phone.objects.get().number == NUMBER
    assert keyring.of(alice).offers == [Proof.Factor.SMS, Proof.Factor.RECOVERY]


def test_it_takes_a_code_once(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    ask(alice)

    show(alice, gateway.code)

    with pytest.raises(WrongCode):
        show(alice, gateway.code)


@pytest.mark.promise("S-29")
def test_it_takes_a_code_for_its_purpose_in_its_session(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    ask(alice, purpose=SIGN_IN)

    for purpose, session_key in [(SECURITY, "a"), (SIGN_IN, "b")]:
        with pytest.raises(WrongCode):
            show(alice, gateway.code, purpose=purpose, session_key=session_key)
    show(alice, gateway.code, purpose=SIGN_IN)


def test_it_takes_nobody_elses_code(
    alice: Member, mallory: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    enrol(mallory, gateway)
    ask(alice, address="192.0.2.7")

    with pytest.raises(WrongCode):
        show(mallory, gateway.code)


def test_it_takes_a_code_for_five_minutes(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    ask(alice)

    with pytest.raises(WrongCode):
        show(alice, gateway.code, now=NOW + timedelta(minutes=5))
    show(alice, gateway.code, now=NOW + timedelta(minutes=4, seconds=59))


def test_it_takes_the_newest_code_only(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    ask(alice)
    first = gateway.code
    ask(alice)

    if first != gateway.code:  # once in a million
        with pytest.raises(WrongCode):
            show(alice, first)
    show(alice, gateway.code)


def test_it_keeps_no_code_in_the_open(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    sms.send_code(
        member=alice,
        purpose=SECURITY,
        session_key="a",
        device=NEW,
        address="192.0.2.1",
        now=NOW,
    )
    waiting = SmsCode.objects.latest("pk")
    assert bytes(waiting.sealed or b"")

    sms.send_waiting(now=NOW)

    waiting.refresh_from_db()
    assert waiting.sealed is None
    assert gateway.code not in str([waiting.digest, waiting.number])
    lines = rows.dump()
    assert f"{gateway.code} is your code" not in str(lines)


def test_it_sends_each_code_once(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)

    assert sms.send_waiting(now=NOW + timedelta(minutes=1)) == 0
    assert len(gateway.sent) == 1


def test_it_tries_again_where_the_gateway_was_away(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    gateway.failures = [sms_gateways.NotDelivered("status 503")]
    ask(alice)
    assert len(gateway.sent) == 1

    assert sms.send_waiting(now=NOW) == 0  # not at once
    assert sms.send_waiting(now=NOW + timedelta(seconds=30)) == 1
    show(alice, gateway.code)


def test_it_does_not_try_for_ever(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    gateway.failures = [sms_gateways.NotDelivered("status 503")] * 3
    ask(alice)

    for minute in range(1, 4):
        sms.send_waiting(now=NOW + timedelta(minutes=minute))

    assert gateway.failures == []
    assert len(gateway.sent) == 1


def test_it_gives_up_on_what_the_gateway_refuses(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    gateway.failures = [sms_gateways.Undeliverable("status 400")]
    ask(alice)

    assert sms.send_waiting(now=NOW + timedelta(minutes=1)) == 0
    assert SmsCode.objects.latest("pk").sealed is None


def test_it_sends_nothing_that_is_too_late(alice: Member, gateway: Gateway) -> None:
    sms.send_enrolment_code(
        member=alice, number=NUMBER, session_key="a", address="192.0.2.1", now=NOW
    )

    assert sms.send_waiting(now=NOW + timedelta(minutes=5)) == 0


ELSEWHERE = "198.51.100.1"
FAR = "203.0.113.1"


def ask_until_refused(member: Member, now: datetime = NOW, **how: Any) -> int:
    """Return how many codes there were."""
    for count in range(100):
        try:
            ask(member, now=now, **how)
        except TooMany:
            return count
    return 100


@pytest.mark.usefixtures("five_minutes")
def test_it_sends_few_to_who_is_inside(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)

    assert ask_until_refused(alice) == throttling.SMS_PER_ASKER
    with pytest.raises(TooManyAttempts) as refusal:
        ask(alice, address=ELSEWHERE)

    assert refusal.value.facts["retry_after_seconds"] == 300
    ask(alice, now=NOW + timedelta(minutes=5))


@pytest.mark.usefixtures("five_minutes")
def test_a_stranger_with_the_password_uses_up_nobody_elses_codes(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    home = Device("home", [devices._mark(alice.email)])

    assert ask_until_refused(alice, purpose=SIGN_IN) == throttling.SMS_PER_ASKER

    ask(alice, purpose=SIGN_IN, address=ELSEWHERE)
    ask(alice, purpose=SIGN_IN, device=home)
    ask(alice)


@pytest.mark.usefixtures("five_minutes")
def test_it_floods_no_phone_from_many_networks(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)
    home = Device("home", [devices._mark(alice.email)])

    places = [f"192.0.2.{number}" for number in range(9)]
    sent = [ask_until_refused(alice, purpose=SIGN_IN, address=each) for each in places]

    assert sum(sent) == throttling.SMS_PER_MEMBER
    ask(alice, purpose=SIGN_IN, device=home)
    ask(alice)


def test_it_sends_few_to_a_number_that_may_be_anybodys(
    alice: Member,
    bob: Member,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttling, "SMS_PER_NUMBER", 1)
    enrol(alice, gateway)

    with pytest.raises(TooManyAttempts):
        enrol(bob, gateway)
    ask(alice)  # whose it is


def test_it_sends_few_enrolments_from_an_address(
    alice: Member, bob: Member, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "SMS_PER_ADDRESS", 1)
    enrol(alice, gateway)

    with pytest.raises(TooManyAttempts):
        enrol(bob, gateway)
    ask(alice)


@pytest.mark.usefixtures("five_minutes")
def test_it_sends_so_many_a_day(
    alice: Member, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms, "PER_DAY", 2)
    monkeypatch.setattr(sms, "PER_DAY_TO_MEMBER", 3)
    enrol(alice, gateway)
    later = NOW + timedelta(hours=1)
    home = Device("home", [devices._mark(alice.email)])

    sent = [
        ask_until_refused(alice, purpose=SIGN_IN, address=each, now=later)
        for each in ("192.0.2.1", ELSEWHERE, FAR)
    ]

    assert sent == [2, 1, 0]
    assert ask_until_refused(alice, purpose=SIGN_IN, device=home, now=later) == 2
    assert ask_until_refused(alice, now=later) == 2
    with pytest.raises(sms.EnoughForToday):
        ask(alice, now=later + timedelta(hours=1))
    ask(alice, now=NOW + timedelta(hours=26))


@pytest.mark.usefixtures("five_minutes")
def test_a_stranger_who_adds_a_phone_takes_no_code_from_its_owner(
    alice: Member, mallory: Member, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms, "ENROLMENTS_PER_DAY", 2)
    monkeypatch.setattr(sms, "PER_DAY", 3)
    enrol(alice, gateway)
    hour = timedelta(hours=1)
    for number in (1, 2):
        enrol(mallory, gateway, now=NOW + number * hour)

    with pytest.raises(sms.EnoughForToday):
        enrol(mallory, gateway, now=NOW + 3 * hour)

    ask(alice, now=NOW + 3 * hour)
    ask(alice, purpose=SIGN_IN, now=NOW + 3 * hour)


def test_it_is_not_offered_where_production_has_no_gateway(
    alice: Member, gateway: Gateway, settings: Any
) -> None:
    enrol(alice, gateway)
    settings.PRODUCTION = True

    assert keyring.of(alice).offers == [Proof.Factor.RECOVERY]
    assert not keyring.of(alice).is_empty  # the password alone still opens nothing
    with pytest.raises(sms.NotOffered):
        ask(alice)


def test_it_sends_no_code_to_who_has_no_phone(alice: Member, gateway: Gateway) -> None:
    with pytest.raises(NotFound):
        ask(alice)


def test_it_removes_a_phone_and_voids_its_codes(
    alice: Member, gateway: Gateway
) -> None:
    enrol(alice, gateway)
    ask(alice)

    sms.remove(member=alice, session_key=None, now=NOW)

    with pytest.raises(WrongCode):
        show(alice, gateway.code)
    with pytest.raises(NotFound):
        sms.remove(member=alice, session_key=None, now=NOW)


def test_it_forgets_codes_of_yesterday(alice: Member, gateway: Gateway) -> None:
    enrol(alice, gateway)

    assert sms.forget_old(now=NOW + timedelta(hours=23)) == 0
    assert sms.forget_old(now=NOW + timedelta(hours=25)) == 1
    assert Phone.objects.exists()


# --- The gateways -----------------------------------------------------------------


class Provider(HTTPServer):
    """Somebody who sends SMS: answers with one status, remembers what it was sent."""

    status = 202
    seen: list[tuple[str, str | None, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(("127.0.0.1", 0), _Handler) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(provider: Provider) -> None:
    url = f"http://127.0.0.1:{provider.server_port}/messages?from=pixiu"
    gateway = sms_gateways.HttpGateway(url, "token")
    gateway.send(number=NUMBER, text="123456 is your code.", reference="sms-7")


def test_it_posts_json_with_its_token(provider: Provider) -> None:
    post(provider)

    assert provider.seen == [
        (
            "/messages?from=pixiu",
            "Bearer token",
            {"to": NUMBER, "text": "123456 is your code.", "id": "sms-7"},
        )
    ]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, sms_gateways.NotDelivered),
        (429, sms_gateways.NotDelivered),
        (302, sms_gateways.Undeliverable),
        (400, sms_gateways.Undeliverable),
    ],
)
def test_it_says_how_it_failed(
    provider: Provider, status: int, error: type[Exception]
) -> None:
    provider.status = status

    with pytest.raises(error):
        post(provider)


def test_it_says_that_nobody_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        # It listens and never answers.
        monkeypatch.setattr(sms_gateways, "TIMEOUT_SECONDS", 0.1)
        with pytest.raises(sms_gateways.NotDelivered, match="TimeoutError"):
            sms_gateways.HttpGateway(url, "token").send(
                number=NUMBER, text="x", reference="sms-7"
            )


def test_it_prints_where_there_is_no_provider(
    capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    sms_gateways.chosen().send(number=NUMBER, text="Hello", reference="sms-7")

    assert capsys.readouterr().out == f"SMS to {NUMBER} (sms-7): Hello\n"
    settings.SMS_URL = "https://sms.example/send"
    assert isinstance(sms_gateways.chosen(), sms_gateways.HttpGateway)
