"""Scans take turns."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0004_coming_and_going"),
    ]

    operations = [
        migrations.AddField(
            model_name="scan",
            name="turn",
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
