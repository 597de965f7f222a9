"""States: one caller of a transition, under a lock, and a line in the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext, isolate_apps
from django_fsm import FSMField, transition

from exchange.lib import databases, states
from exchange.lib.models import AuditRecord
from exchange.lib.states import IllegalMove
from exchange.lib.transactions import NoTransaction, transaction

Model = type[models.Model]


@pytest.fixture
def letters(db: None) -> Iterator[Model]:
    """A table of letters, which are written, then sent or torn up."""
    with isolate_apps("exchange.lib"):

        class Letter(models.Model):
            state = FSMField(default="written")
            stamp = models.CharField(max_length=9, default="")

            class Meta:
                app_label = "lib"

            def __str__(self) -> str:
                return f"letter {self.pk}"

            @transition(field=state, source="written", target="sent")
            def send(self, stamp: str) -> None:
                self.stamp = stamp

            @transition(field=state, source="written", target="torn")
            def tear_up(self) -> None:
                pass

        name = str(connection.settings_dict["NAME"])
        owner = databases.using(name, databases.owner())
        with owner, connection.schema_editor() as editor:
            editor.create_model(Letter)
        yield Letter


def advance(row: Any, move: str, **facts: Any) -> Any:
    with transaction():
        return states.advance(row, move, by="operator:7", **facts)


def test_it_makes_a_move_and_says_so(letters: Any) -> None:
    letter = letters.objects.create()

    sent = advance(letter, "send", stamp="penny")

    assert (sent.state, sent.stamp) == ("sent", "penny")
    assert letters.objects.get().state == "sent"
    record = AuditRecord.objects.get()
    assert (record.actor, record.action) == ("operator:7", "send")
    assert record.subject.endswith(f"letter:{letter.pk}")
    assert record.facts == {"before": "written", "after": "sent", "stamp": "penny"}


def test_it_looks_at_the_row_and_not_at_what_it_was_shown(letters: Any) -> None:
    seen_before = letters.objects.create()
    advance(seen_before, "tear_up")

    with pytest.raises(IllegalMove) as refused:
        advance(seen_before, "send", stamp="penny")

    assert refused.value.facts == {"state": "torn", "move": "send"}
    assert letters.objects.get().state == "torn"
    assert AuditRecord.objects.count() == 1


def test_it_takes_a_repeated_arrival_quietly(letters: Any) -> None:
    letter = letters.objects.create()
    advance(letter, "send", stamp="penny")

    again = advance(letter, "send", stamp="crown")

    assert (again.state, again.stamp) == ("sent", "penny")
    assert AuditRecord.objects.count() == 1


def test_it_moves_inside_a_transaction_only(letters: Any) -> None:
    with pytest.raises(NoTransaction):
        states.advance(letters.objects.create(), "send", by="system", stamp="x")


def advance_all(rows: Any, move: str, **facts: Any) -> Any:
    with transaction():
        return states.advance_all(rows, move, by="operator:7", **facts)


def test_it_makes_a_move_of_many_and_says_so_of_each(letters: Any) -> None:
    already = advance(letters.objects.create(), "send", stamp="pound")
    others = [letters.objects.create() for _ in range(3)]
    before = AuditRecord.objects.count()

    fresh = advance_all(letters.objects.order_by("-pk"), "send", stamp="penny")

    assert [row.pk for row in fresh] == [already.pk, *(row.pk for row in others)]
    stored = letters.objects.order_by("pk").values_list("state", "stamp")
    assert list(stored) == [("sent", "pound")] + [("sent", "penny")] * 3
    told = AuditRecord.objects.order_by("pk")[before:]
    assert [(row.subject, row.actor, row.action, row.facts) for row in told] == [
        (
            f"lib.letter:{row.pk}",
            "operator:7",
            "send",
            {"before": "written", "after": "sent", "stamp": "penny"},
        )
        for row in others
    ]


def test_it_moves_many_or_none(letters: Any) -> None:
    rows = [letters.objects.create() for _ in range(2)]
    advance(rows[1], "tear_up")
    before = AuditRecord.objects.count()

    with pytest.raises(IllegalMove):
        advance_all(letters.objects.all(), "send", stamp="penny")

    assert letters.objects.get(pk=rows[0].pk).state == "written"
    assert AuditRecord.objects.count() == before


def test_it_moves_many_in_a_few_statements(letters: Any) -> None:
    for _ in range(20):
        letters.objects.create()

    with CaptureQueriesContext(connection) as queries:
        advance_all(letters.objects.all(), "send", stamp="penny")

    assert len(queries) <= 6
