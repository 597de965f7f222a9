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
            -- What was paid without us, two operators have seen.
            AND NOT (taken.state = 'confirmed' AND payout_id IS NULL AND 2 <=
                (SELECT count(DISTINCT operator_id) FROM wallets_finding AS said
                WHERE said.withdrawal_id = taken.id AND said.txid = taken.txid
                    AND said.txid <> ''))
        UNION ALL
        SELECT 'payout', payout.id, payout.state, NULL FROM wallets_payout AS payout
        WHERE (payout.state IN ('signed', 'broadcast', 'confirmed', 'lost'))
            IS DISTINCT FROM
            EXISTS (SELECT FROM wallets_payouttransaction WHERE payout_id = payout.id)
        UNION ALL
        SELECT 'lost', payout.id, payout.state, NULL FROM wallets_payout AS payout
        WHERE payout.state = 'lost' AND 2 > (SELECT count(DISTINCT operator_id)
            FROM wallets_finding WHERE payout_id = payout.id)
        UNION ALL
        SELECT 'transaction', sent.id, sent.paid::text, owed.net::text
        FROM wallets_payouttransaction AS sent LEFT JOIN owed USING (payout_id)
        JOIN wallets_payout AS payout ON payout.id = payout_id
        WHERE sent.paid IS DISTINCT FROM owed.net
            AND (payout.state <> 'lost' OR owed.net IS NOT NULL)
        """
    )


def withdrawals_unlike_entries() -> Found:
    """
    I-11, I-18: of each withdrawal of a coin, what it pays went into transit and our fee
    to the fees each time it was signed, came back each time that was in vain, and it
    left the house when it was confirmed, once.
    """
    booked = moved(
        *("withdrawal_signed", "withdrawal_fee", "withdrawal_sent"),
        *("withdrawal_returned", "fee_returned"),
    )
    return _rows(
        f"""
        WITH coins AS (
            SELECT code FROM wallets_currency WHERE kind = 'coin'
        ), booked AS (
            SELECT * FROM ({booked}) AS moved (reference, reason, currency_id, source,
                target, amount)
            WHERE currency_id IN (SELECT code FROM coins)
        ), paid AS (
            SELECT *, state IN ('signed', 'broadcast', 'confirmed') AS is_signed
            FROM wallets_withdrawal WHERE currency_id IN (SELECT code FROM coins)
        ), tries AS (
            SELECT id, currency_id, member_id || '/l' AS member, net, fee,
                'withdrawal:' || id || ':' AS cause, try < returns AS is_vain,
                CASE try WHEN 0 THEN '' ELSE ':' || try END AS again
            FROM paid CROSS JOIN LATERAL
                generate_series(0, returns - 1 + is_signed::int) AS try
        ), due AS (
            SELECT cause || 'signed' || again AS reference,
                'withdrawal_signed' AS reason, currency_id, member AS source,
                'in_transit/a' AS target, net AS amount
            FROM tries
            UNION ALL
            SELECT cause || 'signed' || again, 'withdrawal_fee', currency_id, member,
                'fees/a', fee
            FROM tries WHERE fee > 0
            UNION ALL
            SELECT cause || 'returned' || again, 'withdrawal_returned', currency_id,
                'in_transit/a', member, net
            FROM tries WHERE is_vain
            UNION ALL
            SELECT cause || 'returned' || again, 'fee_returned', currency_id, 'fees/a',
                member, fee
            FROM tries WHERE is_vain AND fee > 0
            UNION ALL
            SELECT 'withdrawal:' || id || ':sent', 'withdrawal_sent', currency_id,
                'in_transit/a', 'hot/a', net
            FROM paid WHERE state = 'confirmed'
        )
        SELECT reference, reason, booked.amount, due.amount
        FROM booked FULL JOIN due USING (reference, reason)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (due.currency_id, due.source, due.target, due.amount)
        """
    )


def withdrawals_unlike_states() -> Found:
    """
    I-11: the money of each withdrawal was set aside when it was asked for, once and
    whole, and given back where it came to nothing, and nowhere else.
    """
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("withdrawal_placed", "withdrawal_closed")}) AS moved
                (reference, reason, currency_id, source, target, amount)
            WHERE reference NOT LIKE '%:returned'
        ), due AS (
            SELECT 'withdrawal:' || id || ':placed' AS reference,
                'withdrawal_placed' AS reason, currency_id, member_id || '/a' AS source,
                member_id || '/l' AS target, amount
            FROM wallets_withdrawal
            UNION ALL
            SELECT 'withdrawal:' || id || ':closed', 'withdrawal_closed', currency_id,
                member_id || '/l', member_id || '/a', amount
            FROM wallets_withdrawal WHERE state IN ('cancelled', 'refused')
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


def bank_unlike_states() -> Found:
    """
    I-11, I-12: a withdrawal of money is as far as its transfer; a line that is settled
    is of a transfer of its bank and amount that was paid by its number, or came back,
    once; and what a line took back was its owner's, or the house's.
    """
    return _rows(
        """
        WITH money AS (
            SELECT code FROM wallets_currency WHERE kind = 'fiat'
        ), due AS (
            SELECT transfer.id, withdrawal_id, CASE
                WHEN transfer.state = 'taken' THEN 'building'
                WHEN paid_at IS NOT NULL THEN 'confirmed' END AS state
            FROM wallets_banktransfer AS transfer
        )
        SELECT 'transfer', due.id, due.state, paid.state
        FROM due JOIN wallets_withdrawal AS paid ON paid.id = withdrawal_id
        WHERE due.state <> paid.state
        UNION ALL
        SELECT 'withdrawal', id, state, NULL FROM wallets_withdrawal
        WHERE state = 'building' AND currency_id IN (SELECT code FROM money)
            AND id NOT IN (SELECT withdrawal_id FROM due WHERE state = 'building')
        UNION ALL
        SELECT 'line', line.id, line.state, transfer.state
        FROM wallets_bankline AS line
        JOIN wallets_banktransfer AS transfer ON transfer.id = transfer_id
        JOIN wallets_withdrawal AS paid ON paid.id = withdrawal_id
        WHERE line.state = 'settled' AND (abs(line.amount) <> paid.net
            OR line.channel_id <> transfer.channel_id
            OR CASE WHEN line.amount < 0
                THEN transfer.bank_txid IS DISTINCT FROM line.bank_txid
                ELSE transfer.state <> 'returned' END)
        UNION ALL
        SELECT 'returns', transfer_id, count(*)::text, NULL FROM wallets_bankline
        WHERE state = 'settled' AND amount > 0
        GROUP BY transfer_id HAVING count(*) > 1
        UNION ALL
        SELECT 'entry', entry.id, entry.reference, source.member_id::text
        FROM wallets_entry AS entry
        JOIN wallets_account AS source ON source.id = entry.source_id
        LEFT JOIN wallets_bankline AS line
            ON entry.reference = 'bank_line:' || line.id || ':reversed'
        WHERE entry.reason = 'deposit_reversed' AND entry.reference LIKE 'bank_line:%'
            AND source.member_id IS DISTINCT FROM line.member_id
        """
    )


def payouts_unlike_entries() -> Found:
    """
    I-11, I-18: each confirmed payout left the books once, with the miner's fee; and so
    did what was found to be paid without us.
    """
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("network_fee")}) AS fees (reference, reason,
                currency_id, source, target, amount)
            WHERE reference NOT LIKE 'treasury:%'
        ), paid AS (
            SELECT 'payout:' || id || ':sent' AS reference, currency_id, fee
            FROM wallets_payout WHERE state = 'confirmed' AND fee > 0
            UNION ALL
            SELECT 'foreign:' || id || ':fee', currency_id, fee
            FROM wallets_foreignsend WHERE fee > 0
        )
        SELECT reference, booked.currency_id, booked.amount, paid.fee
        FROM booked FULL JOIN paid USING (reference)
        WHERE booked.amount IS DISTINCT FROM paid.fee
            OR booked.currency_id IS DISTINCT FROM paid.currency_id
            OR (source, target) IS DISTINCT FROM ('network_fees/a', 'hot/a')
        """
    )


