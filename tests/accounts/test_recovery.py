"""Recovery codes: strong, hashed, used once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts.factors import keyring, recovery
from accounts.factors.attempts import WrongCode
from accounts.factors.keyring import Shown
from accounts.models.factors import RecoveryCode
from accounts.models.members import Member
from accounts.models.proofs import Proof
from exchange.lib.models import Mail
from tests import rows
from tests.makers import enrol_totp

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def show(member: Member, code: str) -> None:
    shown = Shown(Proof.Factor.RECOVERY, code, Proof.Purpose.SIGN_IN, session_key="a")
    keyring.check(member=member, shown=shown, now=NOW)


@pytest.fixture
def codes(alice: Member) -> list[str]:
    enrol_totp(alice)
    return recovery.replace_all(member=alice, now=NOW)


@pytest.mark.promise("S-26")
def test_it_makes_ten_strong_codes_and_keeps_none_of_them(
    alice: Member, codes: list[str]
) -> None:
    assert len(set(codes)) == 10
    for code in codes:
        assert len(code.replace("-", "")) * 5 >= 64  # of 32 letters each
        assert code not in str(rows.dump())
        assert code.replace("-", "") not in str(rows.dump())
    assert keyring.of(alice).recovery_left == 10


@pytest.mark.promise("S-26")
def test_it_takes_each_code_once(alice: Member, codes: list[str]) -> None:
    show(alice, codes[0])

    with pytest.raises(WrongCode):
        show(alice, codes[0])
    show(alice, codes[1])
    assert recovery.count_left(alice.pk) == 8


def test_it_reads_what_people_type(alice: Member, codes: list[str]) -> None:
    show(alice, f"  {codes[0].lower().replace('-', ' ')} ")


@pytest.mark.parametrize("code", ["", "-", "\0", "AAAA-AAAA-AAAA-AAAA", "ß" * 9999])
def test_it_refuses_what_is_no_code(alice: Member, codes: list[str], code: str) -> None:
    with pytest.raises(WrongCode):
        show(alice, code)


def test_it_takes_nobody_elses_code(mallory: Member, codes: list[str]) -> None:
    enrol_totp(mallory)

    with pytest.raises(WrongCode):
        show(mallory, codes[0])
    assert RecoveryCode.objects.filter(used_at=None).count() == 20


@pytest.mark.promise("S-26")
def test_it_replaces_all_codes(alice: Member, codes: list[str]) -> None:
    fresh = recovery.replace_all(member=alice, now=NOW)

    with pytest.raises(WrongCode):
        show(alice, codes[0])
    show(alice, fresh[0])
    assert Mail.objects.filter(subject="New recovery codes for your account").exists()


@pytest.mark.promise("S-26", "S-11")
def test_it_tells_the_member_how_many_are_left(alice: Member, codes: list[str]) -> None:
    show(alice, codes[0])

    assert Mail.objects.latest("pk").subject == "A recovery code was used"
