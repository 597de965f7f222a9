"""Transfers between members, and corrections by two operators."""

from __future__ import annotations

import django.db.models.deletion
import django_fsm
import exchange.lib.fields
from django.conf import settings
from django.db import migrations, models

from exchange.lib.append_only import append_only

# What an operator approves is what another one proposed; what was decided stays.
FIXED = """
CREATE TRIGGER adjustment_terms_stay BEFORE UPDATE ON wallets_adjustment
    FOR EACH ROW WHEN (
        old.state <> 'proposed'
        OR (old.id, old.member_id, old.currency_id, old.amount, old.reason,
            old.proposer_id, old.proposed_at)
            IS DISTINCT FROM (new.id, new.member_id, new.currency_id, new.amount,
            new.reason, new.proposer_id, new.proposed_at)
    ) EXECUTE FUNCTION refuse_to_rewrite();
CREATE TRIGGER adjustments_stay BEFORE DELETE ON wallets_adjustment
    FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_askers_of_sms"),
        ("wallets", "0008_payouts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Adjustment",
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
                ("amount", exchange.lib.fields.AmountField()),
                ("reason", models.CharField(max_length=200)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("proposed", "proposed"),
                            ("booked", "booked"),
                            ("refused", "refused"),
                            ("withdrawn", "taken back"),
                        ],
                        default="proposed",
                        max_length=50,
                    ),
                ),
                ("proposed_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=200)),
                (
                    "currency",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="wallets.currency",
                    ),
                ),
                (
                    "decider",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "adjustment",
                "verbose_name_plural": "adjustments",
                "permissions": [
                    ("propose_adjustment", "Can propose corrections of the books"),
                    (
                        "approve_adjustment",
                        "Can book and refuse corrections of the books",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "proposed")),
                        fields=["id"],
                        name="adjustments_to_decide",
                    ),
                    models.Index(
                        fields=["member", "-id"], name="adjustments_by_member"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount", 0), _negated=True),
                            ("amount__gt", -1000000000000000000000000000000),
                            ("amount__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("amount"),
                        ),
                        name="adjustment_amount_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decider", models.F("proposer")), _negated=True),
                            ("decider__isnull", True),
                            _connector="OR",
                        ),
                        name="adjustments_take_two_operators",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("member__isnull", True),
                            models.Q(
                                models.Q(
                                    ("member", models.F("proposer")), _negated=True
                                ),
                                models.Q(
                                    models.Q(
                                        ("member", models.F("decider")), _negated=True
                                    ),
                                    ("decider__isnull", True),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="nobody_adjusts_their_own_account",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at", None),
                                ("decider", None),
                                ("state", "proposed"),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decider", None),
                                ("state", "withdrawn"),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decider__isnull", False),
                                ("state__in", ["booked", "refused"]),
                            ),
                            _connector="OR",
                        ),
                        name="adjustments_say_who_decided",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Transfer",
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
                ("amount", exchange.lib.fields.AmountField()),
                ("value", exchange.lib.fields.AmountField()),
                ("is_by_address", models.BooleanField()),
                ("note", models.CharField(blank=True, max_length=140)),
                ("client_id", models.CharField(max_length=64, null=True)),
                ("at", models.DateTimeField()),
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
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.proof",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sender",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                "verbose_name": "transfer",
                "verbose_name_plural": "transfers",
                "indexes": [
                    models.Index(fields=["sender", "-id"], name="transfers_by_sender"),
                    models.Index(
                        fields=["recipient", "-id"], name="transfers_by_recipient"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__gt", 0),
                            ("amount__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("amount"),
                        ),
                        name="transfer_amount_is_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("value__gte", 0),
                            ("value__lt", 1000000000000000000000000000000),
                            exchange.lib.fields.ScaleAtMost("value"),
                        ),
                        name="transfer_value_is_sound",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sender", models.F("recipient")), _negated=True
                        ),
                        name="nobody_transfers_to_oneself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("proof__isnull", True),
                            ("token__isnull", True),
                            _connector="XOR",
                        ),
                        name="a_transfer_has_a_proof_or_a_key",
                    ),
                    models.UniqueConstraint(
                        fields=("sender", "client_id"),
                        name="one_transfer_per_client_id",
                    ),
                ],
            },
        ),
        append_only("wallets_transfer"),
        migrations.RunSQL(
            FIXED,
            "DROP TRIGGER adjustments_stay ON wallets_adjustment;"
            "DROP TRIGGER adjustment_terms_stay ON wallets_adjustment;",
        ),
    ]
