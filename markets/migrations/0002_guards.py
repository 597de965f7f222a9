"""Trades and commands only grow; the rows that change often get room to do so."""

from __future__ import annotations

from django.db import migrations

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("markets", "0001_tables")]

    operations = [
        append_only("markets_trade"),
        append_only("markets_command"),
        migrations.RunSQL(
            "ALTER TABLE markets_openorders SET (fillfactor = 50);"
            "ALTER TABLE markets_floor SET (fillfactor = 20);"
            "ALTER TABLE markets_order SET (fillfactor = 80)",
            "ALTER TABLE markets_openorders RESET (fillfactor);"
            "ALTER TABLE markets_floor RESET (fillfactor);"
            "ALTER TABLE markets_order RESET (fillfactor)",
        ),
    ]
