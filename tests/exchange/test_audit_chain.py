"""The chain of the audit trail: everything in it once, in whatever order it commits."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from threading import Event, Thread

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from exchange import invariants, tasks
from exchange.lib import audit, audit_chain
from exchange.lib import tasks as lib_tasks
from exchange.lib.models import AuditCheckpoint, AuditLink, AuditRecord
from exchange.lib.transactions import transaction
from tests import rows
from tests.races.crowd import at_once

pytestmark = pytest.mark.django_db


def write(count: int) -> None:
    for number in range(count):
        audit.record("system", "counted", "test:1", number=number, of="é✓")


def chain() -> int:
    return audit_chain.chain(now=timezone.now())


def test_it_links_each_record_once() -> None:
    write(3)

    assert (chain(), chain()) == (3, 0)

    links = AuditLink.objects.order_by("seq")
    assert [link.seq for link in links] == [1, 2, 3]
    assert links[0].previous_hash == audit_chain.GENESIS
    assert [link.previous_hash for link in links[1:]] == [
        link.hash for link in links[:2]
    ]
    assert audit_chain.links_ever_astray() == []


def test_it_links_more_than_it_reads_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_chain, "_AT_A_TIME", 2)
    write(5)

    assert chain() == 5
    assert audit_chain.links_ever_astray() == []


def test_it_links_what_commits_after_a_younger_one() -> None:
    is_written, may_commit = Event(), Event()

    def dawdle() -> None:
        try:
            with transaction():
                audit.record("system", "slow", "test:1")
                is_written.set()
                may_commit.wait(timeout=30)
        finally:
            connection.close()

    slow = Thread(target=dawdle)
    slow.start()
    is_written.wait(timeout=30)
    audit.record("system", "quick", "test:1")
    chain()
    may_commit.set()
    slow.join()
    chain()

    links = AuditLink.objects.order_by("seq").select_related("record")
    assert [link.record.action for link in links] == ["quick", "slow"]
    assert links[0].record_id > links[1].record_id
    assert audit_chain.links_ever_astray() == []


def test_it_finds_the_very_late_when_it_looks_at_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_chain, "_LOOK_BACK", 2)
    write(5)
    chain()
    rows.plant(
        "DELETE FROM lib_auditlink; UPDATE lib_auditrecord SET id = id + 100"
        " WHERE id = (SELECT max(id) FROM lib_auditrecord)"
    )
    AuditLink.objects.create(
        seq=1,
        record_id=rows.read("SELECT max(id) FROM lib_auditrecord")[0][0],
        previous_hash=audit_chain.GENESIS,
        hash="a",
        at=timezone.now(),
    )

    assert chain() == 0
    assert audit_chain.chain(now=timezone.now(), wholly=True) == 4
    rows.plant("DELETE FROM lib_auditlink")  # the hash above was none


@pytest.mark.races
def test_it_forks_where_nobody_locks_the_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_chain, "_lock_chain", lambda: True)
    write(300)

    def crowd() -> None:
        for _ in range(20):
            write(300)
            at_once(*[chain] * 6)

    with pytest.raises(Exception, match="duplicate key"):
        crowd()


@pytest.mark.races
def test_it_is_one_chain_however_many_chain_it() -> None:
    write(300)

    done = at_once(*[chain] * 6)

    assert sum(count for count in done if isinstance(count, int)) == 300
    assert AuditLink.objects.count() == 300
    assert audit_chain.links_ever_astray() == []


@pytest.mark.promise("I-20")
def test_it_tolerates_a_short_tail_only() -> None:
    write(1)
    fresh = audit_chain.records_unchained()
    with rows.planted("UPDATE lib_auditrecord SET at = at - interval '3 minutes'"):
        late = audit_chain.records_unchained()

    assert fresh == []
    assert len(late) == 1


def test_the_job_verifies_from_the_last_checkpoint_on() -> None:
    write(3)

    assert tasks.audit_books() == 0
    assert tasks.audit_books() == 0

    assert AuditCheckpoint.objects.get().seq == 3
    with rows.planted(
        "UPDATE lib_auditrecord SET actor = 'x' WHERE id ="
        " (SELECT record_id FROM lib_auditlink WHERE seq = 1)"
    ):
        seen = (audit_chain.links_astray(), audit_chain.links_ever_astray())
    assert seen == ([], [(1, "its record is another one")])


@pytest.mark.broken_books
def test_the_job_raises_an_alarm_and_sets_no_checkpoint() -> None:
    write(3)
    lib_tasks.chain_audit()
    rows.plant("UPDATE lib_auditrecord SET actor = 'x'")

    assert tasks.audit_books() == 3
    assert tasks.audit_trail() > 3

    assert not AuditCheckpoint.objects.exists()
    alarm = AuditRecord.objects.filter(is_alarm=True).earliest("pk")
    assert alarm.facts["invariant"] == "I-20"


def audit_command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.promise("I-20", "S-81")
def test_it_prints_a_head_that_holds_all_before_it() -> None:
    write(3)
    chain()

    status, published = audit_command("--head")
    write(2)
    chain()

    assert (status, published.strip()) == (
        0,
        f"3:{AuditLink.objects.get(seq=3).hash}",
    )
    assert audit_command("--published", published.strip()) == (0, "")
    # The whole end is cut off, checkpoints and all: only the published head knows.
    with rows.planted(
        "DELETE FROM lib_auditrecord WHERE id IN"
        " (SELECT record_id FROM lib_auditlink WHERE seq > 2);"
        "DELETE FROM lib_auditlink WHERE seq > 2"
    ):
        assert audit_chain.links_ever_astray() == []
        assert not audit_chain.is_in_chain(
            audit_chain.Head(3, published.strip().partition(":")[2])
        )


def test_it_says_that_a_published_head_is_gone() -> None:
    status, said = audit_command("--published", f"7:{'a' * 64}")

    assert status == 1
    assert "not in the chain any more" in said
    assert audit_command("--published", f"0:{audit_chain.GENESIS}")[0] == 0


def test_it_reads_no_nonsense_as_a_head() -> None:
    with pytest.raises(CommandError, match="published"):
        audit_command("--published", "nonsense")


def test_it_is_sound_when_nothing_has_happened() -> None:
    assert audit_chain.set_checkpoint(now=timezone.now()) == (0, audit_chain.GENESIS)
    assert invariants.check_trail() == []
    assert timedelta(0) < audit_chain.TAIL_MAX
