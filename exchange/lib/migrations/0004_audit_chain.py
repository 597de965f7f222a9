"""The audit trail says where a deed came from, and is chained."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("lib", "0003_mail")]

    operations = [
        migrations.AddField(
            model_name="auditrecord",
            name="request_id",
            field=models.CharField(blank=True, db_default="", max_length=32),
        ),
        migrations.AddField(
            model_name="auditrecord",
            name="address",
            field=models.CharField(blank=True, db_default="", max_length=64),
        ),
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("previous_hash", models.CharField(max_length=64)),
                ("hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="link",
                        to="lib.auditrecord",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
            ],
        ),
        append_only("lib_auditlink"),
        append_only("lib_auditcheckpoint"),
    ]
