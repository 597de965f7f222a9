"""Entries only grow, stay in one currency, and belong to accounts that exist."""

from __future__ import annotations

from django.db import migrations

from exchange.lib.append_only import append_only

# One check per statement, not per row: the hot path writes thousands of entries at once.
ONE_CURRENCY = """
CREATE FUNCTION entries_stay_in_one_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added
        LEFT JOIN wallets_account AS source ON source.id = added.source_id
        LEFT JOIN wallets_account AS target ON target.id = added.target_id
        WHERE source.id IS NULL OR target.id IS NULL
            OR source.currency_id <> target.currency_id
    ) THEN
        RAISE EXCEPTION 'an entry joins two accounts of one currency'
            USING ERRCODE = 'check_violation',
                CONSTRAINT = 'entries_stay_in_one_currency';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_stay_in_one_currency AFTER INSERT ON wallets_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION entries_stay_in_one_currency();
"""

# Digits kept and the currency of an account are what amounts are written in: fixed.
FIXED = """
CREATE FUNCTION refuse_a_new_scale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the scale of a currency is fixed'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'scale_is_fixed';
END $$;
CREATE TRIGGER scale_is_fixed BEFORE UPDATE OF scale ON wallets_currency
    FOR EACH ROW WHEN (old.scale <> new.scale) EXECUTE FUNCTION refuse_a_new_scale();
CREATE TRIGGER wallets_account_rows_stay BEFORE DELETE ON wallets_account
    FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite();
-- Opening an account twice is an update to what it was: allowed.
CREATE TRIGGER wallets_account_is_fixed BEFORE UPDATE ON wallets_account
    FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*)
    EXECUTE FUNCTION refuse_to_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_tables")]

    operations = [
        append_only("wallets_entry"),
        migrations.RunSQL(
            ONE_CURRENCY,
            "DROP TRIGGER entries_stay_in_one_currency ON wallets_entry;"
            "DROP FUNCTION entries_stay_in_one_currency;",
        ),
        migrations.RunSQL(
            FIXED,
            "DROP TRIGGER wallets_account_is_fixed ON wallets_account;"
            "DROP TRIGGER wallets_account_rows_stay ON wallets_account;"
            "DROP TRIGGER scale_is_fixed ON wallets_currency;"
            "DROP FUNCTION refuse_a_new_scale;",
        ),
        # Two balances change with every order: leave room on the page for new versions.
        migrations.RunSQL(
            "ALTER TABLE wallets_balance SET (fillfactor = 50)",
            "ALTER TABLE wallets_balance RESET (fillfactor)",
        ),
    ]
