"""
The books checked against themselves. Each function returns the rows that break a rule;
an empty list is good news.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

Found = list[tuple[Any, ...]]

# What the entries say each pocket holds: what came in minus what went out.
_SUMS = """
sums AS (
    SELECT account_id, pocket, sum(amount) AS amount FROM (
        SELECT target_id AS account_id, target_pocket AS pocket, amount
        FROM wallets_entry
        UNION ALL
        SELECT source_id, source_pocket, -amount FROM wallets_entry
    ) AS moves GROUP BY account_id, pocket
)
"""


def unbalanced_currencies() -> Found:
    """I-1: over all accounts of a currency the entries sum to zero."""
    return _rows(
        f"""
        WITH {_SUMS}
        SELECT account.currency_id, sum(sums.amount)
        FROM sums JOIN wallets_account AS account ON account.id = sums.account_id
        GROUP BY account.currency_id HAVING sum(sums.amount) <> 0
        """
    )


def entries_astray() -> Found:
    """I-1: every entry joins two existing accounts of one currency."""
    return _rows(
        """
        SELECT entry.id, source.currency_id, target.currency_id
        FROM wallets_entry AS entry
        LEFT JOIN wallets_account AS source ON source.id = entry.source_id
        LEFT JOIN wallets_account AS target ON target.id = entry.target_id
        WHERE source.currency_id IS DISTINCT FROM target.currency_id
            OR source.id IS NULL
        """
    )


def entries_too_fine() -> Found:
    """R-54: no entry has more digits than the ledger keeps of its currency."""
    return _rows(
        """
        SELECT entry.id, entry.amount, currency.code, currency.scale
        FROM wallets_entry AS entry
        JOIN wallets_account AS account ON account.id = entry.source_id
        JOIN wallets_currency AS currency ON currency.code = account.currency_id
        WHERE scale(trim_scale(entry.amount)) > currency.scale
        """
    )


def balances_unlike_entries() -> Found:
    """I-2: a stored balance is the sum of its entries, pocket by pocket."""
    return _rows(
        f"""
        WITH {_SUMS}, pockets AS (
            SELECT account_id, 'a' AS pocket, available AS amount FROM wallets_balance
            UNION ALL SELECT account_id, 'l', locked FROM wallets_balance
        ), kept AS (
            SELECT sums.* FROM sums
            JOIN wallets_account AS account ON account.id = sums.account_id
            WHERE account.member_id IS NOT NULL
        )
        SELECT account_id, pocket, pockets.amount, kept.amount
        FROM pockets FULL JOIN kept USING (account_id, pocket)
        WHERE coalesce(pockets.amount, 0) <> coalesce(kept.amount, 0)
        """
    )


def below_zero() -> Found:
    """I-3: no member's pocket, and no income of the house, is below zero."""
    return _rows(
        f"""
        WITH {_SUMS}
        SELECT account_id, available, locked FROM wallets_balance
        WHERE least(available, locked) < 0
            -- NaN is above every number
            OR greatest(available, locked) >= 'Infinity'
        UNION ALL
        SELECT sums.account_id, sums.amount, 0 FROM sums
        JOIN wallets_account AS account ON account.id = sums.account_id
        WHERE account.house = 'fees' AND sums.amount < 0
        """
    )


def locked_by_member() -> str:
    """
    Return SQL with (member_id, currency_id, locked) per balance, for those who know
    what locks: orders, and later withdrawals.
    """
    return """
        SELECT account.member_id, account.currency_id, balance.locked
        FROM wallets_balance AS balance
        JOIN wallets_account AS account ON account.id = balance.account_id
    """


def deposits_unlike_entries() -> Found:
    """
    I-12: each output is credited as often as its row says, taken back as often as it
    was reversed, and each time by all of its amount.
    """
    return _rows(
        """
        WITH booked AS (
            SELECT split_part(reference, ':', 2)::bigint AS id,
                sum(amount) FILTER (WHERE reason = 'deposit') AS credited,
                sum(amount) FILTER (WHERE reason IN
                    ('deposit_reversed', 'deposit_lost')) AS reversed
            FROM wallets_entry WHERE reference LIKE 'deposit:%'
            GROUP BY 1
        )
        SELECT id, deposit.state, deposit.credits, booked.credited, booked.reversed
        FROM wallets_deposit AS deposit FULL JOIN booked USING (id)
        WHERE coalesce(booked.credited, 0)
                IS DISTINCT FROM deposit.amount * deposit.credits
            OR coalesce(booked.reversed, 0) IS DISTINCT FROM deposit.amount
                * (deposit.credits - (deposit.state = 'credited')::int)
        """
    )


