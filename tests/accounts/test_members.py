"""Joining, freezing, closing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts import members, password_rules
from accounts.models.members import Member
from exchange.lib.models import AuditRecord
from exchange.lib.states import IllegalMove
from tests.makers import PASSWORD

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def join(email: str = "carol@example.com", password: str = PASSWORD) -> Member:
    return members.create(email=email, password=password, now=NOW)


@pytest.mark.promise("S-6")
def test_it_lets_somebody_join(db: None) -> None:
    carol = join(" Carol@Example.COM ")

    row = Member.objects.get(pk=carol.pk)

    assert row.email == "carol@example.com"
    assert row.password.startswith("argon2$argon2id$")
    assert row.check_password(PASSWORD)
    assert row.created_at == NOW
    assert not row.is_staff
    assert not row.is_superuser
    deed = AuditRecord.objects.get(subject=f"member:{carol.pk}")
    assert (deed.actor, deed.action) == ("system", "member_joined")


def test_it_lets_operators_into_the_admin(olive: Member) -> None:
    assert olive.is_staff
    assert olive.is_superuser


@pytest.mark.parametrize("again", ["carol@example.com", "CAROL@example.com"])
def test_it_takes_an_address_once(db: None, again: str) -> None:
    join()

    with pytest.raises(members.EmailTaken):
        join(again)

    assert Member.objects.count() == 1


@pytest.mark.parametrize(
    "email", ["", "carol", "a@b@c.de", "ca\0rol@example.com", "c@exa\u202emple.com"]
)
def test_it_refuses_what_is_no_address(db: None, email: str) -> None:
    with pytest.raises(members.BadEmail):
        join(email)


@pytest.mark.promise("S-4")
@pytest.mark.parametrize(
    "password", ["", "short", "password123", "carol@example.com", "x" * 1025]
)
def test_it_refuses_weak_passwords(db: None, password: str) -> None:
    with pytest.raises(password_rules.WeakPassword):
        join(password=password)

    assert not Member.objects.exists()


@pytest.mark.promise("S-2")
def test_it_keeps_every_character_of_a_password(db: None) -> None:
    password = "  пароль 🐉 " + "yz" * 64 + " конец"

    carol = join(password=password)

    assert carol.check_password(password)
    assert not carol.check_password(password[:-1])
    assert not carol.check_password(password.strip())


def test_it_freezes_and_thaws(alice: Member) -> None:
    members.freeze(member=alice, by="operator:1", reason="a stolen phone")
    frozen = Member.objects.get(pk=alice.pk)
    members.thaw(member=alice, by="operator:1", reason="found it")
    thawed = Member.objects.get(pk=alice.pk)

    assert not frozen.may_trade
    assert frozen.is_active
    assert thawed.may_trade
    deeds = AuditRecord.objects.filter(subject=f"member:{alice.pk}").order_by("pk")
    assert [(deed.action, deed.facts.get("reason")) for deed in deeds] == [
        ("member_joined", None),
        ("member_frozen", "a stolen phone"),
        ("member_active", "found it"),
    ]


def test_it_freezes_twice_like_once(alice: Member) -> None:
    members.freeze(member=alice, by="operator:1", reason="once")

    members.freeze(member=alice, by="operator:1", reason="twice")

    assert AuditRecord.objects.filter(action="member_frozen").count() == 1


def test_it_closes_for_good(alice: Member) -> None:
    members.close(member=alice, by="operator:1", reason="gone", now=NOW)

    with pytest.raises(IllegalMove):
        members.thaw(member=alice, by="operator:1", reason="sorry")

    assert not Member.objects.get(pk=alice.pk).is_active
