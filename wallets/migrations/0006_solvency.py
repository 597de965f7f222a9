"""What was published of our solvency: it stays as it was published."""

from __future__ import annotations

import django.db.models.deletion
import exchange.lib.fields
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0005_deposits"),
    ]

    operations = [
        migrations.CreateModel(
            name="Proof",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("number", models.PositiveIntegerField(unique=True)),
                ("snapshot", models.CharField(max_length=20, unique=True)),
                ("salt", models.CharField(max_length=32, unique=True)),
                ("sealed_seed", models.BinaryField()),
                ("envelope", models.TextField()),
                ("hash", models.CharField(max_length=64, unique=True)),
                (
                    "previous",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="next",
                        to="wallets.proof",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Root",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("liabilities", exchange.lib.fields.AmountField()),
                ("depth", models.PositiveSmallIntegerField()),
                ("hash", models.CharField(max_length=64)),
                ("legacy_file", models.TextField()),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "proof",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="roots",
                        to="wallets.proof",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Statement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("height", models.PositiveBigIntegerField()),
                ("block_hash", models.CharField(max_length=64)),
                ("total", exchange.lib.fields.AmountField()),
                ("text", models.TextField()),
                (
                    "root",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, to="wallets.root"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="proof",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("number", 1), ("previous__isnull", True)),
                    models.Q(("number__gt", 1), ("previous__isnull", False)),
                    _connector="OR",
                ),
                name="each_proof_but_the_first_follows_one",
            ),
        ),
        migrations.AddConstraint(
            model_name="root",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("liabilities__gte", 0),
                    ("liabilities__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("liabilities"),
                ),
                name="liabilities_are_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="root",
            constraint=models.UniqueConstraint(
                fields=("proof", "currency"), name="one_root_per_proof_and_currency"
            ),
        ),
        migrations.AddConstraint(
            model_name="statement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("total__gte", 0),
                    ("total__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("total"),
                ),
                name="holdings_are_sound",
            ),
        ),
        append_only("wallets_proof"),
        append_only("wallets_root"),
        append_only("wallets_statement"),
    ]
