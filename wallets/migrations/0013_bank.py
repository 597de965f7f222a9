"""Bank money: channels, codes, statements, their lines, and transfers."""

from __future__ import annotations

import django.db.models.deletion
import django_fsm
import exchange.lib.fields
from django.conf import settings
from django.db import migrations, models

from exchange.lib.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0012_findings"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BankWithdrawal",
            fields=[],
            options={
                "verbose_name": "withdrawal by bank",
                "verbose_name_plural": "withdrawals by bank",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("wallets.withdrawal",),
        ),
        migrations.CreateModel(
            name="BankChannel",
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
                ("name", models.CharField(max_length=40, unique=True)),
                (
                    "holder",
                    models.CharField(help_text="To whom members pay.", max_length=80),
                ),
                (
                    "account",
                    models.CharField(help_text="The account number.", max_length=64),
                ),
                ("bank", models.CharField(max_length=80)),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        help_text="What members read beside it.",
                        max_length=200,
                    ),
                ),
                ("takes_deposits", models.BooleanField(default=True)),
                ("pays_withdrawals", models.BooleanField(default=True)),
                (
                    "deposit_min",
                    exchange.lib.fields.AmountField(
                        default=0,
                        help_text="What is less waits for an operator's word.",
                    ),
                ),
                (
                    "is_practice",
                    models.BooleanField(
                        default=False,
                        help_text="There is no such account: members are told so.",
                    ),
                ),
                ("column_bank_id", models.CharField(default="id", max_length=60)),
                ("column_date", models.CharField(default="date", max_length=60)),
                ("column_amount", models.CharField(default="amount", max_length=60)),
                (
                    "column_payer",
                    models.CharField(blank=True, default="payer", max_length=60),
                ),
                (
                    "column_payer_account",
                    models.CharField(blank=True, default="account", max_length=60),
                ),
                (
                    "column_text",
                    models.CharField(blank=True, default="text", max_length=60),
                ),
                (
                    "delimiter",
                    models.CharField(
                        choices=[
                            (",", "comma"),
                            (";", "semicolon"),
                            ("\t", "tab"),
                            ("|", "bar"),
                        ],
                        default=",",
                        max_length=1,
                    ),
                ),
                (
                    "date_format",
                    models.CharField(
                        choices=[
                            ("%Y-%m-%d", "2026-11-25"),
                            ("%d.%m.%Y", "25.11.2026"),
                            ("%d/%m/%Y", "25/11/2026"),
                            ("%m/%d/%Y", "11/25/2026"),
                            ("%Y%m%d", "20261125"),
                        ],
                        default="%Y-%m-%d",
                        max_length=10,
                    ),
                ),
                (
                    "decimal_mark",
                    models.CharField(
                        choices=[(".", "point"), (",", "comma")],
                        default=".",
                        max_length=1,
                    ),
                ),
                (
                    "currency",
                    models.ForeignKey(
                        limit_choices_to={"kind": "fiat"},
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank channel",
                "verbose_name_plural": "bank channels",
            },
        ),
        migrations.CreateModel(
            name="BankReference",
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
                ("code", models.CharField(max_length=10, unique=True)),
                ("created_at", models.DateTimeField()),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="references",
                        to="wallets.bankchannel",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bank_references",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "bank reference",
                "verbose_name_plural": "bank references",
            },
        ),
        migrations.CreateModel(
            name="BankStatement",
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
                ("sha256", models.CharField(max_length=64)),
                ("imported_by", models.CharField(max_length=64)),
                ("imported_at", models.DateTimeField()),
                ("added", models.PositiveIntegerField()),
                ("known", models.PositiveIntegerField()),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="statements",
                        to="wallets.bankchannel",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank statement",
                "verbose_name_plural": "bank statements",
            },
        ),
        migrations.CreateModel(
            name="BankTransfer",
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
                            ("taken", "in hand"),
                            ("paid", "paid"),
                            ("returned", "sent back by the bank"),
                        ],
                        default="taken",
                        max_length=50,
                    ),
                ),
                ("taken_by", models.CharField(max_length=64)),
                ("taken_at", models.DateTimeField()),
                ("bank_txid", models.CharField(max_length=64, null=True)),
                ("paid_at", models.DateTimeField(null=True)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="wallets.bankchannel",
                    ),
                ),
                (
                    "withdrawal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="wallets.withdrawal",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank transfer",
                "verbose_name_plural": "bank transfers",
                "permissions": [("pay_by_bank", "Can pay withdrawals by bank")],
            },
        ),
        migrations.CreateModel(
            name="BankLine",
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
                ("entered_by", models.CharField(max_length=64)),
                ("bank_txid", models.CharField(max_length=64)),
                ("booked_on", models.DateField()),
                ("amount", exchange.lib.fields.AmountField()),
                ("payer", models.CharField(blank=True, max_length=140)),
                ("payer_account", models.CharField(blank=True, max_length=64)),
                ("text", models.CharField(blank=True, max_length=1000)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("new", "not matched"),
                            ("matched", "being checked"),
                            ("credited", "credited"),
                            ("settled", "settled"),
                            ("returned", "sent back"),
                            ("ignored", "ignored"),
                            ("reversed", "taken back by the bank"),
                        ],
                        default="new",
                        max_length=50,
                    ),
                ),
                ("doubts", models.JSONField(default=list)),
                ("matched_by", models.CharField(blank=True, max_length=64)),
                ("created_at", models.DateTimeField()),
                ("credited_at", models.DateTimeField(null=True)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="wallets.bankchannel",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bank_lines",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "suggestion",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "statement",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="wallets.bankstatement",
                    ),
                ),
                (
                    "transfer",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="wallets.banktransfer",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank line",
                "verbose_name_plural": "bank lines",
                "permissions": [
                    ("accept_bank_line", "Can decide about lines of statements")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="bankchannel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("deposit_min__gte", 0),
                    ("deposit_min__lt", 1000000000000000000000000000000),
                    exchange.lib.fields.ScaleAtMost("deposit_min"),
                ),
                name="bank_deposit_min_sound",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankreference",
            constraint=models.UniqueConstraint(
                fields=("channel", "member"), name="one_bank_reference_per_channel"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankstatement",
            constraint=models.UniqueConstraint(
                fields=("channel", "sha256"), name="a_statement_is_read_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="banktransfer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "returned"), _negated=True),
                fields=("withdrawal",),
                name="a_withdrawal_is_in_one_transfer",
            ),
        ),
        migrations.AddConstraint(
            model_name="banktransfer",
            constraint=models.UniqueConstraint(
                fields=("channel", "bank_txid"), name="a_bank_number_pays_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="banktransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("bank_txid__isnull", True), ("paid_at__isnull", True)),
                    models.Q(("bank_txid__isnull", False), ("paid_at__isnull", False)),
                    _connector="OR",
                ),
                name="paid_transfers_have_a_number",
            ),
        ),
        migrations.AddConstraint(
            model_name="banktransfer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("paid_at__isnull", True), ("state", "taken")),
                    models.Q(("paid_at__isnull", False), ("state", "paid")),
                    ("state", "returned"),
                    _connector="OR",
                ),
                name="transfers_say_when_they_were_paid",
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(fields=["member", "-id"], name="bank_lines_by_member"),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(
                condition=models.Q(("state__in", ["new", "matched"])),
                fields=["id"],
                name="bank_lines_to_decide",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("channel", "bank_txid"), name="a_bank_line_is_written_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__gt", -1000000000000000000000000000000),
                    ("amount__lt", 1000000000000000000000000000000),
                    models.Q(("amount", 0), _negated=True),
                    exchange.lib.fields.ScaleAtMost("amount"),
                ),
                name="a_bank_line_moves_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["credited", "reversed"]), _negated=True),
                    models.Q(
                        ("amount__gt", 0),
                        ("credited_at__isnull", False),
                        ("member__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="credited_bank_lines_say_whose",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "settled"), _negated=True),
                    ("transfer__isnull", False),
                    _connector="OR",
                ),
                name="settled_bank_lines_say_what",
            ),
        ),
        append_only("wallets_bankreference"),
        append_only("wallets_bankstatement"),
    ]