def transfers_unlike_entries() -> Found:
    """I-2: each transfer was booked once, from its sender to its recipient."""
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("transfer")}) AS moved (reference, reason,
                currency_id, source, target, amount)
        ), told AS (
            SELECT 'transfer:' || id AS reference, currency_id,
                sender_id || '/a' AS source, recipient_id || '/a' AS target, amount
            FROM wallets_transfer
        )
        SELECT reference, booked.source, booked.target, booked.amount, told.amount
        FROM booked FULL JOIN told USING (reference)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (told.currency_id, told.source, told.target, told.amount)
        """
    )


def adjustments_unlike_entries() -> Found:
    """
    I-19: each correction that was booked was approved by a second operator, and booked
    once, between the account it names and the house's equity; and nothing else was.
    """
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("adjustment")}) AS moved (reference, reason,
                currency_id, source, target, amount)
        ), approved AS (
            SELECT 'adjustment:' || id AS reference, currency_id, abs(amount) AS amount,
                coalesce(member_id::text, 'suspense') || '/a' AS account, amount > 0
                AS is_credit
            FROM wallets_adjustment
            WHERE state = 'booked' AND decider_id <> proposer_id
        ), due AS (
            SELECT reference, currency_id, amount,
                CASE WHEN is_credit THEN 'adjustments/a' ELSE account END AS source,
                CASE WHEN is_credit THEN account ELSE 'adjustments/a' END AS target
            FROM approved
        )
        SELECT reference, booked.source, booked.target, booked.amount, due.amount
        FROM booked FULL JOIN due USING (reference)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (due.currency_id, due.source, due.target, due.amount)
        UNION ALL
        SELECT 'adjustment:' || id, NULL, NULL, amount, NULL FROM wallets_adjustment
        WHERE state = 'booked' AND decider_id IS NOT DISTINCT FROM proposer_id
        """
    )


