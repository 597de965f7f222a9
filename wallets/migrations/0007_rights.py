"""Rights to decide about withdrawals and deposits."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0006_solvency"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="deposit",
            options={
                "permissions": [("claim_deposit", "Can give deposits to their owners")],
                "verbose_name": "deposit",
                "verbose_name_plural": "deposits",
            },
        ),
        migrations.AlterModelOptions(
            name="withdrawal",
            options={
                "permissions": [
                    ("decide_withdrawal", "Can approve and refuse withdrawals")
                ],
                "verbose_name": "withdrawal",
                "verbose_name_plural": "withdrawals",
            },
        ),
    ]
