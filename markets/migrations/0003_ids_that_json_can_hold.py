"""Ids of orders and trades end where JavaScript's numbers stop being exact: 2^53 - 1."""

from __future__ import annotations

from django.db import migrations

_SEQUENCES = ("markets_order_id_seq", "markets_trade_id_seq")
_EXACT = 2**53 - 1


class Migration(migrations.Migration):
    dependencies = [("markets", "0002_guards")]

    operations = [
        migrations.RunSQL(
            [f"ALTER SEQUENCE {name} MAXVALUE {_EXACT}" for name in _SEQUENCES],
            [f"ALTER SEQUENCE {name} NO MAXVALUE" for name in _SEQUENCES],
        )
    ]
