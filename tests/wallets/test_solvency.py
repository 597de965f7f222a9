"""The proof as a whole: books, files, rows, pages, and what each member is given."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.test import Client

from accounts import members
from accounts.models.members import Member
from exchange.lib.errors import Busy, UpstreamError
from exchange.lib.models import AuditRecord
from exchange.lib.transactions import transaction
from tests import rows
from tests.makers import ApiClient, fund, make_member
from wallets import ledger, tasks
from wallets.ledger import AVAILABLE, House, Move
from wallets.models.solvency import Proof
from wallets.solvency import (
    assets,
    legacy,
    levels,
    lookup,
    manifest,
    places,
    planting,
    publish,
    tree,
)
from wallets.solvency import snapshot as snapshots
from wallets.solvency.assets import Holding, Statement
from wallets.solvency.lookup import UnknownProof

NOW = datetime(2025, 11, 24, 3, tzinfo=UTC)  # before any clock of today
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def solvency_dir(tmp_path: Path, settings: Any) -> Path:
    settings.SOLVENCY_DIR = tmp_path / "solvency"
    return tmp_path / "solvency"


def told(proof: Proof, currency: str = "btc") -> dict[str, Any]:
    """What a manifest says of a currency."""
    (found,) = (
        each
        for each in manifest.opened(proof.envelope)["assets"]
        if each["asset"] == currency.upper()
    )
    return dict(found)


def proven(member: Member, currency: str = "btc", number: int = 1) -> int:
    """What a member can prove, in base units, by the manifest and in both formats."""
    root = lookup.root(number, currency)
    found = lookup.proof_of(member_id=member.pk, root=root)
    named = told(root.proof, currency)
    published = tree.Root(
        asset=named["asset"],
        snapshot=root.proof.snapshot,
        depth=named["depth"],
        sum=int(named["sum"]),
        hash=named["root"],
    )
    user, units = tree.verify(found.proof, published)
    leaf = legacy.verify(found.partial_tree, named["legacy"])
    assert user == leaf.user == found.user
    assert found.amount == leaf.sum == legacy.text_of(units, named["scale"])
    return units


def transfer(source: Member, target: Member, amount: str, currency: str) -> None:
    with transaction():
        accounts = [
            ledger.account_of(member_id=member.pk, currency=currency)
            for member in (source, target)
        ]
        move = Move(
            *(accounts[0], AVAILABLE, accounts[1], AVAILABLE),
            *(Decimal(amount), "by_hand", "test:1"),
        )
        ledger.post([move], at=NOW)


# --- What is in it -------------------------------------------------------------------


@pytest.mark.promise("Q-5", "I-13")
def test_the_leaves_add_up_to_what_the_ledger_owes(
    alice: Member, bob: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1.5 btc", "100 cny")
    fund(bob, "20.25 btc", "0.00000001 cny")
    answer = alices_bot.post(
        "orders.json", market="btccny", side="sell", volume="0.5", price="30000"
    )
    assert answer.status_code == 201  # half a bitcoin is locked, and still hers

    proof = publish.prove(now=NOW)

    assert [root.currency_id for root in lookup.roots(proof)] == ["cny", "btc"]
    for root in lookup.roots(proof):
        ground = lookup.leaves_of(root).read_bytes()
        in_leaves = sum(each for _hash, each in levels.RECORD.iter_unpack(ground))
        ((by_entries,),) = rows.read(
            "SELECT -sum(CASE WHEN source.member_id IS NULL THEN -amount ELSE amount"
            " END) FROM wallets_entry JOIN wallets_account AS source"
            " ON source.id = source_id JOIN wallets_account AS target"
            " ON target.id = target_id WHERE source.currency_id = %s"
            " AND (source.member_id IS NULL) <> (target.member_id IS NULL)",
            root.currency_id,
        )
        assert root.liabilities == by_entries
        assert in_leaves == int(told(proof, root.currency_id)["sum"])
        assert in_leaves == by_entries * 10**8
        assert (
            hashlib.sha256(ground).hexdigest()
            == (told(proof, root.currency_id)["leaves"])
        )
    assert proven(alice) == 150_000_000
    assert proven(bob) == 2_025_000_000
    assert proven(bob, "cny") == 1


@pytest.mark.promise("Q-6")
def test_it_counts_everybody_who_has_an_account_and_nobody_else(
    alice: Member, bob: Member, mallory: Member, olive: Member
) -> None:
    dave, erin = make_member("dave"), make_member("erin")
    fund(alice, "1 btc")
    transfer(alice, bob, "1", "btc")  # she has nothing left, and a leaf of nothing
    fund(mallory, "0.00000001 btc")  # dust
    fund(olive, "3 btc")  # an operator
    fund(dave, "5 btc")
    members.freeze(member=mallory, by="test", reason="test")
    Member.objects.filter(pk=dave.pk).update(state=Member.State.CLOSED)
    with transaction():
        suspense = ledger.house(House.SUSPENSE, "btc")
        hot = ledger.house(House.HOT, "btc")
        amount = Decimal("0.25")
        ledger.post(
            [Move(hot, AVAILABLE, suspense, AVAILABLE, amount, "by_hand", "test:2")],
            at=NOW,
        )

    proof = publish.prove(now=NOW)

    theirs = {alice: 0, bob: 10**8, mallory: 1, olive: 3 * 10**8, dave: 5 * 10**8}
    assert {member: proven(member) for member in theirs} == theirs
    with pytest.raises(UnknownProof):
        proven(erin)
    assert int(told(proof)["sum"]) == sum(theirs.values())
    house = told(proof)["house"]
    assert house["suspense"] == "0.25"
    assert house["hot"] == "-0.25"
    assert house["grants"] == "-9.00000001"


def test_each_member_can_compute_their_own_name(alice: Member, bob: Member) -> None:
    fund(alice, "1 btc")
    fund(bob, "1 btc")

    proof = publish.prove(now=NOW)

    salt = manifest.opened(proof.envelope)["salt"]
    text = f"{alice.email}\n{alice.sn}\n{salt}"
    root = lookup.root(1, "btc")
    hers = lookup.proof_of(member_id=alice.pk, root=root)
    his = lookup.proof_of(member_id=bob.pk, root=root)
    assert hers.user == hashlib.sha256(text.encode()).hexdigest()
    assert hers.user != his.user
    nonces = set(re.findall(r'"nonce":"(\w+)"', hers.proof + his.proof))
    assert len(nonces) == len(hers.parts) + len(his.parts)


@pytest.mark.promise("Q-8")
def test_a_snapshot_under_load_is_the_ledger_at_one_instant(
    alice: Member, bob: Member
) -> None:
    fund(alice, "1000 btc", "1000 cny")
    fund(bob, "1000 btc", "1000 cny")
    is_over = threading.Event()
    moved = []

    def trade(source: Member, target: Member) -> None:
        while not is_over.is_set():
            for currency in ("btc", "cny"):
                transfer(source, target, "0.01", currency)
                moved.append(currency)
        connections.close_all()

    threads = [
        threading.Thread(target=trade, args=pair)
        for pair in ((alice, bob), (bob, alice))
    ]
    for thread in threads:
        thread.start()
    try:
        taken: list[snapshots.Snapshot] = []
        while len(taken) < 8 or len({each.position for each in taken}) < 4:
            taken.append(snapshots.take(salt="salt"))
    finally:
        is_over.set()
        for thread in threads:
            thread.join()

    assert moved
    for each in taken:
        assert set(each.breaks.values()) == {0}
        for debts in each.debts:
            assert sum(debts.amounts) == 2000 * 10**8
            at_that_time = dict(
                rows.read(
                    """
                    SELECT account.member_id, sum(CASE WHEN target_id = account.id
                        THEN amount ELSE -amount END) * 100000000
                    FROM wallets_entry AS entry JOIN wallets_account AS account
                        ON account.id IN (entry.source_id, entry.target_id)
                    WHERE account.member_id IS NOT NULL AND account.currency_id = %s
                        AND pg_visible_in_snapshot(
                            entry.xmin::text::xid8, %s::pg_snapshot)
                    GROUP BY account.member_id
                    """,
                    debts.currency,
                    each.position,
                )
            )
            assert dict(zip(debts.members, debts.amounts, strict=True)) == at_that_time


# --- Who gets what -------------------------------------------------------------------


@pytest.mark.promise("Q-7")
def test_each_member_gets_their_own_proof_and_no_other(
    alice: Member, mallory: Member
) -> None:
    fund(alice, "1 btc", "5 cny")
    fund(mallory, "2 btc")
    publish.prove(now=NOW)
    files = [
        f"/account/solvency{number}/btc-{name}.json"
        for number, name in (
            ("/1", "proof"),
            ("/1", "partial-tree"),
            ("", "partial-tree"),
        )
    ]
    browsers = {alice: Client(), mallory: Client()}
    for member, browser in browsers.items():
        browser.force_login(member)

    for path in files:
        hers, theirs = (browsers[each].get(path) for each in (alice, mallory))
        assert hers.status_code == theirs.status_code == 200
        assert _handle_of(alice) in hers.text
        assert _handle_of(mallory) in theirs.text
        assert _handle_of(alice) not in theirs.text
        assert Client().get(path).status_code == 302
    # She has no account in this currency, and is not told who has.
    assert (
        browsers[mallory].get("/account/solvency/1/cny-proof.json").status_code == 404
    )
    page = browsers[mallory].get("/account/solvency")
    assert _handle_of(mallory) in page.text
    assert _handle_of(alice) not in page.text


def _handle_of(member: Member) -> str:
    root = lookup.root(1, "btc")
    return lookup.proof_of(member_id=member.pk, root=root).user


@pytest.mark.promise("Q-7")
def test_old_proofs_stay_whatever_becomes_of_the_member(
    alice: Member, bob: Member
) -> None:
    fund(alice, "1 btc")
    publish.prove(now=NOW)
    transfer(alice, bob, "1", "btc")
    Member.objects.filter(pk=alice.pk).update(
        email="gone@example.com", state=Member.State.CLOSED
    )
    publish.prove(now=NOW + 5 * 365 * DAY)

    assert proven(alice, number=1) == 10**8
    assert proven(alice, number=2) == 0
    for table in ("proof", "root"):
        for statement in (
            f"UPDATE wallets_{table} SET id = id + 1",
            f"DELETE FROM wallets_{table}",
            f"TRUNCATE wallets_{table} CASCADE",
        ):
            with pytest.raises(DatabaseError):
                rows.write(statement)
            with pytest.raises(DatabaseError, match="append-only"):
                rows.write_as_owner(statement)


@pytest.mark.promise("Q-9")
def test_everybody_is_shown_the_same_chain(alice: Member, mallory: Member) -> None:
    fund(alice, "1 btc")
    proofs = [publish.prove(now=NOW + days * DAY) for days in range(3)]
    visitors = [Client(), Client(), Client()]
    visitors[1].force_login(alice)
    visitors[2].force_login(mallory)

    chains = [
        [visitor.get(f"/solvency/{each.number}/manifest.json").text for each in proofs]
        for visitor in visitors
    ]
    older = {visitor.get("/solvency/btc-root.json").text for visitor in visitors}
    pages = [visitor.get("/solvency").text for visitor in visitors]

    assert chains[0] == chains[1] == chains[2]
    manifest.check_chain(chains[0])
    assert older == {told(proofs[-1])["legacy"]}
    assert all(each.hash in page for page in pages for each in proofs)


def test_the_first_page_names_the_root_files(alice: Member) -> None:
    fund(alice, "1 btc")
    assert "x-liabilities-proof-root" not in Client().get("/").text

    publish.prove(now=NOW)

    tag = '<meta name="x-liabilities-proof-root" data="/solvency/btc-root.json">'
    assert tag in Client().get("/").text


def test_the_published_list_is_the_one_that_the_manifest_names(alice: Member) -> None:
    fund(alice, "1 btc")
    proof = publish.prove(now=NOW)

    answer: Any = Client().get("/solvency/1/btc-leaves.bin")

    named = told(proof)
    content = b"".join(answer.streaming_content)
    answer.close()
    assert hashlib.sha256(content).hexdigest() == named["leaves"]


def test_the_page_brings_along_all_that_its_script_checks(
    alice: Member, tmp_path: Path
) -> None:
    fund(alice, "1.5 btc", "100 cny")
    publish.prove(now=NOW)
    browser = Client()
    browser.force_login(alice)

    page = browser.get("/account/solvency").text

    (text,) = re.findall(r'<script id="files"[^>]*>(.*?)</script>', page)
    files = json.loads(unescape(text))
    told_of = manifest.opened(files["manifest"])
    amounts = dict(re.findall(r'data-currency="(\w+)" data-amount="([\d.]+)"', page))
    assert amounts == {"btc": "1.5", "cny": "100"}
    assert [each["currency"] for each in files["proofs"]] == list(amounts)
    for each in files["proofs"]:
        assert (
            legacy.verify(each["partial_tree"], each["root"]).sum
            == (amounts[each["currency"]])
        )
        assert each["root"] in [asset["legacy"] for asset in told_of["assets"]]


def test_a_proof_is_of_one_time_for_everybody(alice: Member) -> None:
    fund(alice, "1 btc")
    publish.prove(now=NOW)
    Member.objects.filter(pk=alice.pk).update(time_zone="Asia/Shanghai")
    browser = Client()
    browser.force_login(alice)

    for path in ("/solvency", "/account/solvency"):
        page = browser.get(path).text
        assert f"Proof 1, of {NOW:%Y-%m-%d %H:%M:%S} UTC" in page
    assert f">{NOW:%Y-%m-%d %H:%M:%S}<" in browser.get("/solvency").text


# --- What we hold --------------------------------------------------------------------


class Node:
    """A node of a chain: what it has is on addresses, until somebody takes it."""

    def __init__(self, **holdings: str) -> None:
        self.holdings = holdings
        self.challenges: list[str] = []
        self.is_away = False

    def state(self, *, challenge: str) -> Statement:
        if self.is_away:
            raise UpstreamError("away")
        self.challenges.append(challenge)
        return Statement(
            currency="btc",
            height=840_000,
            block_hash="00" * 32,
            holdings=tuple(
                Holding(address, Decimal(amount))
                for address, amount in self.holdings.items()
            ),
        )


@pytest.fixture
def btc_node() -> Iterator[Node]:
    node = Node(address_one="1.0", address_two="0.5")
    assets.sources["btc"] = node
    yield node
    del assets.sources["btc"]


@pytest.mark.promise("Q-11", "I-13")
def test_missing_coins_turn_the_page_red_within_one_run(
    alice: Member, btc_node: Node
) -> None:
    fund(alice, "1.5 btc", "7 cny")
    covered = publish.prove(now=NOW)
    assert told(covered)["holdings"]["total"] == "1.5"
    assert btc_node.challenges == [covered.salt]
    assert "insolvent" not in Client().get("/solvency").text
    assert assets.uncovered() == []

    del btc_node.holdings["address_two"]
    short = publish.prove(now=NOW + DAY)

    page = Client().get("/solvency").text
    assert 'class="sheet insolvent" role="alert"' in page
    assert "−0.5" in page
    assert [root.currency_id for root in assets.uncovered()] == ["btc"]
    alarm = AuditRecord.objects.get(action="insolvent", is_alarm=True)
    assert alarm.facts == {"owed": "1.5", "held": "1.0"}
    text = Client().get("/solvency/2/btc-assets.json").text
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == (told(short)["holdings"]["statement"])
    )
    # What was covered once still is, and what is not stays so.
    assert "insolvent" not in Client().get("/solvency?proof=1").text
    with pytest.raises(CommandError, match="less than we owe: btc"):
        call_command("prove_solvency", stdout=StringIO())


@pytest.mark.promise("Q-11")
def test_a_node_that_is_away_is_an_alarm_and_no_statement(
    alice: Member, btc_node: Node
) -> None:
    fund(alice, "1 btc")
    btc_node.is_away = True

    proof = publish.prove(now=NOW)

    assert told(proof)["holdings"] is None
    assert lookup.root(1, "btc").is_covered is None
    assert AuditRecord.objects.filter(action="holdings_unknown", is_alarm=True).exists()
    assert "nobody outside our books" in Client().get("/solvency").text


def test_it_says_what_it_holds_without_setting_currencies_off(
    alice: Member, btc_node: Node
) -> None:
    btc_node.holdings = {"address": "1000000"}
    fund(alice, "1 btc", "1000000 cny")

    publish.prove(now=NOW)

    assert lookup.root(1, "btc").is_covered
    assert lookup.root(1, "cny").is_covered is None


# --- Runs ----------------------------------------------------------------------------


def test_it_proves_once_a_day(alice: Member) -> None:
    fund(alice, "1 btc")

    assert tasks.prove_solvency() == 1
    assert tasks.prove_solvency() == 0

    assert Proof.objects.count() == 1
    out = StringIO()
    call_command("prove_solvency", "--if-due", stdout=out)
    assert "There is a proof of today" in out.getvalue()


@pytest.mark.promise("Q-10")
def test_many_currencies_are_planted_in_processes_of_their_own(
    alice: Member, bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    fund(alice, "1.5 btc", "100 cny")
    fund(bob, "2 btc", "3 ltc")
    # As if they were a million; and here, nothing can be planted.
    monkeypatch.setattr(planting, "_ALONE_MAX", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(tree, "plant", None)

    publish.prove(now=NOW)

    assert (proven(alice), proven(bob)) == (150_000_000, 200_000_000)
    assert proven(alice, "cny") == 10_000_000_000
    assert proven(bob, "ltc") == 300_000_000


def test_it_refuses_a_second_proof_of_the_same_second(alice: Member) -> None:
    fund(alice, "1 btc")
    publish.prove(now=NOW)

    with pytest.raises(publish.AlreadyProven):
        publish.prove(now=NOW)

    assert Proof.objects.count() == 1


def test_one_run_is_at_work_at_a_time(alice: Member) -> None:
    fund(alice, "1 btc")
    met: list[str] = []

    def another() -> None:
        try:
            publish.prove(now=NOW)
        except Busy:
            met.append("busy")
        connections.close_all()

    with publish._only_one():
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()

    assert met == ["busy"]
    assert publish.prove(now=NOW).number == 1


def test_a_run_that_dies_leaves_nothing_that_anybody_sees(
    alice: Member, solvency_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fund(alice, "1 btc")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(places, "write_members", die)
        with pytest.raises(KeyboardInterrupt):
            publish.prove(now=NOW)
    assert not Proof.objects.exists()
    assert [path.name[0] for path in solvency_dir.iterdir()] == ["."]

    proof = publish.prove(now=NOW)

    assert [path.name for path in solvency_dir.iterdir()] == [proof.folder]
    assert solvency_dir.stat().st_mode & 0o077 == 0
    assert proven(alice) == 10**8


def test_an_exchange_without_members_proves_that_it_owes_nothing(db: None) -> None:
    proof = publish.prove(now=NOW)

    assert manifest.opened(proof.envelope)["assets"] == []
    assert Client().get("/solvency").status_code == 200


def test_a_tree_is_as_deep_as_the_deepest_of_its_year(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    fund(alice, "1 btc")
    with monkeypatch.context() as patch:
        patch.setattr(tree, "DEPTH_MIN", 12)  # as if there had been more members
        publish.prove(now=NOW)

    days = (DAY, 365 * DAY)
    proofs = [publish.prove(now=NOW + later) for later in days]

    assert [told(proof)["depth"] for proof in proofs] == [12, tree.DEPTH_MIN]
    assert proven(alice, number=2) == proven(alice, number=3) == 10**8


# --- What it does not say ------------------------------------------------------------


@pytest.mark.promise("Q-12")
def test_nothing_about_members_shows_in_the_order_or_size_of_leaves() -> None:
    count, amount = 4000, 10**9
    planted = tree.plant(
        asset="BTC",
        snapshot="s",
        users=[str(number) for number in range(count)],
        amounts=[amount] * count,
        nonce=lambda holder, part: b"%16d%16d" % (holder, part),
        pad=lambda place: b"%32d" % place,
    )
    starts = planted.starts
    holders = [
        holder
        for holder in range(count)
        for _ in range(starts[holder], starts[holder + 1])
    ]
    parts = [
        part
        for holder in range(count)
        for part in range(starts[holder + 1] - starts[holder])
    ]
    sizes = [
        levels.RECORD.unpack_from(planted.ground, place * levels.SIZE)[1]
        for place in planted.places
    ]
    boxes = [place * 8 // 2**planted.depth for place in planted.places]
    ranks = [min(7, size * 8 // amount) for size in sizes]
    early = [holder < count // 2 for holder in holders]

    assert chi_square(early, boxes) < LIMIT
    assert chi_square(early, ranks) < LIMIT
    # Neither where a leaf is nor its number among its owner's says how large it is.
    assert chi_square([box < 4 for box in boxes], ranks) < LIMIT
    of_two = [
        (part, rank)
        for holder, part, rank in zip(holders, parts, ranks, strict=True)
        if starts[holder + 1] - starts[holder] == 2
    ]
    assert chi_square([part == 0 for part, _ in of_two], [r for _, r in of_two]) < LIMIT
    # The control: leaves in the order of members would be found out.
    assert chi_square(early, sorted(boxes)) > LIMIT


# Of chi-square with 7 degrees of freedom: passed by chance once in a million runs.
LIMIT = 40


def chi_square(sides: list[bool], boxes: list[int]) -> int:
    """How far two halves are from being spread alike over eight boxes."""
    found = Decimal(0)
    for box in range(8):
        inside = boxes.count(box)
        for side in (True, False):
            expected = Decimal(inside * sides.count(side)) / len(sides)
            seen = sum(
                1 for s, b in zip(sides, boxes, strict=True) if s == side and b == box
            )
            found += (seen - expected) ** 2 / expected if expected else 0
    return int(found)