def locked_by_withdrawals() -> str:
    """
    Return SQL with (member_id, currency_id, locked): what withdrawals that are not
    signed yet keep locked.
    """
    return """
        SELECT member_id, currency_id, sum(amount) AS locked FROM wallets_withdrawal
        WHERE state IN ('review', 'approved', 'building') GROUP BY 1, 2
    """


def withdrawals_unlike_payouts() -> Found:
    """
    I-11: a withdrawal that was signed is in one payout, as far as that, which has
    transactions; each of them pays just what its withdrawals are owed.
    """
    return _rows(
        """
        WITH owed AS (
            SELECT payout_id, sum(net) AS net FROM wallets_withdrawal
            WHERE payout_id IS NOT NULL GROUP BY payout_id
        )
        SELECT 'withdrawal', taken.id, taken.state, payout.state
        FROM wallets_withdrawal AS taken
        JOIN wallets_currency AS currency
            ON currency.code = currency_id AND currency.kind = 'coin'
        LEFT JOIN wallets_payout AS payout ON payout.id = payout_id
        WHERE taken.state IN ('building', 'signed', 'broadcast', 'confirmed')
            AND taken.state IS DISTINCT FROM payout.state
        UNION ALL
        SELECT 'payout', payout.id, payout.state, NULL FROM wallets_payout AS payout
        WHERE (payout.state IN ('signed', 'broadcast', 'confirmed')) IS DISTINCT FROM
            EXISTS (SELECT FROM wallets_payouttransaction WHERE payout_id = payout.id)
        UNION ALL
        SELECT 'transaction', sent.id, sent.paid::text, owed.net::text
        FROM wallets_payouttransaction AS sent LEFT JOIN owed USING (payout_id)
        WHERE sent.paid IS DISTINCT FROM owed.net
        """
    )


def withdrawals_unlike_entries() -> Found:
    """
    I-11, I-18: of each withdrawal of a coin, what it pays went into transit and our fee
    to the fees when it was signed, and it left the house when it was confirmed, once.
    """
    booked = moved("withdrawal_signed", "withdrawal_fee", "withdrawal_sent")
    return _rows(
        f"""
        WITH coins AS (
            SELECT code FROM wallets_currency WHERE kind = 'coin'
        ), booked AS (
            SELECT * FROM ({booked}) AS moved (reference, reason, currency_id, source,
                target, amount)
            WHERE currency_id IN (SELECT code FROM coins)
        ), signed AS (
            SELECT * FROM wallets_withdrawal WHERE state IN ('signed', 'broadcast',
                'confirmed') AND currency_id IN (SELECT code FROM coins)
        ), due AS (
            SELECT 'withdrawal:' || id || ':signed' AS reference,
                'withdrawal_signed' AS reason, currency_id, member_id || '/l' AS source,
                'in_transit/a' AS target, net AS amount
            FROM signed
            UNION ALL
            SELECT 'withdrawal:' || id || ':signed', 'withdrawal_fee', currency_id,
                member_id || '/l', 'fees/a', fee
            FROM signed WHERE fee > 0
            UNION ALL
            SELECT 'withdrawal:' || id || ':sent', 'withdrawal_sent', currency_id,
                'in_transit/a', 'hot/a', net
            FROM signed WHERE state = 'confirmed'
        )
        SELECT reference, reason, booked.amount, due.amount
        FROM booked FULL JOIN due USING (reference, reason)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (due.currency_id, due.source, due.target, due.amount)
        """
    )


