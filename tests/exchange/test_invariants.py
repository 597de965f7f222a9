"""Each check finds the break it is for; and sound books break none."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Model
from django.utils import timezone

from accounts import proofs, tickets
from accounts.models.identity import CaseOpening, IdentityCase
from accounts.models.members import Member
from accounts.models.proofs import Proof
from accounts.models.sign_ins import SignIn
from exchange import invariants
from exchange.lib import audit, audit_chain
from exchange.lib.databases import append_only_models
from exchange.lib.transactions import transaction
from tests import rows
from tests.makers import fund, make_token
from tests.markets.desk import Desk
from wallets.models.bank import BankChannel, BankReference, BankStatement
from wallets.models.hot import Reconciliation
from wallets.models.ledger import Posting
from wallets.models.solvency import Statement
from wallets.models.transfers import Transfer
from wallets.models.withdrawals import (
    Approval,
    Beneficiary,
    Finding,
    Payout,
    PayoutTransaction,
    SpentCoin,
    Withdrawal,
)
from wallets.solvency import publish

_COLUMNS = (
    "at, amount, source_id, source_pocket, target_id, target_pocket, reason, reference"
)
_ENTRY = f"INSERT INTO wallets_entry ({_COLUMNS})"
_UNBOUND = "ALTER TABLE wallets_balance DROP CONSTRAINT {}_is_never_negative;"

_NTH = "(SELECT record_id FROM lib_auditlink WHERE seq = {n})"

# What a hand in the tables could do, and who finds it. {bob} is Bob's id, {bob_cny} his
# account.
_WITHDRAWAL = (
    "WITH b AS (INSERT INTO wallets_beneficiary (member_id, currency_id, label,"
    " destination, bank, holder, state, created_at) VALUES"
    " ({{bob}}, 'btc', '', 'x', '', '', 'unconfirmed', now()) RETURNING id)"
    " INSERT INTO wallets_withdrawal (member_id, currency_id, beneficiary_id,"
    " destination, amount, fee, net, value, state, doubts, note, created_at,"
    " updated_at, payout_id, txid, confirmations, returns)"
    " SELECT {{bob}}, 'btc', id, 'x', 1, 0, 1, 0, '{0}', '[]', '', now(), now(), {1},"
    " '', 0, 0 FROM b"
)
_PAYOUT = (
    "INSERT INTO wallets_payout (currency_id, state, created_at, fence, problem,"
    " wants_higher_fee, fee) VALUES ('btc', '{0}', now(), 0, '', false, {1})"
)

BREAKS: list[tuple[str, str]] = [
    (
        "unbalanced_currencies",
        "UPDATE wallets_account SET currency_id = 'usd' WHERE id = {bob_cny}",
    ),
    (
        "entries_astray",
        f"{_ENTRY} VALUES (now(), 1, 998, 'a', 999, 'a', 'transfer', 'x')",
    ),
    (
        "entries_too_fine",
        "UPDATE wallets_entry SET amount = amount + 0.000000001 WHERE reason = 'grant'",
    ),
    # Mallory is paid instead of Alice; the fee is hers; the difference is nobody's; a
    # leg is there twice; a fee is smaller.
    (
        "trades_unlike_entries",
        (
            "UPDATE wallets_entry SET target_id = {mallory_cny}"
            " WHERE reason = 'trade' AND target_id = {alice_cny}"
        ),
    ),
    (
        "trades_unlike_entries",
        (
            "UPDATE wallets_entry SET target_id = {mallory_cny}"
            " WHERE reason = 'fee' AND source_id = {bob_cny}"
        ),
    ),
    (
        "trades_unlike_entries",
        "DELETE FROM wallets_entry WHERE reason = 'price_improvement'",
    ),
    (
        "trades_unlike_entries",
        f"{_ENTRY} SELECT {_COLUMNS} FROM wallets_entry WHERE reason = 'fee' LIMIT 1",
    ),
    (
        "trades_unlike_entries",
        "UPDATE wallets_entry SET amount = amount * 2 WHERE reason = 'fee'",
    ),
    (
        "deposits_unlike_entries",
        (
            "INSERT INTO wallets_deposit (currency_id, address, txid, vout, amount,"
            " state, confirmations, required, block_hash, credits, seen_at,"
            " credited_at) VALUES ('btc', 'a', 'b', 0, 1, 'credited', 1, 1, '', 1,"
            " now(), now())"
        ),
    ),
    # A transfer that was never booked, and an entry of none.
    (
        "transfers_unlike_entries",
        (
            "INSERT INTO wallets_transfer (sender_id, recipient_id, currency_id,"
            " amount, value, is_by_address, note, at, token_id) SELECT {bob}, id,"
            " 'cny', 1, 1, false, '', now(), {key} FROM accounts_member"
            " WHERE id <> {bob} LIMIT 1"
        ),
    ),
    (
        "transfers_unlike_entries",
        (
            f"{_ENTRY} VALUES (now(), 1, {{bob_cny}}, 'a', {{alice_cny}}, 'a',"
            " 'transfer', 'transfer:1')"
        ),
    ),
    # Currency out of nothing: by nobody's word, by one operator's, by a wrong reason.
    (
        "adjustments_unlike_entries",
        (
            f"{_ENTRY} SELECT now(), 1, id, 'a', {{bob_cny}}, 'a', 'adjustment',"
            " 'adjustment:1' FROM wallets_account WHERE house = 'grants'"
            " AND currency_id = 'cny'"
        ),
    ),
    (
        "adjustments_unlike_entries",
        (
            "ALTER TABLE wallets_adjustment"
            " DROP CONSTRAINT adjustments_take_two_operators;"
            "INSERT INTO wallets_adjustment (currency_id, amount, reason, state,"
            " proposer_id, proposed_at, decider_id, decided_at, note) VALUES ('cny', 1,"
            " '', 'booked', {bob}, now(), {bob}, now(), '')"
        ),
    ),
    (
        "adjustments_unlike_entries",
        (
            "INSERT INTO wallets_adjustment (currency_id, amount, reason, state,"
            " proposer_id, proposed_at, decider_id, decided_at, note) SELECT 'cny', -1,"
            " '', 'booked', {bob}, now(), id, now(), '' FROM accounts_member"
            " WHERE id <> {bob} LIMIT 1"
        ),
    ),
    (
        "issued_otherwise",
        (
            f"{_ENTRY} SELECT now(), 1, id, 'a', {{bob_cny}}, 'a', 'deposit',"
            " 'deposit:1' FROM wallets_account WHERE house = 'grants'"
            " AND currency_id = 'cny'"
        ),
    ),
    (
        "balances_unlike_entries",
        (
            "UPDATE wallets_balance SET available = available + 1"
            " WHERE account_id = {bob_cny}"
        ),
    ),
    (
        "balances_unlike_entries",
        (
            "UPDATE wallets_balance SET available = available - 1, locked = locked + 1"
            " WHERE account_id = {bob_cny}"
        ),
    ),
    (
        "balances_unlike_entries",
        "DELETE FROM wallets_balance WHERE account_id = {bob_cny}",
    ),
    (
        "below_zero",
        _UNBOUND.format("available")
        + "UPDATE wallets_balance SET available = -8 WHERE account_id = {bob_cny}",
    ),
    (
        "below_zero",
        _UNBOUND.format("locked")
        + "UPDATE wallets_balance SET locked = 'NaN' WHERE account_id = {bob_cny}",
    ),
    # The house gives more than it earned.
    (
        "below_zero",
        (
            f"{_ENTRY} SELECT now(), 100, id, 'a', {{bob_cny}}, 'a', 'transfer', 'x'"
            " FROM wallets_account WHERE house = 'fees' AND currency_id = 'cny'"
        ),
    ),
    (
        "locks_without_orders",
        (
            "UPDATE markets_order SET locked = locked + 1, locked_at_first = 1000"
            " WHERE state = 'open' AND side = 'buy'"
        ),
    ),
    ("locks_without_orders", _WITHDRAWAL.format("approved", "NULL")),
    ("withdrawals_unlike_payouts", _WITHDRAWAL.format("broadcast", "NULL")),
    # Confirmed without a payout, or lost, and nobody has said so.
    ("withdrawals_unlike_payouts", _WITHDRAWAL.format("confirmed", "NULL")),
    ("withdrawals_unlike_payouts", _PAYOUT.format("lost", "NULL")),
    ("withdrawals_unlike_entries", _WITHDRAWAL.format("broadcast", "NULL")),
    # Money was never set aside; an order's lock passes for that of a withdrawal.
    ("withdrawals_unlike_states", _WITHDRAWAL.format("refused", "NULL")),
    (
        "withdrawals_unlike_states",
        (
            "UPDATE wallets_entry SET reason = 'withdrawal_closed'"
            " WHERE reason = 'order_closed'"
        ),
    ),
    (
        "payouts_unlike_entries",
        _PAYOUT.format("confirmed", "1"),
    ),
    (
        "payouts_unlike_entries",
        (
            "INSERT INTO wallets_foreignsend (currency_id, txid, outputs, found_at,"
            " accepted_by, fee) VALUES ('btc', 'x', '[]', now(), '', 1)"
        ),
    ),
    # A move between our wallets that was never booked, and an entry of none.
    (
        "treasury_unlike_entries",
        (
            "INSERT INTO wallets_treasurymove (currency_id, kind, amount, state,"
            " proposer_id, approver_id, created_at, updated_at, plan, psbt, raw, txid,"
            " fee, problem) SELECT 'btc', 'sweep', 1, 'confirmed', {bob}, id, now(),"
            " now(), '{{}}', '', 'a', 'a', 0, '' FROM accounts_member"
            " WHERE id <> {bob} LIMIT 1"
        ),
    ),
    (
        "treasury_unlike_entries",
        (
            f"{_ENTRY} SELECT now(), 1, id, 'a', {{bob_cny}}, 'a', 'sweep',"
            " 'treasury:1' FROM wallets_account WHERE house = 'grants'"
            " AND currency_id = 'cny'"
        ),
    ),
    # A bank paid nothing of it; a line is credited to nobody's account.
    (
        "bank_unlike_entries",
        _WITHDRAWAL.format("confirmed", "NULL").replace("'btc'", "'cny'"),
    ),
    (
        "bank_unlike_entries",
        (
            "WITH c AS (INSERT INTO wallets_bankchannel (currency_id, name, holder,"
            " account, bank, note, takes_deposits, pays_withdrawals, deposit_min,"
            " is_practice, column_bank_id, column_date, column_amount, column_payer,"
            " column_payer_account, column_text, delimiter, date_format, decimal_mark)"
            " VALUES ('cny', 'x', 'x', 'x', 'x', '', true, true, 0, false, 'a', 'b',"
            " 'c', '', '', '', ',', 'd', '.') RETURNING id)"
            " INSERT INTO wallets_bankline (channel_id, entered_by, bank_txid,"
            " booked_on, amount, payer, payer_account, text, state, member_id, doubts,"
            " matched_by, created_at, credited_at) SELECT id, '', 'x', now(), 1, '',"
            " '', '', 'credited', {bob}, '[]', '', now(), now() FROM c"
        ),
    ),
    # In no bank's hands.
    (
        "bank_unlike_states",
        _WITHDRAWAL.format("building", "NULL").replace("'btc'", "'cny'"),
    ),
    (
        "orders_unlike_trades",
        "UPDATE markets_order SET fees = fees + 1 WHERE state = 'filled'",
    ),
    ("orders_unlike_trades", "DELETE FROM markets_order WHERE state = 'filled'"),
    # A lock ends twice; an order is never paid for.
    (
        "orders_unlike_entries",
        f"{_ENTRY} SELECT {_COLUMNS} FROM wallets_entry WHERE reason = 'order_closed'",
    ),
    (
        "orders_unlike_entries",
        "DELETE FROM wallets_entry WHERE reason = 'order_placed'",
    ),
    (
        "orders_in_disorder",
        "UPDATE markets_order SET state = 'filled', locked = 0 WHERE state = 'open'",
    ),
    ("orders_in_disorder", "UPDATE markets_order SET seq = NULL WHERE state = 'open'"),
    (
        "trades_beyond_limits",
        "UPDATE markets_order SET price_limit = 1 WHERE state = 'filled'",
    ),
    ("trades_beyond_limits", "UPDATE markets_order SET member_id = {bob}"),
    (
        "crossed_books",
        "UPDATE markets_order SET price = 500 WHERE state = 'open' AND side = 'buy'",
    ),
    ("journals_with_gaps", "DELETE FROM markets_command WHERE seq = 2"),
    ("journals_with_gaps", "UPDATE markets_command SET seq = 0 WHERE seq = 2"),
    ("journals_with_gaps", "UPDATE markets_floor SET settled_seq = settled_seq + 1"),
    ("miscounted_open_orders", "UPDATE markets_openorders SET count = count + 1"),
    ("candles_unlike_trades", "UPDATE markets_candle SET high = high + 1"),
    ("candles_unlike_trades", "DELETE FROM markets_candle"),
    (
        "journals_unlike_trades",
        "UPDATE markets_trade SET amount = 0.1, funds = price * 0.1",
    ),
    ("journals_unlike_trades", "DELETE FROM markets_trade"),
    # The trail: edited, deleted, reordered, cut off; before the checkpoint or after.
    *(
        (check, deed.format(n=n))
        for check, n in (("links_ever_astray", 2), ("links_astray", 5))
        for deed in (
            f"UPDATE lib_auditrecord SET actor = 'member:0' WHERE id = {_NTH}",
            f"UPDATE lib_auditrecord SET facts = '[]' WHERE id = {_NTH}",
            f"UPDATE lib_auditrecord SET at = at - interval '1 us' WHERE id = {_NTH}",
            f"DELETE FROM lib_auditrecord WHERE id = {_NTH}",
            "DELETE FROM lib_auditlink WHERE seq = {n}",
            "UPDATE lib_auditlink SET at = now() WHERE seq = {n}",
            f"UPDATE lib_auditlink SET hash = '{'0' * 64}' WHERE seq = {{n}}",
            # Two records change places.
            (
                "ALTER TABLE lib_auditlink DROP CONSTRAINT lib_auditlink_record_id_key;"
                "UPDATE lib_auditlink SET record_id = CASE seq WHEN {n} THEN"
                " (SELECT record_id FROM lib_auditlink WHERE seq = {n} + 1) ELSE"
                " (SELECT record_id FROM lib_auditlink WHERE seq = {n}) END"
                " WHERE seq IN ({n}, {n} + 1)"
            ),
        )
    ),
    (
        "checkpoints_astray",
        (
            "DELETE FROM lib_auditrecord WHERE id IN"
            " (SELECT record_id FROM lib_auditlink WHERE seq >= 4);"
            "DELETE FROM lib_auditlink WHERE seq >= 4"
        ),
    ),
    ("checkpoints_astray", "UPDATE lib_auditcheckpoint SET hash = 'a'"),
    (
        "records_unchained",
        (
            "DELETE FROM lib_auditlink;"
            "UPDATE lib_auditrecord SET at = at - interval '3 minutes'"
        ),
    ),
    # An order is lost from the book; a queue stands in another order.
    (
        "journals_unlike_trades",
        (
            "UPDATE markets_order SET state = 'cancelled', locked = 0"
            " WHERE state = 'open' AND side = 'sell'"
        ),
    ),
    (
        "journals_unlike_trades",
        "UPDATE markets_order SET seq = 100 - seq WHERE state = 'open'",
    ),
]


@pytest.fixture
def market(alice: Member, bob: Member, mallory: Member) -> dict[str, Any]:
    """A market that has seen trades, cancels, and orders of all ends."""
    desk = Desk()
    for member in (alice, bob, mallory):
        fund(member, "10 btc", "5000 cny")
    desk.sell(alice, "1", at="100")
    desk.buy(bob, "0.5", at="110")
    desk.buy(bob, "1", at="90")
    desk.buy(mallory, "1", at="90")
    gone = desk.sell(mallory, "1", at="120")
    desk.run()
    desk.cancel(gone)
    desk.run()
    for number in range(1, 7):
        audit.record("system", f"deed_{number}", "market:btccny")
        # A checkpoint after the fourth link, and two more after it.
        audit_chain.chain(now=timezone.now())
        if number == 1:
            audit_chain.set_checkpoint(now=timezone.now())
    accounts = rows.read(
        "SELECT split_part(member.email, '@', 1) || '_' || currency_id, account.id"
        " FROM wallets_account AS account"
        " JOIN accounts_member AS member ON member.id = account.member_id"
    )
    key = make_token(bob).token.pk
    return {"bob": bob.pk, "key": key} | dict(accounts)


@pytest.mark.promise("I-1", "I-2", "I-3", "I-4", "I-5", "I-6", "I-7", "I-8", "I-9")
@pytest.mark.promise("I-10", "I-18", "I-19", "I-20", "R-51", "S-81")
def test_it_finds_what_is_broken(market: dict[str, Any]) -> None:
    checks = invariants.CHECKS + invariants.REPLAYS

    for check, deed in BREAKS:
        with rows.planted(deed.format(**market)):
            found = {each.__name__ for _, each in checks if each()}
        assert check in found, deed

    assert invariants.check_all() == []


def test_it_tries_every_check() -> None:
    checks = {check.__name__ for _, check in invariants.CHECKS + invariants.REPLAYS}

    assert checks == {check for check, _ in BREAKS}


def test_it_says_what_is_broken_in_one_line() -> None:
    found = invariants.Break("I-3", "below_zero", "(1, -8)")

    assert found.as_json() == {
        "invariant": "I-3",
        "check": "below_zero",
        "what": "(1, -8)",
    }


@pytest.mark.broken_books
@pytest.mark.promise("I-16", "R-5", "R-34")
def test_it_keeps_history_as_it_was_written(
    market: dict[str, Any],
    alice: Member,
    olive: Member,
    settings: Any,
    tmp_path: Path,
) -> None:
    settings.SOLVENCY_DIR = tmp_path / "solvency"
    audit.record("member:1", "looked", "market:btccny")
    with transaction():
        proofs.record(
            member=alice,
            session_key="a",
            purpose=Proof.Purpose.SECURITY,
            factor=Proof.Factor.TOTP,
            now=timezone.now(),
        )
    tickets.ask(member=alice, subject="a", text="b", files=[], now=timezone.now())
    SignIn.objects.create(member=alice, outcome="admitted")
    case = IdentityCase.objects.create(member=alice)
    CaseOpening.objects.create(case=case, operator=olive, reason="the queue")
    _pay_out(alice, olive)
    _know_by_bank(alice)
    root = publish.prove(now=timezone.now()).roots.order_by("pk")[0]
    Statement.objects.create(root=root, height=1, block_hash="a", total=1, text="a")
    tables = {
        model._meta.db_table: _some_column(model) for model in append_only_models()
    }
    before = rows.dump()

    assert {"wallets_entry", "markets_trade", "markets_command"} < set(tables)
    assert len(tables) == 22
    for table, column in tables.items():
        assert before[table]
        for deed in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(Exception, match="permission denied"):
                rows.write(deed)
            with pytest.raises(Exception, match="append-only"):
                rows.write_as_owner(deed)
    assert rows.dump() == before


def _pay_out(member: Member, operator: Member) -> None:
    """Write a payout's rows, without the money."""
    now, one = timezone.now(), Decimal(1)
    Posting.objects.create(cause="test:1", at=now)
    payout = Payout.objects.create(currency_id="btc", state="given_up", created_at=now)
    PayoutTransaction.objects.create(
        payout=payout, txid="a", paid=one, fee=0, size=1, at=now
    )
    SpentCoin.objects.create(
        payout=payout, currency_id="btc", txid="a", vout=0, amount=one
    )
    Reconciliation.objects.create(
        currency_id="btc",
        height=1,
        block_hash="a",
        at=now,
        on_chain=0,
        in_books=0,
        unexplained=0,
    )
    beneficiary = Beneficiary.objects.create(
        member=member, currency_id="btc", destination="a", created_at=now
    )
    withdrawal = Withdrawal.objects.create(
        member=member,
        currency_id="btc",
        beneficiary=beneficiary,
        destination="a",
        amount=one,
        net=one,
        fee=0,
        value=0,
        state="refused",
        created_at=now,
        updated_at=now,
    )
    Approval.objects.create(withdrawal=withdrawal, operator=operator, at=now)
    Transfer.objects.create(
        sender=member,
        recipient=operator,
        currency_id="btc",
        amount=one,
        value=0,
        is_by_address=False,
        token=make_token(member).token,
        at=now,
    )
    Finding.objects.create(withdrawal=withdrawal, operator=operator, at=now)


def _know_by_bank(member: Member) -> None:
    """Write down a code of a member's, and a statement."""
    now = timezone.now()
    channel = BankChannel.objects.create(currency_id="cny", name="a")
    BankReference.objects.create(
        channel=channel, member=member, code="PX", created_at=now
    )
    BankStatement.objects.create(
        channel=channel, sha256="a", imported_at=now, added=0, known=0
    )


def _some_column(model: type[Model]) -> str:
    return str(next(field.column for field in model._meta.fields if field.column))
