"""Codes of authenticator apps: each works once, around its time, by our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

from accounts import sessions
from accounts.attempts import TooManyAttempts
from accounts.factors import keyring, recovery, totp
from accounts.factors.attempts import WrongCode
from accounts.factors.keyring import Shown
from accounts.models.factors import Totp
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.session_store import SessionStore
from exchange.lib.errors import BrokenPromise, NotFound
from exchange.lib.models import AuditRecord, Mail
from tests import rows
from tests.makers import PASSWORD, code_of, enrol_totp

NOW = datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)
# The example of RFC 6238: twenty bytes, and what an app shows at 59 seconds.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.fixture
def session(db: None) -> SessionBase:
    store = SessionStore()
    store.create()
    return store


def show(
    member: Member,
    code: str,
    now: datetime = NOW,
    purpose: Proof.Purpose = Proof.Purpose.SECURITY,
) -> None:
    shown = Shown(Proof.Factor.TOTP, code, purpose, session_key="a")
    keyring.check(member=member, shown=shown, now=now)


def enrolled(member: Member, secret: str = RFC_SECRET) -> str:
    at = NOW - timedelta(hours=1)
    code = code_of(secret, at)
    totp.enrol(member=member, secret=secret, code=code, session_key=None, now=at)
    return secret


def test_it_counts_as_the_standard_says() -> None:
    assert code_of(RFC_SECRET, datetime(1970, 1, 1, 0, 0, 59, tzinfo=UTC)) == "287082"


@pytest.mark.promise("S-22")
def test_it_takes_a_code_once(alice: Member) -> None:
    secret = enrolled(alice)

    show(alice, code_of(secret, NOW))

    with pytest.raises(WrongCode):
        show(alice, code_of(secret, NOW))


@pytest.mark.promise("S-22")
def test_it_takes_no_older_code_after_a_newer_one(alice: Member) -> None:
    secret = enrolled(alice)

    show(alice, code_of(secret, NOW))

    with pytest.raises(WrongCode):
        show(alice, code_of(secret, NOW - STEP))
    show(alice, code_of(secret, NOW + STEP), now=NOW + STEP)


@pytest.mark.promise("S-22", "S-29")
def test_it_takes_a_code_of_a_sign_in_for_nothing_else(alice: Member) -> None:
    secret = enrolled(alice)
    code = code_of(secret, NOW)

    show(alice, code, purpose=Proof.Purpose.SIGN_IN)

    for purpose in (Proof.Purpose.SECURITY, Proof.Purpose.WITHDRAWAL):
        with pytest.raises(WrongCode):
            show(alice, code, purpose=purpose)


@pytest.mark.promise("S-23")
@pytest.mark.parametrize(
    ("steps", "passes"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_it_forgives_one_step(alice: Member, steps: int, passes: bool) -> None:
    secret = enrolled(alice)
    code = code_of(secret, NOW + steps * STEP)

    if passes:
        show(alice, code)
    else:
        with pytest.raises(WrongCode):
            show(alice, code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "12345",
        "1234567",
        "abcdef",
        "１２３４５６",
        "0" * 10_000,
        "-12345",
        "12 34\0",
    ],
)
def test_it_refuses_what_is_no_code(alice: Member, code: str) -> None:
    enrolled(alice)

    with pytest.raises(WrongCode):
        show(alice, code)


def test_it_takes_a_code_typed_in_two_groups(alice: Member) -> None:
    code = code_of(enrolled(alice), NOW)

    show(alice, f" {code[:3]} {code[3:]} ")


@pytest.mark.promise("S-24")
def test_it_offers_a_secret_of_160_random_bits(
    alice: Member, session: SessionBase
) -> None:
    offer = totp.offer(session, member=alice, now=NOW)

    query = parse_qs(urlsplit(offer.uri).query)
    assert query == {"secret": [offer.secret], "issuer": ["Pixiu"]}
    assert offer.uri.startswith("otpauth://totp/Pixiu:alice%40example.com?")
    assert len(offer.secret) * 5 >= 160
    assert offer.groups.replace(" ", "") == offer.secret
    assert offer.qr.startswith("data:image/svg+xml")


@pytest.mark.promise("S-24")
def test_it_keeps_secrets_encrypted_at_every_step(
    alice: Member, session: SessionBase
) -> None:
    offer = totp.offer(session, member=alice, now=NOW)
    session.save()
    kept = str(dict(session.items()))
    totp.accept_offer(session, member=alice, code=code_of(offer.secret, NOW), now=NOW)

    assert offer.secret not in kept
    assert offer.secret.encode() not in bytes(Totp.objects.get().secret_sealed)
    assert offer.secret not in str(rows.dump())


@pytest.mark.promise("S-24")
def test_it_opens_no_secret_that_was_moved(alice: Member, mallory: Member) -> None:
    secret = enrolled(mallory)
    enrolled(alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    stolen = bytes(Totp.objects.get(member=mallory).secret_sealed)
    Totp.objects.filter(member=alice).update(secret_sealed=stolen)

    with pytest.raises(BrokenPromise, match="does not open"):
        show(alice, code_of(secret, NOW))


@pytest.mark.promise("S-24")
def test_it_shows_a_secret_only_until_it_is_confirmed(
    alice: Member, session: SessionBase
) -> None:
    offer = totp.offer(session, member=alice, now=NOW)
    again = totp.offer(session, member=alice, now=NOW)
    totp.accept_offer(session, member=alice, code=code_of(offer.secret, NOW), now=NOW)

    assert again == offer
    assert totp.offer(session, member=alice, now=NOW) != offer


def test_it_offers_another_secret_after_half_an_hour(
    alice: Member, session: SessionBase
) -> None:
    offer = totp.offer(session, member=alice, now=NOW)
    later = NOW + timedelta(minutes=31)

    with pytest.raises(WrongCode):
        totp.accept_offer(
            session, member=alice, code=code_of(offer.secret, later), now=later
        )
    assert totp.offer(session, member=alice, now=later) != offer


@pytest.mark.promise("S-25")
def test_it_enrols_with_a_valid_code_only(alice: Member, session: SessionBase) -> None:
    offer = totp.offer(session, member=alice, now=NOW)
    wrong = code_of(offer.secret, NOW + timedelta(hours=1))

    with pytest.raises(WrongCode):
        totp.accept_offer(session, member=alice, code=wrong, now=NOW)
    assert keyring.of(alice).is_empty

    codes = totp.accept_offer(
        session, member=alice, code=code_of(offer.secret, NOW), now=NOW
    )
    assert keyring.of(alice).offers == [Proof.Factor.TOTP, Proof.Factor.RECOVERY]
    assert len(codes) == recovery.COUNT


@pytest.mark.promise("S-22")
def test_it_uses_up_the_code_it_was_enrolled_with(alice: Member) -> None:
    secret = RFC_SECRET
    code = code_of(secret, NOW)
    totp.enrol(member=alice, secret=secret, code=code, session_key=None, now=NOW)

    with pytest.raises(WrongCode):
        show(alice, code)
    with pytest.raises(WrongCode):  # the form, sent twice
        totp.enrol(member=alice, secret=secret, code=code, session_key=None, now=NOW)


def test_it_verifies_the_short_secrets_of_the_ancestor(alice: Member) -> None:
    secret = enrolled(alice, "JBSWY3DPEHPK3PXP")  # 80 bits

    show(alice, code_of(secret, NOW))


def test_it_replaces_an_app(alice: Member) -> None:
    before = enrolled(alice)
    after = enrolled(alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")

    with pytest.raises(WrongCode):
        show(alice, code_of(before, NOW))
    show(alice, code_of(after, NOW))
    assert Totp.objects.count() == 1


@pytest.mark.promise("S-11")
def test_it_says_what_changed_and_ends_the_other_sessions(
    alice: Member, session: SessionBase
) -> None:
    other = SessionStore()
    other["_auth_user_id"] = str(alice.pk)
    other.create()
    other["_auth_user_id"] = str(alice.pk)
    other.save()
    at = timezone.now()

    totp.enrol(
        member=alice,
        secret=RFC_SECRET,
        code=code_of(RFC_SECRET, at),
        session_key=session.session_key,
        now=at,
    )

    alice.refresh_from_db()
    assert alice.security_changed_at == at
    assert not sessions.live(at).filter(member=alice).exists()
    assert session.exists(str(session.session_key))
    assert Mail.objects.get().subject == "A second factor was added to your account"
    deed = AuditRecord.objects.get(action="factor_added")
    assert deed.facts == {"factor": "totp", "sessions_ended": 1}


def test_it_removes_the_last_factor_with_its_recovery_codes(alice: Member) -> None:
    enrolled(alice)

    totp.remove(member=alice, session_key=None, now=NOW)

    alice.refresh_from_db()
    assert alice.security_changed_at == NOW
    assert keyring.of(alice).is_empty
    assert recovery.count_left(alice.pk) == 0
    assert Mail.objects.latest("pk").subject == (
        "A second factor was removed from your account"
    )
    with pytest.raises(NotFound):
        totp.remove(member=alice, session_key=None, now=NOW)


@pytest.mark.promise("S-28")
@pytest.mark.usefixtures("five_minutes")
def test_it_lets_nobody_guess_for_long(alice: Member, bob: Member) -> None:
    secret, others = enrolled(alice), enrolled(bob)
    for _ in range(5):
        with pytest.raises(WrongCode):
            show(alice, "000000")

    with pytest.raises(TooManyAttempts) as refusal:
        show(alice, code_of(secret, NOW))

    assert refusal.value.facts == {"retry_after_seconds": 290}
    assert refusal.value.message == "Too many attempts. Please try again in 5 minutes."
    show(bob, code_of(others, NOW))
    later = NOW + timedelta(minutes=5)
    show(alice, code_of(secret, later), now=later)


@pytest.mark.promise("S-28")
def test_it_counts_attempts_over_all_factors_and_purposes(alice: Member) -> None:
    secret = enrolled(alice)
    tries = [
        (Proof.Factor.TOTP, Proof.Purpose.SIGN_IN),
        (Proof.Factor.SMS, Proof.Purpose.SECURITY),
        (Proof.Factor.RECOVERY, Proof.Purpose.WITHDRAWAL),
        (Proof.Factor.PASSWORD, Proof.Purpose.SECURITY),
        (Proof.Factor.PASSKEY, Proof.Purpose.SECURITY),
    ]
    for factor, purpose in tries:
        shown = Shown(factor, "000000", purpose, session_key="a")
        with pytest.raises(WrongCode):
            keyring.check(member=alice, shown=shown, now=NOW)

    with pytest.raises(TooManyAttempts):
        show(alice, code_of(secret, NOW))


def test_it_does_not_count_those_who_have_the_factor(alice: Member) -> None:
    secret = enrolled(alice)

    for number in range(8):
        at = NOW + number * STEP
        show(alice, code_of(secret, at), now=at)


def test_it_writes_down_what_was_shown_and_what_refused(alice: Member) -> None:
    secret = enrolled(alice)

    show(alice, code_of(secret, NOW))
    with pytest.raises(WrongCode):
        show(alice, "000000")

    deeds = AuditRecord.objects.filter(action__startswith="factor_").order_by("pk")
    assert [deed.action for deed in deeds][1:] == ["factor_shown", "factor_refused"]
    assert deeds[2].facts == {"factor": "totp", "purpose": "security"}


def test_it_asks_a_member_without_factors_for_the_password(alice: Member) -> None:
    right = Shown(Proof.Factor.PASSWORD, PASSWORD, Proof.Purpose.SECURITY, "a")
    keyring.check(member=alice, shown=right, now=NOW)

    enrol_totp(alice)

    with pytest.raises(WrongCode):
        keyring.check(member=alice, shown=right, now=NOW)
