"""Deposits, withdrawals, and the rules they follow."""

from __future__ import annotations

import django.db.models.deletion
import django.db.models.expressions
import django_fsm
import exchange.lib.fields
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_joining"),
        ("wallets", "0003_chains"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Scan",
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
                ("block_hash", models.CharField(blank=True, max_length=64)),
                ("height", models.PositiveIntegerField(default=0)),
                ("scanned_at", models.DateTimeField(null=True)),
                ("problem", models.CharField(blank=True, max_length=200)),
                ("problem_since", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "chain",
                "verbose_name_plural": "chains",
            },
        ),
        migrations.CreateModel(
            name="Beneficiary",
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
                ("label", models.CharField(max_length=40)),
                ("destination", models.CharField(max_length=128)),
                ("bank", models.CharField(blank=True, max_length=80)),
                ("holder", models.CharField(blank=True, max_length=80)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("unconfirmed", "waits for the confirmation by mail"),
                            ("confirmed", "confirmed"),
                            ("removed", "removed"),
                        ],
                        default="unconfirmed",
                        max_length=50,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("usable_from", models.DateTimeField(null=True)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="beneficiaries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "beneficiary",
                "verbose_name_plural": "beneficiaries",
            },
        ),
        migrations.CreateModel(
            name="Deposit",
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
                ("address", models.CharField(max_length=128)),
                ("txid", models.CharField(max_length=64)),
                ("vout", models.PositiveIntegerField()),
                ("amount", exchange.lib.fields.AmountField()),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("seen", "seen"),
                            ("credited", "credited"),
                            ("too_small", "too small"),
                            ("gone", "replaced or forgotten"),
                            ("reversed", "taken back"),
                        ],
                        default="seen",
                        max_length=50,
                    ),
                ),
                ("confirmations", models.IntegerField(default=0)),
                ("required", models.PositiveSmallIntegerField()),
                ("block_hash", models.CharField(blank=True, max_length=64)),
                ("credits", models.PositiveSmallIntegerField(default=0)),
                ("seen_at", models.DateTimeField()),
                ("credited_at", models.DateTimeField(null=True)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deposits",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "deposit",
                "verbose_name_plural": "deposits",
            },
        ),
        migrations.CreateModel(
            name="DepositAddress",
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
                ("address", models.CharField(max_length=128)),
                ("created_at", models.DateTimeField()),
                ("is_used", models.BooleanField(default=False)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="addresses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "deposit address",
                "verbose_name_plural": "deposit addresses",
            },
        ),
        migrations.CreateModel(
            name="Payout",
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
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("building", "building"),
                            ("signed", "signed"),
                            ("broadcast", "broadcast"),
                            ("confirmed", "confirmed"),
                            ("given_up", "given up"),
                        ],
                        default="building",
                        max_length=50,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("fence", models.PositiveIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=200)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
            ],
            options={
                "verbose_name": "payout",
                "verbose_name_plural": "payouts",
            },
        ),
        migrations.CreateModel(
            name="PayoutTransaction",
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
                ("txid", models.CharField(max_length=64, unique=True)),
                ("raw", models.TextField()),
                ("fee", exchange.lib.fields.AmountField()),
                ("size", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "payout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transactions",
                        to="wallets.payout",
                    ),
                ),
            ],
            options={
                "verbose_name": "payout transaction",
                "verbose_name_plural": "payout transactions",
            },
        ),
        migrations.CreateModel(
            name="Rules",
            fields=[
                (
                    "currency",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="rules",
                        serialize=False,
                        to="wallets.currency",
                    ),
                ),
                ("takes_deposits", models.BooleanField(default=True)),
                ("pays_withdrawals", models.BooleanField(default=True)),
                (
                    "deposit_min",
                    exchange.lib.fields.AmountField(
                        default=0,
                        help_text="Deposits below it are kept, and not credited.",
                    ),
                ),
                (
                    "withdrawal_min",
                    exchange.lib.fields.AmountField(
                        help_text="What the member gets at least."
                    ),
                ),
                (
                    "withdrawal_fee",
                    exchange.lib.fields.AmountField(
                        default=0, help_text="Ours, for each withdrawal."
                    ),
                ),
                (
                    "automatic_up_to",
                    exchange.lib.fields.AmountField(
                        default=0,
                        help_text="A larger withdrawal waits for two operators, each another.",
                    ),
                ),
                ("hot_min", exchange.lib.fields.AmountField(default=0)),
                (
                    "hot_max",
                    exchange.lib.fields.AmountField(
                        default=0, help_text="0: no upper end."
                    ),
                ),
                (
                    "fee_rate_max",
                    exchange.lib.fields.AmountField(default=Decimal("0.005")),
                ),
                ("fee_max", exchange.lib.fields.AmountField(default=Decimal("0.05"))),
                (
                    "explorer",
                    models.CharField(
                        blank=True,
                        help_text="Where a transaction can be looked at; {txid} stands for its id.",
                        max_length=200,
                    ),
                ),
            ],
            options={
                "verbose_name": "rules of a currency",
                "verbose_name_plural": "rules of currencies",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("deposit_min__gte", 0),
                            ("deposit_min__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("deposit_min"),
                        ),
                        name="deposit_min_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawal_min__gt", 0),
                            ("withdrawal_min__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("withdrawal_min"),
                        ),
                        name="withdrawal_min_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawal_fee__gte", 0),
                            ("withdrawal_fee__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("withdrawal_fee"),
                        ),
                        name="withdrawal_fee_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("automatic_up_to__gte", 0),
                            ("automatic_up_to__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("automatic_up_to"),
                        ),
                        name="automatic_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("hot_min__gte", 0),
                            ("hot_min__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("hot_min"),
                        ),
                        name="hot_min_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("hot_max__gte", 0),
                            ("hot_max__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("hot_max"),
                        ),
                        name="hot_max_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("fee_rate_max__gte", 0),
                            ("fee_rate_max__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("fee_rate_max"),
                        ),
                        name="fee_rate_max_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("fee_max__gte", 0),
                            ("fee_max__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("fee_max"),
                        ),
                        name="fee_max_is_sound",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ConfirmationTier",
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
                ("amount_from", exchange.lib.fields.AmountField(default=0)),
                ("confirmations", models.PositiveSmallIntegerField()),
                (
                    "rules",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tiers",
                        to="wallets.rules",
                    ),
                ),
            ],
            options={
                "verbose_name": "confirmations by amount",
                "verbose_name_plural": "confirmations by amount",
            },
        ),
        migrations.CreateModel(
            name="SpentCoin",
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
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "payout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="coins",
                        to="wallets.payout",
                    ),
                ),
            ],
            options={
                "verbose_name": "spent coin",
                "verbose_name_plural": "spent coins",
            },
        ),
        migrations.CreateModel(
            name="Withdrawal",
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
                ("destination", models.CharField(max_length=128)),
                ("amount", exchange.lib.fields.AmountField()),
                ("fee", exchange.lib.fields.AmountField()),
                ("net", exchange.lib.fields.AmountField()),
                ("value", exchange.lib.fields.AmountField()),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("review", "being reviewed"),
                            ("approved", "approved"),
                            ("building", "being prepared"),
                            ("signed", "signed"),
                            ("broadcast", "sent"),
                            ("confirmed", "confirmed"),
                            ("cancelled", "cancelled"),
                            ("refused", "refused"),
                        ],
                        default="review",
                        max_length=50,
                    ),
                ),
                ("client_id", models.CharField(max_length=64, null=True)),
                ("doubts", models.JSONField(default=list)),
                ("note", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("txid", models.CharField(blank=True, max_length=64)),
                ("confirmations", models.IntegerField(default=0)),
                (
                    "beneficiary",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to="wallets.beneficiary",
                    ),
                ),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "payout",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to="wallets.payout",
                    ),
                ),
                (
                    "proof",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.proof",
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.apitoken",
                    ),
                ),
            ],
            options={
                "verbose_name": "withdrawal",
                "verbose_name_plural": "withdrawals",
            },
        ),
        migrations.CreateModel(
            name="Approval",
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
                ("at", models.DateTimeField()),
                ("note", models.CharField(blank=True, max_length=200)),
                (
                    "operator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "withdrawal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to="wallets.withdrawal",
                    ),
                ),
            ],
            options={
                "verbose_name": "approval",
                "verbose_name_plural": "approvals",
            },
        ),
        migrations.AddConstraint(
            model_name="beneficiary",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "removed"), _negated=True),
                fields=("member", "currency", "destination"),
                name="one_beneficiary_per_destination",
            ),
        ),
        migrations.AddConstraint(
            model_name="beneficiary",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "confirmed"), ("usable_from__isnull", False)),
                    models.Q(("state", "confirmed"), _negated=True),
                    _connector="OR",
                ),
                name="confirmed_beneficiaries_say_from_when",
            ),
        ),
        migrations.AddIndex(
            model_name="deposit",
            index=models.Index(fields=["member", "-id"], name="deposits_by_member"),
        ),
        migrations.AddIndex(
            model_name="deposit",
            index=models.Index(
                condition=models.Q(("state__in", ["seen", "gone", "reversed"])),
                fields=["currency"],
                name="deposits_not_credited",
            ),
        ),
        migrations.AddConstraint(
            model_name="deposit",
            constraint=models.UniqueConstraint(
                fields=("currency", "txid", "vout"), name="one_deposit_per_output"
            ),
        ),
        migrations.AddConstraint(
            model_name="deposit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    ("amount__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("amount"),
                ),
                name="deposit_amount_is_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="deposit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("credited_at__isnull", False), ("state", "credited")),
                    models.Q(("state", "credited"), _negated=True),
                    _connector="OR",
                ),
                name="credited_deposits_say_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="depositaddress",
            constraint=models.UniqueConstraint(
                fields=("currency", "address"), name="an_address_is_one_members"
            ),
        ),
        migrations.AddConstraint(
            model_name="depositaddress",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_used", False)),
                fields=("currency", "member"),
                name="one_unused_address_per_member",
            ),
        ),
        migrations.AddIndex(
            model_name="payout",
            index=models.Index(
                condition=models.Q(
                    ("state__in", ["confirmed", "given_up"]), _negated=True
                ),
                fields=["currency"],
                name="payouts_under_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="payouttransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fee__gte", 0),
                    ("fee__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("fee"),
                ),
                name="payout_fee_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="confirmationtier",
            constraint=models.UniqueConstraint(
                fields=("rules", "amount_from"), name="one_tier_per_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="confirmationtier",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("confirmations__gte", 1), ("confirmations__lte", 1000)
                ),
                name="a_deposit_is_confirmed_at_least_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="confirmationtier",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_from__gte", 0),
                    ("amount_from__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("amount_from"),
                ),
                name="tier_amount_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="spentcoin",
            constraint=models.UniqueConstraint(
                fields=("currency", "txid", "vout"), name="a_coin_is_spent_once"
            ),
        ),
        migrations.AddIndex(
            model_name="withdrawal",
            index=models.Index(fields=["member", "-id"], name="withdrawals_by_member"),
        ),
        migrations.AddIndex(
            model_name="withdrawal",
            index=models.Index(
                condition=models.Q(("state", "approved")),
                fields=["currency", "id"],
                name="withdrawals_to_pay",
            ),
        ),
        migrations.AddIndex(
            model_name="withdrawal",
            index=models.Index(
                condition=models.Q(("state", "review")),
                fields=["id"],
                name="withdrawals_to_review",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", 0),
                    ("amount__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("amount"),
                ),
                name="withdrawal_amount_is_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("net__gt", 0),
                    ("net__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("net"),
                ),
                name="withdrawal_net_is_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fee__gte", 0),
                    ("fee__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("fee"),
                ),
                name="withdrawal_fee_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("value__gte", 0),
                    ("value__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("value"),
                ),
                name="withdrawal_value_is_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "amount",
                        django.db.models.expressions.CombinedExpression(
                            models.F("net"), "+", models.F("fee")
                        ),
                    )
                ),
                name="withdrawal_amount_is_net_and_fee",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.UniqueConstraint(
                fields=("member", "client_id"), name="one_withdrawal_per_client_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("payout", None), ("state__in", ["review", "approved"])),
                    models.Q(("state__in", ["review", "approved"]), _negated=True),
                    _connector="OR",
                ),
                name="waiting_withdrawals_are_in_no_payout",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                fields=("withdrawal", "operator"), name="an_operator_approves_once"
            ),
        ),
        append_only("wallets_payouttransaction"),
        append_only("wallets_spentcoin"),
        append_only("wallets_approval"),
    ]
