"""
A table that only ever grows, for migrations.

Two triggers, because a row trigger does not see TRUNCATE. The application's role
additionally loses the rights (see `append_only` in the models and
`manage.py prepare_database`); the triggers hold for the owner too.
"""

from __future__ import annotations

from django.db.migrations import RunSQL

_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
"""


def append_only(table: str) -> RunSQL:
    """Return the migration step after which a table refuses to be rewritten."""
    return RunSQL(
        sql=f"""
        {_FUNCTION}
        CREATE TRIGGER {table}_rows_stay BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite();
        CREATE TRIGGER {table}_table_stays BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
        """,
        reverse_sql=f"""
        DROP TRIGGER {table}_rows_stay ON {table};
        DROP TRIGGER {table}_table_stays ON {table};
        """,
    )