def bank_unlike_entries() -> Found:
    """
    I-11, I-12, I-18: each line of a bank's was credited and taken back as its row says;
    each withdrawal that a bank paid left the books once, and what came back was given
    back.
    """
    booked = moved("withdrawal_signed", "withdrawal_fee", "withdrawal_sent")
    returned, credited = moved("withdrawal_closed"), moved("deposit")
    return _rows(
        f"""
        WITH lines AS (
            SELECT reference, sum(amount) AS amount FROM wallets_entry
            WHERE split_part(reference, ':', 1) = 'bank_line' AND reason IN
                ('deposit_reversed', 'deposit_lost') GROUP BY reference
        ), due_lines AS (
            SELECT 'bank_line:' || id || ':reversed' AS reference, amount
            FROM wallets_bankline WHERE state = 'reversed'
        ), money AS (
            SELECT code FROM wallets_currency WHERE kind = 'fiat'
        ), booked AS (
            SELECT * FROM ({booked}) AS moved (reference, reason, currency_id, source,
                target, amount)
            WHERE currency_id IN (SELECT code FROM money)
            UNION ALL
            SELECT * FROM ({returned}) AS moved (reference, reason, currency_id, source,
                target, amount)
            WHERE reference LIKE '%:returned'
            UNION ALL
            SELECT * FROM ({credited}) AS moved (reference, reason, currency_id, source,
                target, amount)
            WHERE split_part(reference, ':', 1) = 'bank_line'
        ), paid AS (
            SELECT paid.*, transfer.state AS transfer_state
            FROM wallets_withdrawal AS paid
            LEFT JOIN wallets_banktransfer AS transfer
                ON transfer.withdrawal_id = paid.id AND transfer.paid_at IS NOT NULL
            WHERE paid.state IN ('signed', 'broadcast', 'confirmed')
                AND currency_id IN (SELECT code FROM money)
        ), due AS (
            SELECT 'withdrawal:' || id || ':sent' AS reference,
                'withdrawal_sent' AS reason, currency_id, member_id || '/l' AS source,
                'bank/a' AS target, net AS amount
            FROM paid WHERE transfer_state IS NOT NULL
            UNION ALL
            SELECT 'withdrawal:' || id || ':sent', 'withdrawal_fee', currency_id,
                member_id || '/l', 'fees/a', fee
            FROM paid WHERE fee > 0
            UNION ALL
            SELECT 'withdrawal:' || id || ':returned', 'withdrawal_closed',
                currency_id, 'bank/a', member_id || '/a', net
            FROM paid WHERE transfer_state = 'returned'
            UNION ALL
            SELECT 'bank_line:' || line.id, 'deposit', currency_id, 'bank/a',
                member_id || '/a', amount
            FROM wallets_bankline AS line
            JOIN wallets_bankchannel AS channel ON channel.id = channel_id
            WHERE line.state IN ('credited', 'reversed')
        )
        SELECT reference, 'line', lines.amount, due_lines.amount
        FROM lines FULL JOIN due_lines USING (reference)
        WHERE lines.amount IS DISTINCT FROM due_lines.amount
        UNION ALL
        SELECT reference, reason, booked.amount, due.amount
        FROM booked FULL JOIN due USING (reference, reason)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (due.currency_id, due.source, due.target, due.amount)
        UNION ALL
        SELECT 'withdrawal:' || id, state, net, NULL FROM paid
        WHERE transfer_state IS NULL
        """
    )


def payouts_unlike_entries() -> Found:
    """I-11, I-18: each confirmed payout left the books once, with the miner's fee."""
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("network_fee")}) AS fees (reference, reason,
                currency_id, source, target, amount)
            WHERE reference LIKE 'payout:%'
        ), paid AS (
            SELECT 'payout:' || id || ':sent' AS reference, currency_id, fee
            FROM wallets_payout WHERE state = 'confirmed' AND fee > 0
        )
        SELECT reference, booked.currency_id, booked.amount, paid.fee
        FROM booked FULL JOIN paid USING (reference)
        WHERE booked.amount IS DISTINCT FROM paid.fee
            OR booked.currency_id IS DISTINCT FROM paid.currency_id
            OR (source, target) IS DISTINCT FROM ('network_fees/a', 'hot/a')
        """
    )


def moved(*reasons: str) -> str:
    """
    Return SQL with (reference, reason, currency_id, source, target, amount) for each
    entry of these reasons. Pockets read "7/a" for what member 7 has available, "fees/a"
    for the house.
    """
    wanted = ", ".join(f"'{reason}'" for reason in reasons)
    pocket = "coalesce({0}.member_id::text, {0}.house) || '/' || {0}_pocket"
    return f"""
        SELECT reference, reason, source.currency_id, {pocket.format("source")},
            {pocket.format("target")}, amount
        FROM wallets_entry
        JOIN wallets_account AS source ON source.id = source_id
        JOIN wallets_account AS target ON target.id = target_id
        WHERE reason IN ({wanted})
    """


def _rows(sql: str) -> Found:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
