"""The audit trail only grows."""

from __future__ import annotations

from django.db import migrations

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("lib", "0001_tables")]

    operations = [append_only("lib_auditrecord")]
