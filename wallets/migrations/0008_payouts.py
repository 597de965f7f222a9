"""Payouts say more, and the hot wallet has rows of its own."""

from __future__ import annotations

import django.db.models.deletion
import exchange.lib.fields
from decimal import Decimal
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0007_rights"),
    ]

    operations = [
        migrations.CreateModel(
            name="ForeignSend",
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
                ("outputs", models.JSONField(default=list)),
                ("found_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(null=True)),
                ("accepted_by", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "verbose_name": "payment without us",
                "verbose_name_plural": "payments without us",
            },
        ),
        migrations.CreateModel(
            name="HotWallet",
            fields=[
                (
                    "currency",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="wallets.currency",
                    ),
                ),
                (
                    "trouble",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("node_away", "The node of this coin does not answer."),
                            ("node_unwell", "The node of this coin is not well."),
                            ("node_refused", "The node did not do what it was asked."),
                            ("locked", "The wallet is locked."),
                            ("too_few_coins", "The hot wallet waits to be refilled."),
                            ("fee_absurd", "The network asks for too high a fee."),
                            ("limit_reached", "The wallet has paid out its limit."),
                        ],
                        max_length=20,
                    ),
                ),
                ("trouble_since", models.DateTimeField(null=True)),
                ("try_at", models.DateTimeField(null=True)),
                ("paused_at", models.DateTimeField(null=True)),
                (
                    "paused_why",
                    models.CharField(
                        blank=True,
                        choices=[
                            (
                                "sent_without_us",
                                "The wallet sent something without us.",
                            ),
                            ("unsafe", "What was signed does not say what is owed."),
                        ],
                        max_length=20,
                    ),
                ),
                ("sent_until", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "verbose_name": "hot wallet",
                "verbose_name_plural": "hot wallets",
            },
        ),
        migrations.CreateModel(
            name="Reconciliation",
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
                ("block_hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("on_chain", exchange.lib.fields.AmountField()),
                ("in_books", exchange.lib.fields.AmountField()),
                ("explained", models.JSONField(default=dict)),
                ("unexplained", exchange.lib.fields.AmountField()),
            ],
            options={
                "verbose_name": "reconciliation",
                "verbose_name_plural": "reconciliations",
            },
        ),
        migrations.AddField(
            model_name="payout",
            name="fee",
            field=exchange.lib.fields.AmountField(null=True),
        ),
        migrations.AddField(
            model_name="payout",
            name="wants_higher_fee",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="payouttransaction",
            name="paid",
            field=exchange.lib.fields.AmountField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="rules",
            name="fee_rate_usual",
            field=exchange.lib.fields.AmountField(default=Decimal("0.0001")),
        ),
        migrations.AddField(
            model_name="spentcoin",
            name="amount",
            field=exchange.lib.fields.AmountField(default=0),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("fee__gte", 0),
                        ("fee__lt", 1000000000000000000000000000000),
                        exchange.lib.fields.ScaleAtMost("fee"),
                    ),
                    ("fee__isnull", True),
                    _connector="OR",
                ),
                name="payouts_own_fee_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("fee__isnull", False), ("state", "confirmed")),
                    models.Q(
                        models.Q(("state", "confirmed"), _negated=True), ("fee", None)
                    ),
                    _connector="OR",
                ),
                name="confirmed_payouts_say_the_fee",
            ),
        ),
        migrations.AddConstraint(
            model_name="payouttransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("paid__gt", 0),
                    ("paid__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("paid"),
                ),
                name="paid_out_is_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="rules",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fee_rate_usual__gt", 0),
                    ("fee_rate_usual__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("fee_rate_usual"),
                ),
                name="fee_rate_usual_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="spentcoin",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    ("amount__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("amount"),
                ),
                name="spent_coin_is_positive",
            ),
        ),
        migrations.AddField(
            model_name="foreignsend",
            name="currency",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="wallets.currency",
            ),
        ),
        migrations.AddField(
            model_name="reconciliation",
            name="currency",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="wallets.currency",
            ),
        ),
        migrations.AddConstraint(
            model_name="foreignsend",
            constraint=models.UniqueConstraint(
                fields=("currency", "txid"), name="a_foreign_send_is_found_once"
            ),
        ),
        migrations.AddIndex(
            model_name="reconciliation",
            index=models.Index(fields=["currency", "-id"], name="reconciled_last"),
        ),
        migrations.AddConstraint(
            model_name="reconciliation",
            constraint=models.UniqueConstraint(
                fields=("currency", "block_hash"), name="one_reconciliation_per_block"
            ),
        ),
        migrations.AddConstraint(
            model_name="reconciliation",
            constraint=models.CheckConstraint(
                condition=models.Q(("on_chain__gte", 0)),
                name="a_wallet_holds_nothing_below_zero",
            ),
        ),
        append_only("wallets_reconciliation"),
    ]
