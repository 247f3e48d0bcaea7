"""The table of parcels."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Make it."""

    initial = True
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="Parcel",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("reference", models.CharField(max_length=128)),
            ],
        ),
    ]
