"""
The markets checked against the books and against themselves. Each function returns the
rows that break a rule; an empty list is good news.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from wallets import audit as books

Found = list[tuple[Any, ...]]


def locks_without_orders() -> Found:
    """I-4: what a member has locked is what their orders and withdrawals lock."""
    return _rows(
        f"""
        WITH held AS ({books.locked_by_member()}), orders AS (
            SELECT live.member_id,
                CASE side WHEN 'buy' THEN quote_id ELSE base_id END AS currency_id,
                sum(locked) AS locked
            FROM markets_order AS live
            JOIN markets_market AS market ON market.id = live.market_id
            WHERE live.state IN ('pending', 'open') GROUP BY 1, 2
        ), wanted AS (
            SELECT member_id, currency_id, sum(locked) AS locked FROM (
                SELECT * FROM orders UNION ALL {books.locked_by_withdrawals()}
            ) AS each GROUP BY 1, 2
        )
        SELECT member_id, currency_id, held.locked, wanted.locked
        FROM held FULL JOIN wanted USING (member_id, currency_id)
        WHERE coalesce(held.locked, 0) <> coalesce(wanted.locked, 0)
        """
    )


def orders_unlike_trades() -> Found:
    """I-5: an order's fills, funds, fees and count are those of its trades."""
    return _rows(
        """
        WITH sides AS (
            SELECT maker_order_id AS id, amount, funds, maker_fee AS fee
            FROM markets_trade
            UNION ALL
            SELECT taker_order_id, amount, funds, taker_fee FROM markets_trade
        ), sums AS (
            SELECT id, sum(amount) AS filled, sum(funds) AS funds_used,
                sum(fee) AS fees, count(*) AS trades
            FROM sides GROUP BY id
        )
        SELECT id, o.filled, sums.filled FROM markets_order AS o
        FULL JOIN sums USING (id)
        WHERE o.id IS NULL OR o.filled <> coalesce(sums.filled, 0)
            OR o.funds_used <> coalesce(sums.funds_used, 0)
            OR o.fees <> coalesce(sums.fees, 0)
            OR o.trades_count <> coalesce(sums.trades, 0)
        """
    )


def orders_in_disorder() -> Found:
    """I-5: a filled order has nothing left, and a lock is exactly what may still go."""
    return _rows(
        """
        SELECT id, state, locked FROM markets_order
        WHERE (state = 'filled' AND amount IS NOT NULL AND filled <> amount)
            OR (state IN ('filled', 'cancelled', 'rejected') AND locked <> 0)
            OR (state IN ('pending', 'open') AND amount IS NOT NULL AND locked <>
                CASE side WHEN 'buy' THEN (amount - filled) * price_limit
                    ELSE amount - filled END)
            OR (state = 'open' AND seq IS NULL)
        """
    )


def trades_beyond_limits() -> Found:
    """I-6: no side of a trade got a worse price than its limit."""
    return _rows(
        """
        SELECT trade.id, trade.price, maker.price_limit, taker.price_limit
        FROM markets_trade AS trade
        LEFT JOIN markets_order AS maker ON maker.id = trade.maker_order_id
        LEFT JOIN markets_order AS taker ON taker.id = trade.taker_order_id
        WHERE maker.id IS NULL OR taker.id IS NULL
            OR trade.price <> maker.price_limit
            OR (trade.taker_side = 'buy' AND trade.price > taker.price_limit)
            OR (trade.taker_side = 'sell' AND trade.price < taker.price_limit)
            OR maker.member_id = taker.member_id
            OR maker.side = taker.side OR taker.side <> trade.taker_side
        """
    )


def trades_unlike_entries() -> Found:
    """
    I-1, I-6, I-18: a trade's entries are those it must have, from whom to whom: the
    buyer pays what seller and house receive, and what was locked above the price comes
    back.
    """
    return _unlike(
        """
        WITH sides AS (
            SELECT trade.*, market.base_id, market.quote_id,
                'trade:' || market_id || ':' || seq || ':' || n AS reference,
                CASE taker_side WHEN 'buy' THEN taker_order_id ELSE maker_order_id END
                    AS buy_id,
                CASE taker_side WHEN 'buy' THEN taker_id ELSE maker_id END AS buyer,
                CASE taker_side WHEN 'buy' THEN maker_id ELSE taker_id END AS seller,
                CASE taker_side WHEN 'buy' THEN trade.taker_fee ELSE trade.maker_fee END
                    AS base_fee,
                CASE taker_side WHEN 'buy' THEN trade.maker_fee ELSE trade.taker_fee END
                    AS quote_fee
            FROM markets_trade AS trade
            JOIN markets_market AS market ON market.id = trade.market_id
        )
        SELECT reference, leg.*
        FROM sides LEFT JOIN markets_order AS buy ON buy.id = buy_id
        CROSS JOIN LATERAL (VALUES
            ('trade', base_id, seller || '/l', buyer || '/a',
                sides.amount - base_fee),
            ('fee', base_id, seller || '/l', 'fees/a', base_fee),
            ('trade', quote_id, buyer || '/l', seller || '/a',
                sides.funds - quote_fee),
            ('fee', quote_id, buyer || '/l', 'fees/a', quote_fee),
            ('price_improvement', quote_id, buyer || '/l', buyer || '/a',
                CASE WHEN buy.amount IS NOT NULL
                    THEN (buy.price_limit - sides.price) * sides.amount END)
        ) AS leg (reason, currency_id, source, target, amount)
        WHERE leg.amount <> 0
        """,
        books.moved("trade", "fee", "price_improvement"),
    )


