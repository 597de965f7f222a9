"""Operators say what the chain has and our rows do not know."""

from __future__ import annotations

import django.db.models.deletion
import django_fsm
import exchange.lib.fields
from django.conf import settings
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0011_treasury"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Finding",
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
                ("txid", models.CharField(blank=True, max_length=64)),
                ("turn", models.PositiveSmallIntegerField(default=1)),
                ("at", models.DateTimeField()),
                ("note", models.CharField(max_length=200)),
            ],
            options={
                "verbose_name": "finding",
                "verbose_name_plural": "findings",
            },
        ),
        migrations.AlterModelOptions(
            name="payout",
            options={
                "permissions": [
                    ("return_payout", "Can give back what a lost payout owes")
                ],
                "verbose_name": "payout",
                "verbose_name_plural": "payouts",
            },
        ),
        migrations.AddField(
            model_name="foreignsend",
            name="fee",
            field=exchange.lib.fields.AmountField(null=True),
        ),
        migrations.AddField(
            model_name="withdrawal",
            name="returns",
            field=models.PositiveSmallIntegerField(default=0),
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
                    ("withdrawal_returned", "Withdrawal Returned"),
                    ("fee_returned", "Fee Returned"),
                    ("network_fee", "Network Fee"),
                    ("sweep", "Sweep"),
                ],
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="payout",
            name="state",
            field=django_fsm.FSMField(
                choices=[
                    ("building", "building"),
                    ("signed", "signed"),
                    ("broadcast", "broadcast"),
                    ("confirmed", "confirmed"),
                    ("given_up", "given up"),
                    ("lost", "lost"),
                ],
                default="building",
                max_length=50,
            ),
        ),
        migrations.AddConstraint(
            model_name="foreignsend",
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
                name="foreign_fee_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("payout", None),
                    ("state", "confirmed"),
                    models.Q(("txid", ""), _negated=True),
                ),
                fields=("currency", "txid", "destination", "net"),
                name="a_payment_settles_one_withdrawal",
            ),
        ),
        migrations.AddField(
            model_name="finding",
            name="operator",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="finding",
            name="payout",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="findings",
                to="wallets.payout",
            ),
        ),
        migrations.AddField(
            model_name="finding",
            name="withdrawal",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="findings",
                to="wallets.withdrawal",
            ),
        ),
        migrations.AddConstraint(
            model_name="finding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("payout__isnull", False), ("withdrawal", None)),
                    models.Q(("payout", None), ("withdrawal__isnull", False)),
                    _connector="OR",
                ),
                name="a_finding_is_of_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="finding",
            constraint=models.UniqueConstraint(
                fields=("withdrawal", "txid", "turn", "operator"),
                name="a_finding_is_given_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="finding",
            constraint=models.UniqueConstraint(
                fields=("payout", "txid", "operator"),
                name="a_payouts_finding_is_given_once",
            ),
        ),
        append_only("wallets_finding"),
    ]
