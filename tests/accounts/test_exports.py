"""Data to take away: asked for, made by a job, read once it is ready, deleted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts import exports, members, tasks, tickets
from accounts.models.exports import DataExport
from accounts.models.members import Member
from accounts.views import doors
from exchange.lib import mail
from exchange.lib.errors import BrokenPromise, ExchangeError
from exchange.lib.models import AuditRecord, Mail
from tests.accounts.papers import DATA, NOW, describe
from tests.accounts.test_sessions import enter, key_of
from tests.makers import (
    PASSWORD,
    ApiClient,
    enrol_totp,
    fund,
    make_token,
    match,
    prove,
)
from tests.races.crowd import at_once, count

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "exports"


def request(member: Member) -> DataExport:
    return exports.request(member=member, now=timezone.now())


def make(member: Member) -> DataExport:
    export = request(member)
    assert exports.make_waiting(now=timezone.now()) == 1
    return DataExport.objects.get(pk=export.pk)


def read(member: Member, export: DataExport) -> dict[str, list[dict[str, Any]]]:
    content = exports.read(member=member, export_id=export.pk, now=timezone.now())
    with zipfile.ZipFile(io.BytesIO(content)) as whole:
        assert whole.testzip() is None
        return {
            name.removesuffix(".json"): json.loads(whole.read(name))
            for name in whole.namelist()
        }


@pytest.mark.promise("U-86", "S-67")
def test_it_holds_all_that_is_known_of_a_member(
    alice: Member, bob: Member, olive: Member
) -> None:
    browser = enter(alice)
    fund(alice, "1 btc")
    fund(bob, "1000 cny")
    sale = {"market": "btccny", "side": "sell", "volume": "0.1", "price": "90"}
    bot = ApiClient(make_token(alice, label="my bot"))
    bot.post("orders", **sale)
    describe(alice)
    enrol_totp(alice, browser)
    asked = tickets.ask(
        member=alice, subject="Where is it?", text="Soon?", files=[], now=NOW
    )
    tickets.note(ticket=asked, operator=olive, text="Who knows?", now=NOW)
    tickets.answer(ticket=asked, operator=olive, text="Here.", now=NOW)
    ApiClient(make_token(bob)).post("orders", **sale | {"side": "buy"})
    match("btccny")

    found = read(alice, make(alice))

    assert found.keys() == {
        *("profile", "sessions", "sign_ins", "api_keys", "audit_trail"),
        *("identity", "factors", "tickets"),
        *("balances", "entries", "orders", "trades"),
        *("deposits", "beneficiaries", "withdrawals", "transfers", "adjustments"),
        *("deposits", "beneficiaries", "withdrawals"),
        *("bank_deposits", "bank_references"),
    }
    assert found["profile"][0]["email"] == alice.email
    assert found["sessions"][0]["address"] == "127.0.0.1"
    assert found["sign_ins"][0]["outcome"] == "admitted"
    assert found["api_keys"][0]["label"] == "my bot"
    assert found["identity"][0]["full_name"] == DATA.full_name
    assert found["factors"][0]["kind"] == "totp"
    assert [(row["by"], row["text"]) for row in found["tickets"]] == [
        ("member", "Soon?"),
        ("support", "Here."),
    ]
    assert found["audit_trail"][0]["action"] == "member_joined"
    assert {row["currency"]: row["available"] for row in found["balances"]} == {
        "btc": "0.9",
        "cny": "8.991",
    }
    moves = {(row["from"], row["to"], row["reason"]) for row in found["entries"]}
    assert ("elsewhere", "available", "grant") in moves
    assert ("available", "locked", "order_placed") in moves
    assert found["orders"][0]["state"] == "filled"
    assert found["orders"][0]["filled"] == "0.1"
    assert found["trades"][0]["role"] == "maker"
    assert found["trades"][0]["price"] == "90.0"


@pytest.mark.promise("S-24", "S-46")
def test_it_holds_no_secret_and_nobody_elses_data(alice: Member, bob: Member) -> None:
    browser = enter(alice)
    issued = make_token(alice)
    members.freeze(member=alice, by="operator:77", reason="a note of ours")

    text = json.dumps(read(alice, make(alice)))

    for secret in (
        *(issued.secret_key, key_of(browser), alice.password, "argon2"),
        *(bob.email, "operator:77", "a note of ours"),
    ):
        assert secret not in text
    assert issued.access_key in text


@pytest.mark.promise("S-64")
def test_it_lies_encrypted(alice: Member, folder: Path) -> None:
    export = make(alice)

    (file,) = folder.iterdir()

    assert not file.read_bytes().startswith(b"PK")
    assert alice.email.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert export.size_bytes == len(
        exports.read(member=alice, export_id=export.pk, now=timezone.now())
    )


def test_one_file_does_not_open_as_another(
    alice: Member, bob: Member, folder: Path
) -> None:
    alices, bobs = make(alice), make(bob)
    (folder / f"{alices.pk}.zip.sealed").rename(folder / f"{bobs.pk}.zip.sealed")

    with pytest.raises(BrokenPromise):
        read(bob, bobs)


def test_it_tells_when_it_is_ready(alice: Member) -> None:
    request(alice)
    assert not Mail.objects.exists()

    exports.make_waiting(now=timezone.now())

    body = mail.read(Mail.objects.get())
    assert body is not None
    assert "/account/export" in body.text
    assert "/freeze/" in body.text


def test_it_is_made_once(alice: Member) -> None:
    request(alice)

    assert tasks.make_exports() == 1
    assert tasks.make_exports() == 0
    assert Mail.objects.count() == 1


@pytest.mark.races
def test_it_is_made_once_by_many_workers(alice: Member, bob: Member) -> None:
    request(alice)
    request(bob)

    made = at_once(*[lambda: exports.make_waiting(now=timezone.now())] * 4)

    assert sum(each for each in made if isinstance(each, int)) == 2
    assert not [each for each in made if isinstance(each, ExchangeError)]
    assert Mail.objects.count() == 2


def test_one_a_day_is_enough(alice: Member, bob: Member) -> None:
    now = timezone.now()
    exports.request(member=alice, now=now)

    with pytest.raises(exports.AskedToday):
        exports.request(member=alice, now=now + DAY - timedelta(seconds=1))

    assert exports.request(member=bob, now=now).member == bob
    assert exports.request(member=alice, now=now + DAY).member == alice


@pytest.mark.races
@pytest.mark.promise("S-72")
def test_one_a_day_also_for_many_requests_at_once(alice: Member) -> None:
    results = at_once(*[lambda: request(alice)] * 8)

    assert count(results, DataExport) == 1
    assert count(results, exports.AskedToday) == 7
    assert DataExport.objects.count() == 1


@pytest.mark.races
def test_without_the_lock_many_would_be_taken(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "lock_row", lambda member: member)

    for _ in range(20):
        DataExport.objects.all().delete()
        if count(at_once(*[lambda: request(alice)] * 8), DataExport) > 1:
            return
    raise AssertionError("The lock is there for nothing.")


def test_one_that_cannot_be_made_keeps_nobody_waiting(
    alice: Member, bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(member: Member) -> Iterator[dict[str, Any]]:
        if member == alice:
            Member.objects.raw("SELECT 1 FROM nowhere")[0]
        yield {}

    monkeypatch.setitem(exports.parts, "profile", broken)
    failed, made = request(alice), request(bob)

    assert exports.make_waiting(now=timezone.now()) == 1

    assert DataExport.objects.get(pk=failed.pk).state == "failed"
    assert DataExport.objects.get(pk=made.pk).state == "ready"
    assert [each.to for each in Mail.objects.all()] == [bob.email]
    assert request(alice).state == "requested"  # may try again at once


@pytest.mark.promise("S-67")
def test_it_is_deleted_after_a_week(alice: Member, folder: Path) -> None:
    export = make(alice)
    now = timezone.now()

    assert exports.forget_old(now=now + 7 * DAY - timedelta(minutes=1)) == 0
    assert exports.forget_old(now=now + 7 * DAY) == 1
    assert exports.forget_old(now=now + 7 * DAY) == 0

    assert list(folder.iterdir()) == []
    assert DataExport.objects.get(pk=export.pk).state == "deleted"
    assert tasks.forget_old_exports() == 0
    with pytest.raises(exports.UnknownExport):
        read(alice, export)


def test_it_is_not_read_after_a_week_even_where_it_still_lies(alice: Member) -> None:
    export = make(alice)
    later = timezone.now() + 7 * DAY

    with pytest.raises(exports.UnknownExport):
        exports.read(member=alice, export_id=export.pk, now=later)


def test_a_file_that_is_gone_is_unknown(alice: Member, folder: Path) -> None:
    export = make(alice)
    next(folder.iterdir()).unlink()

    with pytest.raises(exports.UnknownExport):
        read(alice, export)


@pytest.mark.promise("S-63")
def test_it_is_sent_as_an_attachment_on_the_record(alice: Member) -> None:
    browser = enter(alice)
    prove(browser, alice, "password")
    asked = browser.post("/account/export", follow=True).content.decode()
    exports.make_waiting(now=timezone.now())
    export = DataExport.objects.get()

    listed = browser.get("/account/export").content.decode()
    answer = browser.get(f"/account/export/{export.pk}")

    assert "a mail will follow" in asked
    assert f"/account/export/{export.pk}" in listed
    assert answer["Content-Type"] == "application/zip"
    name = f"pixiu-{alice.sn}-{export.pk}.zip"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]
    assert zipfile.is_zipfile(io.BytesIO(answer.content))
    actions = AuditRecord.objects.filter(subject__endswith=f":{export.pk}")
    assert {deed.action for deed in actions} >= {
        *("export_requested", "finish", "export_downloaded"),
    }


@pytest.mark.promise("S-69")
def test_it_is_nobody_elses(alice: Member, mallory: Member) -> None:
    export = make(alice)
    browser = enter(mallory)
    prove(browser, mallory)

    for id in (export.pk, export.pk + 1, 2**63):
        assert browser.get(f"/account/export/{id}").status_code == 404
    assert (
        str(export.pk)
        not in browser.get("/account/export").content.decode().split("Files")[1]
    )


def test_a_second_wish_is_answered_on_the_page(alice: Member) -> None:
    browser = enter(alice)
    prove(browser, alice)
    browser.post("/account/export")

    page = browser.post("/account/export", follow=True).content.decode()

    assert "You can ask for your data once a day." in page
    assert DataExport.objects.count() == 1


@pytest.mark.promise("S-20")
def test_it_asks_for_a_fresh_proof(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "resolve_url", lambda name: f"/{name}")
    export = make(alice)
    browser = enter(alice)

    asked = browser.post("/account/export", {"password": PASSWORD})
    read = browser.get(f"/account/export/{export.pk}")

    assert asked["Location"].startswith("/prove?next=")
    assert read["Location"].startswith("/prove?next=")
    assert DataExport.objects.count() == 1