def issued_otherwise() -> Found:
    """
    I-19: the equity of the house moves by corrections and demo grants only, and out of
    custody members get deposits only, and what a bank has sent back.
    """
    return _rows(
        """
        SELECT entry.id, entry.reason, source.house, target.house, entry.amount
        FROM wallets_entry AS entry
        JOIN wallets_account AS source ON source.id = entry.source_id
        JOIN wallets_account AS target ON target.id = entry.target_id
        WHERE 'adjustments' IN (source.house, target.house)
                AND entry.reason <> 'adjustment'
            OR 'grants' IN (source.house, target.house) AND entry.reason <> 'grant'
            OR source.house IN ('hot', 'warm', 'cold', 'bank')
                AND target.member_id IS NOT NULL AND entry.reason <> 'deposit'
                AND NOT (source.house = 'bank' AND entry.reason = 'withdrawal_closed')
        """
    )


def treasury_unlike_entries() -> Found:
    """I-18: each confirmed move between our wallets is booked once, with its fee."""
    return _rows(
        f"""
        WITH booked AS (
            SELECT * FROM ({moved("sweep", "network_fee")}) AS moves (reference, reason,
                currency_id, source, target, amount)
            WHERE reference LIKE 'treasury:%'
        ), done AS (
            SELECT 'treasury:' || id AS reference, currency_id, amount, fee,
                CASE kind WHEN 'sweep' THEN 'hot/a' ELSE 'cold/a' END AS sender,
                CASE kind WHEN 'sweep' THEN 'cold/a' ELSE 'hot/a' END AS target
            FROM wallets_treasurymove WHERE state = 'confirmed'
        ), due AS (
            SELECT reference, 'sweep' AS reason, currency_id, target AS source,
                sender AS target, amount
            FROM done
            UNION ALL
            SELECT reference, 'network_fee', currency_id, 'network_fees/a', sender, fee
            FROM done WHERE fee > 0
        )
        SELECT reference, reason, booked.amount, due.amount
        FROM booked FULL JOIN due USING (reference, reason)
        WHERE (booked.currency_id, booked.source, booked.target, booked.amount)
            IS DISTINCT FROM (due.currency_id, due.source, due.target, due.amount)
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
