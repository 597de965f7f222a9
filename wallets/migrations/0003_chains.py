"""The practice chain, and causes that are booked once."""

from __future__ import annotations

import django.db.models.deletion
import exchange.lib.fields
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0002_guards"),
    ]

    operations = [
        migrations.CreateModel(
            name="Posting",
            fields=[
                (
                    "cause",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name="entry",
            name="reason",
            field=models.CharField(
                choices=[
                    ("order_placed", "Order Placed"),
                    ("order_closed", "Order Closed"),
                    ("trade", "Trade"),
                    ("fee", "Fee"),
                    ("price_improvement", "Price Improvement"),
                    ("grant", "Grant"),
                    ("adjustment", "Adjustment"),
                    ("transfer", "Transfer"),
                    ("deposit", "Deposit"),
                    ("deposit_reversed", "Deposit Reversed"),
                    ("deposit_lost", "Deposit Lost"),
                    ("deposit_claimed", "Deposit Claimed"),
                    ("withdrawal_placed", "Withdrawal Placed"),
                    ("withdrawal_closed", "Withdrawal Closed"),
                    ("withdrawal_signed", "Withdrawal Signed"),
                    ("withdrawal_fee", "Withdrawal Fee"),
                    ("withdrawal_sent", "Withdrawal Sent"),
                    ("network_fee", "Network Fee"),
                    ("sweep", "Sweep"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="PracticeAddress",
            fields=[
                (
                    "address",
                    models.CharField(max_length=90, primary_key=True, serialize=False),
                ),
                ("is_change", models.BooleanField(default=False)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PracticeBlock",
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
                ("height", models.PositiveIntegerField()),
                ("hash", models.CharField(max_length=64, unique=True)),
                ("at", models.DateTimeField()),
                ("is_active", models.BooleanField(default=True)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PracticeTransaction",
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
                ("txid", models.CharField(max_length=64)),
                ("raw", models.TextField()),
                ("fee", exchange.lib.fields.AmountField(default=0)),
                ("at", models.DateTimeField()),
                ("is_dropped", models.BooleanField(default=False)),
                (
                    "blocks",
                    models.ManyToManyField(
                        related_name="transactions", to="wallets.practiceblock"
                    ),
                ),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PracticeOutput",
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
                ("vout", models.PositiveIntegerField()),
                ("address", models.CharField(db_index=True, max_length=90)),
                ("amount", exchange.lib.fields.AmountField()),
                (
                    "transaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="outputs",
                        to="wallets.practicetransaction",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PracticeInput",
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
                ("txid", models.CharField(max_length=64)),
                ("vout", models.PositiveIntegerField()),
                (
                    "transaction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="inputs",
                        to="wallets.practicetransaction",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="practiceblock",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_active", True)),
                fields=("currency", "height"),
                name="one_active_practice_block_per_height",
            ),
        ),
        migrations.AddConstraint(
            model_name="practicetransaction",
            constraint=models.UniqueConstraint(
                fields=("currency", "txid"), name="one_practice_transaction_per_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="practiceoutput",
            constraint=models.UniqueConstraint(
                fields=("transaction", "vout"), name="one_practice_output_per_place"
            ),
        ),
        migrations.AddConstraint(
            model_name="practiceoutput",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    ("amount__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("amount"),
                ),
                name="practice_output_is_positive",
            ),
        ),
        migrations.AddIndex(
            model_name="practiceinput",
            index=models.Index(fields=["txid", "vout"], name="practice_inputs_spent"),
        ),
        append_only("wallets_posting"),
    ]
