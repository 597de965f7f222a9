"""Passkeys: this site's challenge, answered once, by a key of this member."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.contrib.sessions.backends.base import SessionBase

from accounts.factors import keyring, passkeys
from accounts.factors.attempts import WrongCode
from accounts.factors.keyring import Shown
from accounts.models.factors import Passkey
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.session_store import SessionStore
from exchange.lib import words
from exchange.lib.errors import NotFound
from tests import rows
from tests.authenticator import Authenticator

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SIGN_IN, SECURITY = Proof.Purpose.SIGN_IN, Proof.Purpose.SECURITY


@pytest.fixture
def session(db: None) -> SessionBase:
    store = SessionStore()
    store.create()
    return store


@pytest.fixture
def key(db: None) -> Authenticator:
    return Authenticator(passkeys.origin())


def enrol(
    session: SessionBase,
    member: Member,
    key: Authenticator,
    now: datetime = NOW,
) -> list[str]:
    options = passkeys.enrolment_options(session, member=member, now=NOW)
    return passkeys.enrol(
        session, member=member, answer=key.create(options), label="Blue", now=now
    )


def show(
    session: SessionBase,
    member: Member,
    answer: str,
    purpose: Proof.Purpose = SECURITY,
    now: datetime = NOW,
) -> None:
    challenge = passkeys.take_challenge(
        session, member=member, purpose=purpose, now=now
    )
    check(member, answer, challenge, purpose)


def check(
    member: Member,
    answer: str,
    challenge: bytes,
    purpose: Proof.Purpose = SECURITY,
) -> None:
    shown = Shown(Proof.Factor.PASSKEY, answer, purpose, "a", challenge)
    keyring.check(member=member, shown=shown, now=NOW)


def options(
    session: SessionBase, member: Member, purpose: Proof.Purpose = SECURITY
) -> str:
    return passkeys.options(session, member=member, purpose=purpose, now=NOW)


def test_it_enrols_a_passkey_and_believes_it(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    codes = enrol(session, alice, key)

    show(session, alice, key.get(options(session, alice)))

    passkey = Passkey.objects.get()
    assert (passkey.label, passkey.used_at) == ("Blue", NOW)
    assert passkey.sign_count == 2
    assert len(codes) == 10
    assert keyring.of(alice).offers == [Proof.Factor.PASSKEY, Proof.Factor.RECOVERY]


def test_it_asks_for_a_verified_person(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    asked = json.loads(passkeys.enrolment_options(session, member=alice, now=NOW))
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["rp"] == {"name": "Pixiu", "id": "localhost"}
    enrol(session, alice, key)
    assert json.loads(options(session, alice))["userVerification"] == "required"

    key.is_verifying = False

    with pytest.raises(WrongCode):
        show(session, alice, key.get(options(session, alice)))
    with pytest.raises(WrongCode):
        enrol(session, alice, Authenticator(passkeys.origin(), is_verifying=False))


@pytest.mark.parametrize(
    "origin",
    ["https://pixiu.evil.example", "http://localhost", "https://localhost:8000", ""],
)
def test_it_is_worth_nothing_at_another_site(
    alice: Member, session: SessionBase, key: Authenticator, origin: str
) -> None:
    with pytest.raises(WrongCode):
        enrol(session, alice, Authenticator(origin))
    enrol(session, alice, key)
    key.origin = origin

    with pytest.raises(WrongCode):
        show(session, alice, key.get(options(session, alice)))


def test_it_believes_no_key_made_for_another_site(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    key.rp_id = "evil.example"

    with pytest.raises(WrongCode):
        show(session, alice, key.get(options(session, alice)))


@pytest.mark.promise("S-22")
def test_it_takes_an_answer_once(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    answer = key.get(options(session, alice))

    show(session, alice, answer)

    with pytest.raises(WrongCode):
        show(session, alice, answer)


@pytest.mark.promise("S-22")
def test_it_takes_an_answer_once_from_a_key_that_does_not_count(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    """Keys that travel between devices say 0 always; parallel requests share this."""
    key.counter = 0
    enrol(session, alice, key)
    answer = key.get(options(session, alice))
    challenge = passkeys.take_challenge(
        session, member=alice, purpose=SECURITY, now=NOW
    )
    check(alice, answer, challenge)

    with pytest.raises(WrongCode):
        check(alice, answer, challenge)


def test_it_takes_no_answer_to_an_older_challenge(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    answer = key.get(options(session, alice))
    options(session, alice)

    with pytest.raises(WrongCode):
        show(session, alice, answer)


def test_it_waits_five_minutes_for_an_answer(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    answer = key.get(options(session, alice))

    with pytest.raises(WrongCode):
        show(session, alice, answer, now=NOW + timedelta(minutes=5, seconds=1))
    with pytest.raises(WrongCode):
        enrol(session, alice, key, now=NOW + timedelta(minutes=6))


@pytest.mark.promise("S-29")
def test_it_takes_an_answer_for_its_purpose(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    answer = key.get(options(session, alice, SIGN_IN))

    with pytest.raises(WrongCode):
        show(session, alice, answer, SECURITY)


def test_it_refuses_a_counter_that_goes_backwards(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    key.counter = 10
    enrol(session, alice, key)
    key.counter = 11
    show(session, alice, key.get(options(session, alice)))

    for copied in (10, 11, 0):
        key.counter = copied
        with pytest.raises(WrongCode):
            show(session, alice, key.get(options(session, alice)))


def test_it_takes_nobody_elses_key(
    alice: Member, mallory: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    mallorys = Authenticator(passkeys.origin())
    enrol(session, mallory, mallorys)

    with pytest.raises(WrongCode):
        show(session, alice, mallorys.get(options(session, alice)))
    # Even under the name of Alice's key.
    mallorys.id = key.id
    with pytest.raises(WrongCode):
        show(session, alice, mallorys.get(options(session, alice)))
    # Nor a challenge that was made for somebody else.
    options(session, mallory)
    with pytest.raises(WrongCode):
        passkeys.take_challenge(session, member=alice, purpose=SECURITY, now=NOW)


def test_it_adds_a_key_once(
    alice: Member, mallory: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)

    for member in (alice, mallory):
        with pytest.raises(passkeys.KnownAlready):
            enrol(session, member, key)
    assert Passkey.objects.get().member == alice


def test_it_keeps_ten_keys(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    for _ in range(10):
        enrol(session, alice, Authenticator(passkeys.origin()))

    with pytest.raises(passkeys.TooManyPasskeys):
        enrol(session, alice, key)
    assert len(json.loads(options(session, alice))["allowCredentials"]) == 10


@pytest.mark.parametrize(
    "answer",
    ["", "{}", "[]", "null", "{", '{"id": 7}', '{"id": "a", "rawId": "a"}', "\0"]
    + ["[" * 30_000, '{"a":' * 6_000]
    + [
        json.dumps(
            {
                "id": "YQ",
                "rawId": "YQ",
                "type": "public-key",
                "response": {
                    "clientDataJSON": "YQ",
                    "authenticatorData": "YQ",
                    "signature": "YQ",
                    "attestationObject": "YQ",
                    "userHandle": bad,
                },
            }
        )
        for bad in ("YQ", 7, "é")
    ],
)
def test_it_refuses_what_is_no_answer(
    alice: Member, session: SessionBase, key: Authenticator, answer: str
) -> None:
    enrol(session, alice, key)
    options(session, alice)

    with pytest.raises(WrongCode):
        show(session, alice, answer)
    passkeys.enrolment_options(session, member=alice, now=NOW)
    with pytest.raises(WrongCode):
        passkeys.enrol(session, member=alice, answer=answer, label="x", now=NOW)


def test_it_never_crashes_on_a_damaged_answer(
    alice: Member, session: SessionBase, key: Authenticator
) -> None:
    """No authenticator vouches for these bytes, so some damage goes unnoticed."""
    random = Random(7)
    for _ in range(100):
        asked = passkeys.enrolment_options(session, member=alice, now=NOW)
        answer = json.loads(key.create(asked))
        letters = list(answer["response"]["attestationObject"])
        letters[random.randrange(len(letters))] = random.choice("AQgw_-59")
        del letters[random.randrange(60) : random.randrange(80)]
        answer["response"]["attestationObject"] = "".join(letters)
        with suppress(WrongCode, passkeys.KnownAlready, passkeys.TooManyPasskeys):
            passkeys.enrol(
                session, member=alice, answer=json.dumps(answer), label="x", now=NOW
            )


def test_it_renames_and_removes_ones_own_keys_only(
    alice: Member, mallory: Member, session: SessionBase, key: Authenticator
) -> None:
    enrol(session, alice, key)
    pk = Passkey.objects.get().pk
    before = rows.dump()

    with pytest.raises(NotFound):
        passkeys.rename(member=mallory, pk=pk, label="Mine")
    with pytest.raises(NotFound):
        passkeys.remove(member=mallory, pk=pk, session_key=None, now=NOW)
    assert rows.dump() == before

    with pytest.raises(words.Unseen):
        passkeys.rename(member=alice, pk=pk, label="Red\u202e")
    passkeys.rename(member=alice, pk=pk, label="Red")
    assert Passkey.objects.get().label == "Red"
    passkeys.remove(member=alice, pk=pk, session_key=None, now=NOW)
    assert keyring.of(alice).is_empty
    with pytest.raises(WrongCode):
        show(session, alice, key.get(options(session, alice)))
