"""The audit trail: what is written with a deed, and with it alone."""

from __future__ import annotations

import logging

import pytest
from django.db import DataError

from exchange.lib import audit
from exchange.lib.models import AuditRecord
from exchange.lib.transactions import transaction


def test_it_writes_a_deed_down(db: None) -> None:
    record = audit.record("member:7", "signed_in", "member:7", device="phone")

    kept = AuditRecord.objects.get(pk=record.pk)
    assert (kept.actor, kept.action, kept.subject) == (
        *("member:7", "signed_in", "member:7"),
    )
    assert kept.facts == {"device": "phone"}
    assert kept.is_alarm is False
    assert kept.at is not None
    assert str(kept) == f"member:7 signed_in member:7 (#{kept.pk})"


def test_it_writes_nothing_of_a_deed_that_failed(db: None) -> None:
    def sign_in_and_fail() -> None:
        with transaction():
            audit.record("member:7", "signed_in", "member:7")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sign_in_and_fail()

    assert not AuditRecord.objects.exists()


def test_it_wakes_somebody(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "exchange.audit"):
        audit.alarm("market:btccny", "halted", why="a test")

    assert AuditRecord.objects.get(is_alarm=True).actor == "system"
    assert "ALARM halted market:btccny" in caplog.text


def test_it_refuses_what_does_not_fit(db: None) -> None:
    with pytest.raises(DataError):
        audit.record("member:7", "x" * 65, "member:7")
