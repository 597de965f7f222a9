"""
The chain of the audit trail: what nobody can rewrite unseen.

Records are written unchained, in the transactions of their deeds; the chainer links
them seconds later. Ids commit out of order, so the order of the chain is the order of
chaining: each run takes what is there and has no link yet, whatever its id. A link's
hash is SHA-256 over the hash before it and the canonical form of its record, with the
link's own number and time.

Who holds the database could write a whole new chain. So its head is logged, and printed
by `manage.py audit --head`: published elsewhere, one head holds all that was before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from exchange.lib.models import AuditCheckpoint, AuditLink
from exchange.lib.transactions import transaction

log = logging.getLogger("exchange.audit")

GENESIS = "0" * 64
# How long a record may wait for the chainer, who comes every few seconds.
TAIL_MAX = timedelta(minutes=2)

_LOCK = "audit chain"
_AT_A_TIME = 1000
# How far behind the newest linked id the usual run looks for late commits. What commits
# later still is linked by the run over everything, once a day.
_LOOK_BACK = 10_000

_RECORD = (
    "record.id, record.at, record.actor, record.action, record.subject,"
    " record.facts::text, record.is_alarm, record.request_id, record.address"
)
_UNCHAINED = """
    FROM lib_auditrecord AS record
    WHERE record.id > %s AND NOT EXISTS (
        SELECT FROM lib_auditlink AS link WHERE link.record_id = record.id
    )
"""

Broken = tuple[Any, ...]


class Head(NamedTuple):
    """The end of the chain: how long it is, and the hash that holds all of it."""

    seq: int
    hash: str


def chain(*, now: datetime, wholly: bool = False) -> int:
    """
    Link the records that have no link yet; return how many. Safe to run twice at once:
    who comes second leaves the work to the first. `wholly` looks at every record ever
    written, not only at the newest ids.
    """
    linked = 0
    while count := _chain_some(now, wholly):
        linked += count
    return linked


def head() -> Head:
    """Return the end of the chain."""
    last = AuditLink.objects.order_by("-seq").first()
    return Head(0, GENESIS) if last is None else Head(last.seq, last.hash)


def is_in_chain(published: Head) -> bool:
    """Say whether a head that was published once is still where it was."""
    if published.seq == 0:
        return published.hash == GENESIS
    return AuditLink.objects.filter(seq=published.seq, hash=published.hash).exists()


def links_astray() -> list[Broken]:
    """
    Find links, from the last checkpoint on, that do not follow from what is before
    them or belie their record.
    """
    last = AuditCheckpoint.objects.order_by("-seq").first()
    return list(_walk(Head(0, GENESIS) if last is None else Head(last.seq, last.hash)))


def links_ever_astray() -> list[Broken]:
    """Find the same from the very first link on."""
    return list(_walk(Head(0, GENESIS)))


def checkpoints_astray() -> list[Broken]:
    """Find checkpoints whose link is gone or is another one: the end was cut off."""
    return _read(
        "SELECT checkpoint.seq, checkpoint.hash, link.hash"
        " FROM lib_auditcheckpoint AS checkpoint"
        " LEFT JOIN lib_auditlink AS link USING (seq)"
        " WHERE link.hash IS DISTINCT FROM checkpoint.hash"
    )


def records_unchained() -> list[Broken]:
    """Find records that have waited for a link longer than the chainer may take."""
    return _read(
        f"SELECT record.id, record.at {_UNCHAINED} AND record.at < now() - %s",
        0,
        TAIL_MAX,
    )


def set_checkpoint(*, now: datetime) -> Head:
    """Remember that the chain was found sound as far as it goes; log its head."""
    end = head()
    if end.seq:
        AuditCheckpoint.objects.get_or_create(
            seq=end.seq, defaults={"hash": end.hash, "at": now}
        )
    log.info("The audit chain is sound up to %s %s", end.seq, end.hash)
    return end


def _chain_some(now: datetime, wholly: bool) -> int:
    with transaction():
        if not _lock_chain():
            return 0
        after = 0 if wholly else _highest_id() - _LOOK_BACK
        rows = _read(
            f"SELECT {_RECORD} {_UNCHAINED} ORDER BY record.id LIMIT %s",
            after,
            _AT_A_TIME,
        )
        end, links = head(), []
        for row in rows:
            seq = end.seq + 1
            link = AuditLink(
                seq=seq,
                record_id=row[0],
                previous_hash=end.hash,
                hash=_hash(end.hash, seq, now, row),
                at=now,
            )
            links.append(link)
            end = Head(seq, link.hash)
        AuditLink.objects.bulk_create(links)
    return len(links)


def _lock_chain() -> bool:
    ((is_ours,),) = _read("SELECT pg_try_advisory_xact_lock(hashtext(%s))", _LOCK)
    return bool(is_ours)


def _highest_id() -> int:
    ((highest,),) = _read("SELECT coalesce(max(record_id), 0) FROM lib_auditlink")
    return int(highest)


def _walk(end: Head) -> Iterator[Broken]:
    """Follow the chain from `end`, and go on behind what is broken."""
    while rows := _read(
        "SELECT link.seq, link.previous_hash, link.hash, link.at,"
        f" {_RECORD} FROM lib_auditlink AS link"
        " LEFT JOIN lib_auditrecord AS record ON record.id = link.record_id"
        " WHERE link.seq > %s ORDER BY link.seq LIMIT %s",
        end.seq,
        _AT_A_TIME,
    ):
        for seq, previous_hash, found, at, *record in rows:
            if seq != end.seq + 1:
                yield seq, "links are missing before this one"
            elif previous_hash != end.hash:
                yield seq, "follows another link"
            if record[0] is None:
                yield seq, "its record is gone"
            elif found != _hash(previous_hash, seq, at, record):
                yield seq, "its record is another one"
            end = Head(seq, found)


def _hash(previous: str, seq: int, at: datetime, record: Any) -> str:
    number, written_at, *rest = record
    canonical = [seq, _utc(at), number, _utc(written_at), *rest]
    text = json.dumps(canonical, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _read(sql: str, *params: Any) -> list[Broken]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
