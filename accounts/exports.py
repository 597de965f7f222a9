"""
A member's data, to take away: one ZIP of JSON files.

A job makes it, because it may be long; the row is the queue. The file lies encrypted
in the data folder and is deleted after a week. What is in it is said by `parts`: each
app adds its own, in its AppConfig.ready, and a part yields one JSON-able row after the
other. Secrets are no part of it.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.utils.translation import gettext_lazy as _

from accounts import notices
from accounts.models.exports import DataExport
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import NotFound, Refused
from exchange.lib.money import plain
from exchange.lib.sealed import seal, unseal
from exchange.lib.states import advance, lock_row
from exchange.lib.transactions import savepoint, transaction

log = logging.getLogger(__name__)

Row = dict[str, Any]
Part = Callable[[Member], Iterator[Row]]

EVERY = timedelta(days=1)
KEPT = timedelta(days=7)
_SEALED_FOR = "data exports"


class AskedToday(Refused):
    """One export a day is enough."""

    code = "export_asked_today"
    text = _("You can ask for your data once a day. Please come back tomorrow.")


class UnknownExport(NotFound):
    """There is no such file of this member, or not any more."""

    code = "unknown_export"
    text = _("There is no such file any more. Please ask for a new one.")


def request(*, member: Member, now: datetime) -> DataExport:
    """Ask for a file of a member's data. Raises AskedToday."""
    with transaction():
        lock_row(member)
        recent = DataExport.objects.filter(member=member, requested_at__gt=now - EVERY)
        if recent.exclude(state=DataExport.State.FAILED).exists():
            raise AskedToday
        export = DataExport.objects.create(member=member, requested_at=now)
        audit.record(f"member:{member.pk}", "export_requested", audit.label(export))
    return export


def make_waiting(*, now: datetime) -> int:
    """Make the files that were asked for; return how many. Safe to run twice."""
    made = 0
    while (export := _make_next(now)) is not None:
        made += export.state == DataExport.State.READY
    return made


def read(*, member: Member, export_id: int, now: datetime) -> bytes:
    """Return the ZIP of a member's own export. Raises UnknownExport."""
    mine = DataExport.objects.filter(member=member, state=DataExport.State.READY)
    export = mine.filter(pk=export_id, ready_at__gt=now - KEPT).order_by("pk").first()
    if export is None:
        raise UnknownExport
    try:
        sealed = _file(export).read_bytes()
    except FileNotFoundError as error:
        raise UnknownExport from error
    with transaction():
        audit.record(f"member:{member.pk}", "export_downloaded", audit.label(export))
    return unseal(sealed, purpose=_SEALED_FOR, bound_to=str(export.pk))


def forget_old(*, now: datetime) -> int:
    """Delete the files of more than a week ago; return how many."""
    ready = DataExport.objects.filter(state=DataExport.State.READY)
    old = list(ready.filter(ready_at__lte=now - KEPT).order_by("pk"))
    for export in old:
        _file(export).unlink(missing_ok=True)
        with transaction():
            advance(export, "forget", by="system")
    return len(old)


def _make_next(now: datetime) -> DataExport | None:
    """Make the file that waits longest. Whoever dies over it leaves it as it was."""
    with transaction():
        with connection.cursor() as cursor:
            # All parts as of one moment.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        export = lock_next_export()
        if export is None:
            return None
        try:
            with savepoint():
                content = _zip(export.member)
        except Exception:
            # One that cannot be made must not keep the others waiting behind it.
            log.exception("%s cannot be made", export)
            return advance(export, "fail", by="system")
        sealed = seal(content, purpose=_SEALED_FOR, bound_to=str(export.pk))
        _write(_file(export), sealed)
        notices.tell(
            export.member,
            notices.Event.EXPORTED,
            export_url=f"{settings.SITE_URL}/account/export",
            days=KEPT.days,
        )
        at, size_bytes = now.isoformat(), len(content)
        return advance(export, "finish", by="system", at=at, size_bytes=size_bytes)


def lock_next_export() -> DataExport | None:
    """Lock and return the export that waits longest and that nobody else makes."""
    waiting = DataExport.objects.select_for_update(
        no_key=True, skip_locked=True, of=("self",)
    ).filter(state=DataExport.State.REQUESTED)
    return waiting.select_related("member").order_by("pk").first()


def _zip(member: Member) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, part in sorted(parts.items()):
            with whole.open(f"{name}.json", "w") as entry:
                for piece in _as_json(part(member)):
                    entry.write(piece.encode())
    return file.getvalue()


class _Encoder(DjangoJSONEncoder):
    """Writes amounts as everywhere else: as text, without zeros that say nothing."""

    def default(self, o: object) -> Any:
        return plain(o) if isinstance(o, Decimal) else super().default(o)


def _as_json(rows: Iterator[Row]) -> Iterator[str]:
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, cls=_Encoder, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _file(export: DataExport) -> Path:
    return Path(settings.DATA_DIR) / "exports" / f"{export.pk}.zip.sealed"


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.rename(file)


# What each app adds, under the name of its file: see the apps' `leaving`.
parts: dict[str, Part] = {}