def orders_unlike_entries() -> Found:
    """
    I-5: an order's funds are locked once, and once given back: all that neither its
    trades used nor it still locks.
    """
    return _unlike(
        """
        WITH locks AS (
            SELECT o.*, CASE side WHEN 'buy' THEN quote_id ELSE base_id END
                    AS currency_id,
                CASE WHEN side = 'sell' THEN filled
                    WHEN amount IS NOT NULL THEN filled * price_limit
                    ELSE funds_used END AS used
            FROM markets_order AS o JOIN markets_market AS m ON m.id = o.market_id
        )
        SELECT 'order:' || id, leg.reason, currency_id, leg.source, leg.target,
            leg.amount
        FROM locks CROSS JOIN LATERAL (VALUES
            ('order_placed', member_id || '/a', member_id || '/l', locked_at_first),
            ('order_closed', member_id || '/l', member_id || '/a',
                locked_at_first - used - locked)
        ) AS leg (reason, source, target, amount)
        WHERE leg.amount <> 0
        """,
        books.moved("order_placed", "order_closed"),
    )


def crossed_books() -> Found:
    """I-8: at rest the best bid is below the best ask."""
    return _rows(
        """
        SELECT market_id, max(price) FILTER (WHERE side = 'buy'),
            min(price) FILTER (WHERE side = 'sell')
        FROM markets_order WHERE state = 'open' GROUP BY market_id
        HAVING max(price) FILTER (WHERE side = 'buy')
            >= min(price) FILTER (WHERE side = 'sell')
        """
    )


def journals_with_gaps() -> Found:
    """I-9: commands are numbered from 1 without gaps, up to the floor's sequence."""
    return _rows(
        """
        SELECT floor.market_id, floor.settled_seq, count(command.seq), max(command.seq)
        FROM markets_floor AS floor
        LEFT JOIN markets_command AS command USING (market_id)
        GROUP BY floor.market_id, floor.settled_seq
        HAVING count(command.seq) <> floor.settled_seq
            OR coalesce(max(command.seq), 0) <> floor.settled_seq
            OR min(command.seq) <> 1
        """
    )


def miscounted_open_orders() -> Found:
    """The counter behind the cap is the number of live orders."""
    return _rows(
        """
        WITH live AS (
            SELECT member_id, market_id, count(*) AS count FROM markets_order
            WHERE state IN ('pending', 'open') GROUP BY member_id, market_id
        )
        SELECT member_id, market_id, counter.count, live.count
        FROM markets_openorders AS counter FULL JOIN live USING (member_id, market_id)
        WHERE coalesce(counter.count, 0) <> coalesce(live.count, 0)
        """
    )


def candles_unlike_trades() -> Found:
    """Each minute's candle is what its trades say."""
    return _rows(
        """
        WITH sums AS (
            SELECT market_id, date_trunc('minute', created_at) AS minute,
                sum(amount) AS volume, sum(funds) AS funds, count(*) AS trades,
                max(price) AS high, min(price) AS low,
                (array_agg(price ORDER BY id))[1] AS open,
                (array_agg(price ORDER BY id DESC))[1] AS close
            FROM markets_trade GROUP BY 1, 2
        )
        SELECT market_id, minute, candle.volume, sums.volume
        FROM markets_candle AS candle FULL JOIN sums USING (market_id, minute)
        WHERE (candle.volume, candle.funds, candle.high, candle.low, candle.open,
                candle.close, candle.trades_count)
            IS DISTINCT FROM (sums.volume, sums.funds, sums.high, sums.low, sums.open,
                sums.close, sums.trades)
        """
    )


def _unlike(expected: str, written: str) -> Found:
    """Return what is expected and not written, and what is written unexpectedly."""
    return _rows(
        f"""
        WITH expected AS ({expected}), written AS ({written})
        SELECT 'missing', * FROM (TABLE expected EXCEPT ALL TABLE written) AS rows
        UNION ALL
        SELECT 'astray', * FROM (TABLE written EXCEPT ALL TABLE expected) AS rows
        """
    )


def _rows(sql: str) -> Found:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
